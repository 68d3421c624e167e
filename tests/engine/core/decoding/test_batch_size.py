"""How many answers are generated at once."""

from __future__ import annotations

from typing import Any

import pytest

MB = 1_000_000


@pytest.mark.parametrize(
    ("on", "each", "room", "expected"),
    [
        ("cpu", MB, 10_000 * MB, 16),
        ("metal", MB, 10_000 * MB, 32),
        ("cuda", MB, 10_000 * MB, 64),
        ("cuda", 134 * MB, 3_000 * MB, 22),
        ("cuda", 134 * MB, 100 * MB, 1),
        ("cpu", 0, 10_000 * MB, 16),
    ],
    ids=["CPU", "Metal", "CUDA", "memory for fewer", "memory for none", "cache of a size not known"],
)
def test_answers_at_once_go_by_the_device_and_its_memory(
    on: Any, each: int, room: int, expected: int
) -> None:
    from local_ai.engine.core.decoding.batch_size import auto_batch

    assert auto_batch(on, each, lambda: room) == expected
