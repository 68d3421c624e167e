"""How prompts join the answers that grow: together, and without a copy of those that are there."""

from typing import Any

import pytest
from tests.engine.core.batches import ask, finish, make_batch, words

from local_ai.engine.core.job import Token

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds


def has_begun(heard: Any) -> bool:
    return any(isinstance(event, Token) for event in heard.events)


def test_prompts_that_come_while_another_ones_answer_begins_join_together():
    batch = make_batch("llama")
    first = ask(batch, words(1, 20))
    batch.step()  # its prompt is read, but for the last token
    others = [ask(batch, words(seed, 20)) for seed in range(2, 6)]

    begun = []
    while not all(map(has_begun, others)):
        batch.step()
        begun.append(sum(map(has_begun, others)))

    assert has_begun(first)
    assert set(begun) == {0, 4}
    finish(batch)


def test_more_short_prompts_than_eight_are_read_at_once_where_the_device_is_fast():
    batch = make_batch("llama")
    for _ in range(20):
        batch._pace.learn(1000, 0.01)
    for seed in range(12):
        ask(batch, words(seed, 20))

    batch.step()

    assert batch._generator._prompt_batch.uids == list(range(12))
    finish(batch)


def test_keys_and_values_are_not_held_while_counts_are_computed_ahead(monkeypatch: pytest.MonkeyPatch):
    """Held, they could not be added to in place, and the next step would copy them all."""
    import mlx.core as mx

    batch = make_batch("qwen3_next")
    ask(batch, words(1, 20), 200)
    for _ in range(10):
        batch.step()
    ahead: list[Any] = []
    monkeypatch.setattr(mx, "async_eval", lambda arrays: ahead.extend(arrays))

    batch._tidy()
    monkeypatch.undo()

    assert ahead
    assert max(array.size for array in ahead) == 1
    finish(batch)
