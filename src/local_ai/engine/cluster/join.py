"""Joins MLX's distributed group, by the variables that its backends read."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from local_ai.engine.cluster.plan import Hello


def variables(hello: Hello, folder: Path) -> dict[str, str]:
    """Return what a rank's environment needs; files that it names are written to `folder`.

    Source: mlx/distributed of mlx 0.32 (ring.cpp, jaccl.cpp, nccl.cpp) and `mlx._distributed_utils.launch`.
    """
    common = {"MLX_RANK": str(hello.rank), "MLX_WORLD_SIZE": str(hello.size)}
    host, port = hello.addresses[0].rsplit(":", 1)
    match hello.backend:
        case "ring":
            file = folder / "ring.json"
            file.write_text(json.dumps([[address] for address in hello.addresses]), "utf-8")
            return common | {"MLX_HOSTFILE": str(file)}
        case "jaccl":
            file = folder / "devices.json"
            file.write_text(json.dumps(hello.devices), "utf-8")
            return common | {"MLX_IBV_DEVICES": str(file), "MLX_JACCL_COORDINATOR": hello.addresses[0]}
        case _:
            card = {} if hello.card is None else {"CUDA_VISIBLE_DEVICES": str(hello.card)}
            return common | {"NCCL_HOST_IP": host, "NCCL_PORT": port} | card


def tell_mlx(hello: Hello) -> None:
    """Set the environment for `join`; before mlx is imported, for a graphics card is chosen there."""
    os.environ |= variables(hello, Path(tempfile.mkdtemp(prefix="local-ai-ranks-")))


def join(hello: Hello) -> Any:
    """Return the group, once all ranks have come; for the thread that computes.

    Raises:
        RuntimeError: A rank cannot be reached.
    """
    import mlx.core as mx

    return mx.distributed.init(strict=True, backend=hello.backend)
