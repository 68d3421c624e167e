"""Memory is running out while answers are generated: what is given up, what waits, what ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.engine.core.batches import answer, ask, finish, loaded, make_batch, words

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds

RESERVE = 3_000_000
families = pytest.mark.parametrize("family", ["llama", "gemma3_text", "qwen3_next"])


@dataclass
class Machine:
    """A machine whose memory ends where the test says."""

    most: int = 10**12  # bytes that MLX may have in use

    def room(self) -> int:
        import mlx.core as mx

        return self.most - int(mx.get_active_memory())

    def leave(self, n_bytes: int) -> None:
        """Have so many bytes left, from now on."""
        import mlx.core as mx

        self.most = int(mx.get_active_memory()) + n_bytes


def make(family: str) -> tuple[Machine, Any]:
    from local_ai.engine.core.memory.guard import MemoryGuard

    loaded(family)
    machine = Machine()
    return machine, make_batch(family, guard=MemoryGuard(machine.room, RESERVE))


def step_until(batch: Any, condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        batch.step()
    raise AssertionError("it did not come to that")


@families
def test_remembered_prompts_go_first_and_answers_go_on(family: str):
    machine, batch = make(family)
    for seed in range(8):
        answer(batch, words(seed, 600), 2)
    running = ask(batch, words(50, 20), 2000)
    step_until(batch, lambda: len(running.events) > 20)
    remembered = len(batch._memory)

    machine.leave(2 * RESERVE - 200_000)
    step_until(batch, lambda: len(batch._memory) < remembered)

    assert running.error is None
    batch.step()
    assert len(batch) == 1


@families
def test_no_further_request_begins_while_memory_is_scarce(family: str):
    machine, batch = make(family)
    running = ask(batch, words(1, 20), 100)
    step_until(batch, lambda: len(running.events) > 20)

    machine.leave(2 * RESERVE - 50_000)
    waiting = ask(batch, words(2, 20), 4)
    for _ in range(12):
        batch.step()

    assert (len(batch), waiting.events, running.error) == (2, [], None)
    machine.most = 10**12
    finish(batch)
    assert (running.error, waiting.error) == (None, None)
    assert running.text
    assert waiting.text


@families
def test_the_longest_answer_ends_with_an_error_that_says_why_and_the_others_go_on(family: str):
    machine, batch = make(family)
    long = ask(batch, words(1, 900), 3000)
    short = ask(batch, words(2, 20), 60)
    step_until(batch, lambda: len(long.events) > 20 and len(short.events) > 20)

    machine.leave(RESERVE - 1_000_000)
    step_until(batch, lambda: long.has_ended)
    machine.most = 10**12
    finish(batch)

    assert (long.error.status, long.error.code) == (503, "out_of_memory")
    assert "of the 2 answers in memory this is the longest, with " in long.error.why
    assert short.error is None
    assert short.text == answer(make_batch(family), words(2, 20), 60).text


@families
def test_a_prompt_that_does_not_fit_even_alone_is_refused_and_a_smaller_one_answered(family: str):
    machine, batch = make(family)
    answer(batch, words(1, 300), 2)

    machine.leave(2 * RESERVE + 500_000)
    refused = ask(batch, words(2, 40_000), 2)
    batch.step()

    assert (refused.error.status, refused.error.code) == (503, "out_of_memory")
    assert (
        refused.error.why == "memory is running out: a prompt of 40000 tokens does not fit beside the model"
    )
    assert len(batch) == 0
    assert answer(batch, words(3, 20), 4).text


@pytest.mark.parametrize(
    ("family", "tokens_per_s"),
    [("llama", 500), ("llama", 32_000), ("gemma3_text", 32_000), ("qwen3_next", 32_000)],
)
def test_a_batch_with_a_capped_budget_never_takes_more(
    family: str, tokens_per_s: int, monkeypatch: pytest.MonkeyPatch
):
    """Sixteen long answers in memory for a few, on a slow and a fast device: some end, the cap holds."""
    import mlx.core as mx

    from local_ai.engine.core.decoding.prefill import PrefillPace

    machine, batch = make(family)
    monkeypatch.setattr(batch, "_pace", PrefillPace(int(tokens_per_s * 0.4)))
    monkeypatch.setattr(batch._pace, "learn", lambda tokens, elapsed_s: None)
    for seed in range(8):
        ask(batch, words(seed, 400), 2)
    finish(batch)  # what a step takes is known from now on, and stays so while answers grow for long
    answer(batch, words(9, 20), 300)
    taken: list[int] = []

    machine.leave(12_000_000)
    heard = [ask(batch, words(seed, 400), 120) for seed in range(20, 36)]
    while len(batch):
        mx.reset_peak_memory()
        batch.step()
        taken.append(int(mx.get_peak_memory()))

    assert max(taken) <= machine.most
    assert {h.error.code for h in heard if h.error} <= {"out_of_memory"}
    assert sum(h.error is None for h in heard) >= 4


def test_a_small_step_needs_its_part_of_what_a_large_one_took():
    """Or one answer after another would end as soon as it has begun, for what many prompts took at once."""
    import mlx.core as mx

    from local_ai.engine.core.memory.guard import MemoryGuard, Step

    guard = MemoryGuard(lambda: 2_000_000, 1000)
    with guard.measured_step(Step(tokens=400, answers=2)):
        mx.eval(mx.zeros(8_000_000, mx.uint8))
    with guard.measured_step(Step(answers=10)):
        mx.eval(mx.zeros(4_000_000, mx.uint8))

    assert guard.short_by(0, Step(tokens=400)) > 5_000_000
    assert guard.short_by(0, Step(tokens=50)) < 0
    assert guard.short_by(0, Step(tokens=50, answers=10)) > 1_000_000
    assert guard.short_by(0, Step(answers=2)) < 0


def test_a_step_reads_as_many_tokens_as_there_is_room_for():
    import mlx.core as mx

    from local_ai.engine.core.memory.guard import MemoryGuard, Step

    machine = Machine()
    guard = MemoryGuard(machine.room, 1000)
    assert guard.readable(0, 5000) == 5000  # nothing was seen yet

    with guard.measured_step(Step(tokens=400)):
        mx.eval(mx.zeros(8_000_000, mx.uint8))
    for _ in range(500):
        with guard.measured_step(Step(answers=2)):
            pass

    machine.leave(8_100_000)
    assert guard.readable(0, 300) == 300
    assert 200 < guard.readable(0, 800) < 400
    assert 100 < guard.readable(4_000_000, 800) < 200


def test_a_model_that_answers_one_at_a_time_ends_with_the_same_error():
    from local_ai.engine.core.decoding.sequential import Sequence
    from local_ai.engine.core.memory.guard import MemoryGuard

    machine = Machine()
    sequence = Sequence(loaded("llama"), MemoryGuard(machine.room, RESERVE))
    running = ask(sequence, words(1, 20), 500)
    step_until(sequence, lambda: len(running.events) > 20)

    machine.leave(RESERVE - 1_000_000)
    finish(sequence)

    assert (running.error.status, running.error.code) == (503, "out_of_memory")
