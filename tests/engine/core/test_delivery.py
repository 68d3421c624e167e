"""When events leave the generating thread."""

import pytest

from local_ai.engine.core.delivery import Delivery

QUICK_S, SLOW_S = 0.01, 0.05


def handed_over(*, running: int, step_s: float) -> int:
    """Count how often tokens of twenty steps leave."""
    now, times = [100.0], []
    delivery = Delivery(lambda: now[0])

    def flush() -> None:
        times.append(now[0])

    for _ in range(20):
        now[0] += step_s
        delivery.sent(flush, urgent=False)
        delivery.hand_over(running=running, step_s=step_s)
    return len(times)


@pytest.mark.parametrize(
    ("running", "step_s", "times"),
    [(1, QUICK_S, 20), (4, QUICK_S, 20), (5, SLOW_S, 20), (16, QUICK_S, 6), (64, QUICK_S, 2)],
    ids=["one answer", "a few", "slow steps", "many quick ones", "more still: less often"],
)
def test_tokens_of_many_answers_leave_together_where_steps_are_quick(running: int, step_s: float, times: int):
    assert handed_over(running=running, step_s=step_s) == times


@pytest.mark.parametrize("running", [0, 64])
def test_an_answers_end_leaves_at_once(running: int):
    delivery, left = Delivery(), []
    delivery.sent(lambda: left.append(1), urgent=True)

    delivery.hand_over(running=running, step_s=0)

    assert left == [1]


def test_what_waits_leaves_before_a_prompt_is_read():
    delivery, left = Delivery(), []
    delivery.sent(lambda: left.append(1), urgent=False)

    delivery.hand_over(running=64, step_s=0, urgent=True)

    assert left == [1]


def test_a_receiver_is_told_once_of_all_that_it_was_sent():
    delivery, left = Delivery(), []
    tell = left.append

    def flush() -> None:
        tell(1)

    for _ in range(3):
        delivery.sent(flush, urgent=True)
    delivery.hand_over(running=1, step_s=0)
    delivery.hand_over(running=1, step_s=0)

    assert left == [1]
