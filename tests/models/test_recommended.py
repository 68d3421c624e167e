"""Which model is recommended to a machine."""

from __future__ import annotations

import re

import pytest

from local_ai.models.recommended import as_of, best_for, recommended_models

GB = 1_000_000_000
GIB = 2**30


@pytest.mark.parametrize(
    ("memory", "name"),
    [
        (2 * GB, None),
        (8 * GIB, "mlx-community/Qwen3-4B-Instruct-2507-4bit"),
        (16 * GIB, "mlx-community/Qwen3-8B-4bit"),
        (int(30.9 * GB), "mlx-community/Qwen3-30B-A3B-Instruct-2507-4bit"),
        (512 * GIB, "mlx-community/Qwen3-30B-A3B-Instruct-2507-4bit"),
    ],
)
def test_largest_that_fits_is_recommended(memory: int, name: str | None) -> None:
    best = best_for(memory, recommended_models("darwin"))

    assert (best.name if best else None) == name


@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_list_grows_and_leaves_memory_for_the_rest(platform: str) -> None:
    models = recommended_models(platform)

    assert [each.size_gb for each in models] == sorted(each.size_gb for each in models)
    assert all(each.size_gb <= 0.6 * each.memory_gb for each in models)
    assert all(re.fullmatch(r"mlx-community/[\w.-]+", each.name) for each in models)
    assert all(each.name.endswith("-4bit" if platform == "darwin" else "-bf16") for each in models)
    assert re.fullmatch(r"20\d\d-\d\d", as_of())
