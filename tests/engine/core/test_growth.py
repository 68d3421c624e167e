"""An answer that goes on takes memory for its attention state alone."""

from __future__ import annotations

import pytest
from tests.engine.core.batches import ask, make_batch, words
from tests.tiny_families import FAMILIES

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds


_EARLY, _LATE = range(128, 385), range(448, 705)


def beside_its_state(batch: object) -> int:
    """Count the bytes in use beside what the generator's caches hold."""
    import mlx.core as mx

    mx.synchronize()
    return int(mx.get_active_memory()) - int(batch._generator.prompt_cache_nbytes)  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", FAMILIES)
def test_memory_beside_the_attention_state_is_flat_while_an_answer_goes_on(family: str):
    """benchmarks/growth.py does the same for as many steps as wanted."""
    batch = make_batch(family)
    ask(batch, words(1, 20), 2000)
    ask(batch, words(2, 20), 2000)
    counts = {}
    for step in range(1, 705):
        batch.step()
        if step % 64 == 0:  # where lazy state has just been computed
            counts[step] = beside_its_state(batch)
    batch.fail_all(RuntimeError())

    early, late = (min(counts[step] for step in counts if step in some) for some in (_EARLY, _LATE))
    # Six recurrent layers left behind twenty bytes a step.
    assert late - early < 2000
