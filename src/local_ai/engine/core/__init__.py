"""The one place that touches mlx and mlx-lm: loads models and generates, on a single thread.

`worker` owns that thread and imports the other modules on it, so nothing of mlx is imported, loaded or
evaluated anywhere else (MLX's streams belong to threads; on Metal another thread's arrays cannot be used).
"""
