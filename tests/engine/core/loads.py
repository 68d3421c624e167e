"""Models in memory, for tests and benchmarks of what computes with them."""

from __future__ import annotations

from typing import Any

from local_ai.engine.core.job import ModelKey


def load_model(key: ModelKey, *, trust_remote_code: bool) -> Any:
    """Read a checked model into memory at once."""
    from local_ai.engine.core.model.model_load import ModelLoad

    load = ModelLoad(key, trust_remote_code=trust_remote_code)
    while not load.go_on(beside=False):
        pass
    return load.finish()
