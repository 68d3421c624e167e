"""MLX Omni Server's routers: text inside the engine, the rest in a program of its own."""
