"""Joins MLX's distributed group, by the variables that its backends read."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

from local_ai.engine.cluster.plan import Hello

if TYPE_CHECKING:
    from local_ai.engine.cluster.channel import Channel


def variables(hello: Hello) -> dict[str, str]:
    """Return what a rank's environment needs; files that it names are open in this process.

    Source: mlx/distributed of mlx 0.32 (ring.cpp, jaccl.cpp, nccl.cpp) and `mlx._distributed_utils.launch`.
    """
    common = {"MLX_RANK": str(hello.rank), "MLX_WORLD_SIZE": str(hello.size)}
    host, port = hello.addresses[0].rsplit(":", 1)
    match hello.backend:
        case "ring":
            return common | {"MLX_HOSTFILE": _as_file([[address] for address in hello.addresses])}
        case "jaccl":
            return common | {
                "MLX_IBV_DEVICES": _as_file(hello.devices),
                "MLX_JACCL_COORDINATOR": hello.addresses[0],
            }
        case _:
            card = {} if hello.card is None else {"CUDA_VISIBLE_DEVICES": _card(hello.card)}
            return common | {"NCCL_HOST_IP": host, "NCCL_PORT": port} | card


def _as_file(value: object) -> str:
    """Write JSON to a file without a name, of which nothing is left at any end; return a path to it."""
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(value).encode())
        file.seek(0)
        return f"/dev/fd/{os.dup(file.fileno())}"


def _card(number: int) -> str:
    """Name a rank's graphics card: of those that CUDA_VISIBLE_DEVICES leaves, or of all."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return names[number] if number < len(names) else str(number)


def tell_mlx(hello: Hello) -> None:
    """Set the environment for `join`; before mlx is imported, for a graphics card is chosen there."""
    os.environ |= variables(hello)


def join(channel: Channel) -> Any:
    """Return the group, once all ranks have come; for the thread that computes.

    Raises:
        RuntimeError: A rank cannot be reached, or one of another group was.
    """
    import mlx.core as mx

    channel.meet()
    group = mx.distributed.init(strict=True, backend=channel.hello.backend)
    check_group(channel.hello.group, group)
    return group


def check_group(number: int, group: Any) -> None:
    """Make sure that all ranks are of one group, else raise RuntimeError: MLX connects whoever comes."""
    import mlx.core as mx

    numbers = mx.distributed.all_gather(mx.array([number], mx.uint32), group=group)
    if not mx.all(numbers == number).item():
        raise RuntimeError("another group of ranks uses the same addresses")
