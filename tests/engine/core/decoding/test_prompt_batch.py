"""Prompts are read as mlx-lm reads them; only what is freed meanwhile is kept."""

import copy
from typing import Any

import pytest
from tests.engine.core.batches import loaded

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds

PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [12, 13, 14], [15] * 7]


def answers(prompts_class: type | None) -> list[list[int]]:
    """Answer prompts of several lengths, read in pieces of three tokens."""
    import mlx.core as mx
    from mlx_lm.generate import BatchGenerator

    model = loaded("llama").model
    stream = mx.default_stream(mx.default_device())
    generator: Any = BatchGenerator(model, prefill_step_size=3, stream=stream)
    if prompts_class is not None:
        generator._prompt_batch = prompts_class.empty(model, generator.sampler, 3)
    uids = generator.insert(copy.deepcopy(PROMPTS), [6] * len(PROMPTS))
    told: dict[int, list[int]] = {uid: [] for uid in uids}
    while sum(map(len, told.values())) < 6 * len(PROMPTS):
        for answer in generator.next()[1]:
            told[answer.uid].append(answer.token)
    return [told[uid] for uid in uids]


def test_answers_are_those_of_mlx_lms_own_reading():
    from local_ai.engine.core.decoding.prompt_batch import PromptBatch

    assert answers(PromptBatch) == answers(None)


def test_freed_arrays_are_kept_while_prompts_are_read(monkeypatch: pytest.MonkeyPatch):
    import mlx.core as mx

    from local_ai.engine.core.decoding.prompt_batch import PromptBatch

    cleared: list[int] = []
    monkeypatch.setattr(mx, "clear_cache", lambda: cleared.append(1))

    answers(PromptBatch)

    assert cleared == []
