"""The type of mlx's arrays."""

from typing import Any

Array = Any  # mlx.core.array: by mlx's own annotations, a value taken out of one may be of any type
