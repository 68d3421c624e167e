"""When events leave the generating thread."""

from collections.abc import Sequence

import pytest

from local_ai.engine.core.delivery import Delivery, Outbox
from local_ai.engine.core.job import Event, Finished, Started, Token

QUICK_S, SLOW_S = 0.01, 0.05


class Answer:
    """An answer and what has left of it: one item for each time."""

    def __init__(self) -> None:
        self.left: list[list[Event]] = []
        self.outbox = Outbox(lambda events: self.left.append(list(events)), lambda: None)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def begun(delivery: Delivery, count: int) -> list[Answer]:
    """Make so many answers whose first tokens have left."""
    answers = [Answer() for _ in range(count)]
    for answer in answers:
        delivery.send(answer.outbox, Token("first"))
    delivery.hand_over(running=count, urgent=True)
    for answer in answers:
        answer.left.clear()
    return answers


def steps(count: int, step_s: float, *, running: int) -> list[Answer]:
    """Send a token of each answer in so many steps."""
    delivery = Delivery(clock := Clock())
    answers = begun(delivery, running)
    for number in range(count):
        clock.now += step_s
        for answer in answers:
            delivery.send(answer.outbox, Token(str(number)))
        delivery.hand_over(running=running)
    return answers


def times(answers: Sequence[Answer]) -> float:
    """Count how often tokens have left, of an answer on average."""
    return sum(len(answer.left) for answer in answers) / len(answers)


@pytest.mark.parametrize(
    ("running", "step_s", "expected"),
    [(1, QUICK_S, 100), (4, QUICK_S, 100), (5, SLOW_S, 100), (16, QUICK_S, 25), (64, QUICK_S, 10)],
    ids=["one answer", "a few", "slow steps", "many quick ones", "more still: less often"],
)
def test_tokens_of_many_answers_leave_together_where_steps_are_quick(
    running: int, step_s: float, expected: int
):
    assert times(steps(100, step_s, running=running)) == pytest.approx(expected, abs=1)


def test_answers_take_turns_and_nothing_is_lost_or_moved():
    answers = steps(100, QUICK_S, running=64)

    counts = [len(answer.left) for answer in answers]
    assert max(counts) - min(counts) <= 1
    for answer in answers:
        told = [event.text for events in answer.left for event in events if isinstance(event, Token)]
        assert told == [str(number) for number in range(len(told))]


def test_in_one_step_the_events_of_a_few_answers_leave():
    delivery = Delivery(clock := Clock())
    answers = begun(delivery, 64)
    clock.now += QUICK_S
    for answer in answers:
        delivery.send(answer.outbox, Token("next"))

    delivery.hand_over(running=64)

    assert sum(len(answer.left) for answer in answers) == 7


@pytest.mark.parametrize("event", [Finished("stop", ""), Started(0), Token("the first")])
def test_an_answers_beginning_and_end_leave_at_once_and_others_wait(event: Event):
    delivery = Delivery(Clock())
    waiting, *_ = begun(delivery, 64)
    delivery.send(waiting.outbox, Token("waits"))
    new = Answer()
    delivery.send(new.outbox, event)

    delivery.hand_over(running=64)

    assert new.left == [[event]]
    assert waiting.left == []


def test_what_waits_leaves_before_a_prompt_is_read():
    delivery = Delivery(Clock())
    answers = begun(delivery, 64)
    for answer in answers:
        delivery.send(answer.outbox, Token("next"))

    delivery.hand_over(running=64, urgent=True)

    assert [answer.left for answer in answers] == [[[Token("next")]]] * 64


def test_what_was_saved_up_in_a_long_step_lets_no_more_leave_than_waits():
    delivery = Delivery(clock := Clock())
    answers = begun(delivery, 64)
    clock.now += 60
    delivery.hand_over(running=64)
    for answer in answers:
        delivery.send(answer.outbox, Token("next"))

    delivery.hand_over(running=64)

    assert sum(len(answer.left) for answer in answers) == 0


def test_a_reader_of_several_answers_is_woken_once():
    delivery, woken = Delivery(Clock()), []

    def wake() -> None:
        woken.append(1)

    for _ in range(3):
        delivery.send(Outbox(lambda _: None, wake), Started(0))
    delivery.hand_over(running=3)
    delivery.hand_over(running=3)

    assert woken == [1]
