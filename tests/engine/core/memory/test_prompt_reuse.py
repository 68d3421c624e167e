"""Prompts are read once, whatever kind of layers a model has, and answers are the same warm and cold."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.core.batches import answer, ask, finish, make_batch, words
from tests.tiny_families import FAMILIES

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds

SYSTEM = words(1, 200)
BEGINS = [5, 6, 7]  # an answer, as a template that opens a thought has it
SHOWN = [5, 80, 81]  # as the next turn shows it

families = pytest.mark.parametrize("family", FAMILIES)


def cold(family: str, prompt: list[int]) -> str:
    return answer(make_batch(family, memory_bytes=0), prompt).text


def prompt_of(user: list[int]) -> tuple[list[int], tuple[int, ...]]:
    """Write a first turn, and where others may branch off."""
    prompt = SYSTEM + user + BEGINS
    return prompt, (len(SYSTEM), len(prompt) - 2)


@families
def test_a_new_conversation_reads_only_what_follows_the_same_system_prompt(family: str):
    batch = make_batch(family)
    prompt, branches = prompt_of(words(2, 20))
    answer(batch, prompt, branches=branches)

    other, branches = prompt_of(words(3, 20))
    heard = answer(batch, other, branches=branches)

    assert heard.started.cached >= len(SYSTEM)
    assert heard.started.miss == f"differs at token {len(SYSTEM)}"
    assert heard.text == cold(family, other)


@families
def test_the_next_turn_reads_only_what_is_new_when_the_answer_is_shown_differently(family: str):
    batch = make_batch(family)
    first, branches = prompt_of(words(2, 20))
    answer(batch, first, branches=branches)

    second = first[:-2] + SHOWN[1:] + words(4, 20) + BEGINS
    heard = answer(batch, second, branches=(len(SYSTEM), len(first) - 2))

    assert heard.started.cached == len(first) - 2
    assert heard.text == cold(family, second)


@families
def test_a_conversation_that_goes_on_after_its_answer_reads_only_the_new_turn(family: str):
    batch = make_batch(family)
    first, branches = prompt_of(words(2, 20))
    answer(batch, first, branches=branches)
    ((entry),) = batch._memory._entries
    written = entry.tokens.tolist()

    second = written + words(4, 20) + BEGINS
    heard = answer(batch, second, branches=branches)

    assert len(written) == len(first) + 8
    assert (heard.started.cached, heard.started.miss) == (len(written), "")
    assert heard.text == cold(family, second)


@families
def test_a_question_asked_again_reads_its_last_token_only(family: str):
    batch = make_batch(family)
    prompt, branches = prompt_of(words(2, 20))
    answer(batch, prompt, branches=branches)

    heard = answer(batch, prompt, branches=branches)

    assert heard.started.cached == len(prompt) - 1
    assert heard.text == cold(family, prompt)


@families
def test_the_turns_of_a_long_conversation_stay_reusable_at_their_branches(family: str):
    """After many turns, a new conversation finds the system prompt, and a changed turn the one before."""
    batch = make_batch(family)
    prompt, _ = prompt_of(words(2, 20))
    for turn in range(8):
        answer(batch, prompt, branches=(len(SYSTEM), len(prompt) - 2))
        prompt = prompt[:-2] + SHOWN[1:] + words(10 + turn, 20) + BEGINS
    last = len(prompt) - len(BEGINS) - 20

    changed = prompt[:last] + words(99, 20) + BEGINS
    again = answer(batch, changed, branches=(len(SYSTEM), last))
    new, branches = prompt_of(words(98, 20))
    other = answer(batch, new, branches=branches)

    assert again.started.cached >= last - 2
    assert other.started.cached >= len(SYSTEM)
    assert again.text == cold(family, changed)
    assert other.text == cold(family, new)


@families
def test_prompts_read_side_by_side_are_remembered_each_for_itself(family: str):
    batch = make_batch(family)
    prompts = [prompt_of(words(seed, 10 + 3 * seed)) for seed in range(5)]
    together = [ask(batch, prompt, branches=branches) for prompt, branches in prompts]
    finish(batch)

    again = [answer(batch, prompt, branches=branches) for prompt, branches in prompts]

    assert [heard.started.cached for heard in again] == [len(prompt) - 1 for prompt, _ in prompts]
    assert [heard.text for heard in together] == [cold(family, prompt) for prompt, _ in prompts]
    assert [heard.text for heard in again] == [heard.text for heard in together]


@pytest.mark.parametrize("family", ["gemma3_text", "qwen3_next"])
def test_a_long_prompt_that_changes_in_its_middle_is_read_from_near_there(family: str):
    batch = make_batch(family)
    long = words(1, 2800)
    answer(batch, long, 2)

    changed = long[:2500] + words(2, 300)
    heard = answer(batch, changed, 2)

    assert heard.started.cached == 2048
    assert heard.started.miss == "differs at token 2500"


@families
def test_the_reason_for_no_reuse_is_told(family: str):
    batch = make_batch(family)

    first = answer(batch, words(1, 300))
    other = answer(batch, words(2, 300))
    batch._memory.forget(10**12)
    forgotten = answer(batch, words(1, 300))

    assert [h.started.miss for h in (first, other, forgotten)] == ["new prompt", "new prompt", "forgotten"]


@families
def test_what_is_remembered_holds_the_bytes_it_is_counted_with(family: str):
    """Also where it was taken out of a batch of sixteen; MLX lets an array have up to 16 KB more."""
    import mlx.core as mx

    batch = make_batch(family)
    for seed in range(16):
        prompt, branches = prompt_of(words(seed, 30))
        ask(batch, prompt, branches=branches)
    finish(batch)
    del batch._generator
    held: dict[int, int] = {}
    for left in (16, 1):
        while len(batch._memory) > left:
            batch._memory.forget(1)
        held[left] = _active(mx)
    one, arrays = _held_by(batch._memory._entries[0])
    batch._memory.forget(10**12)

    assert one * 0.95 <= held[1] - _active(mx) <= one * 1.05 + arrays * 16_384


def _held_by(entry: Any) -> tuple[int, int]:
    """Count the bytes that a remembered prompt is counted with, without its tokens, and their arrays."""
    from mlx.utils import tree_flatten

    from local_ai.engine.core.memory.cache_layers import leaves

    caches = [*leaves(entry.layers), *(cache for kept in entry.checkpoints for cache in kept.caches)]
    n_bytes = entry.n_bytes + sum(kept.n_bytes for kept in entry.checkpoints) - entry.tokens.nbytes
    return n_bytes, len(tree_flatten([cache.state for cache in caches]))


def _active(mx: Any) -> int:
    import gc

    gc.collect()
    mx.synchronize()
    return int(mx.get_active_memory())


@families
def test_memory_stays_within_its_bound_round_after_round(family: str):
    """Three rounds of sixteen new chats; beside the bound there is what one batch holds at most."""
    import mlx.core as mx

    bound = 2_000_000
    batch = make_batch(family, memory_bytes=bound)
    before = _active(mx)
    after = []
    for number in range(3):
        for seed in range(16):
            prompt, branches = prompt_of(words(100 + 16 * number + seed, 40))
            ask(batch, prompt, 4, branches=branches)
        finish(batch)
        after.append(_active(mx) - before)

    assert len(batch._memory) > 1
    assert max(after) <= bound + 500_000
