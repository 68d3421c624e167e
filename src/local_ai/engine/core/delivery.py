"""The moment at which events that steps have sent are handed over to be written."""

import time
from collections.abc import Callable

_FEW = 4  # answers at once, whose tokens leave at once
_TOGETHER_S = 0.04  # tokens of more answers leave together, so often
_MOST_EVENTS_PER_S = 640  # of all answers; 64 answers on two cores are 1.3 times as fast as with 1,600


class Delivery:
    """Events that were sent and not handed over yet; for the generating thread alone.

    Writing an event takes as long whatever it holds, and the next step waits meanwhile for the interpreter's
    lock. So where many answers grow quickly, the tokens of several steps go together, 25 times a second, and
    10 times where 64 do.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._flushes: dict[Callable[[], None], None] = {}  # of those that something was sent to
        self._last = clock()
        self._is_urgent = False

    def sent(self, flush: Callable[[], None], *, urgent: bool) -> None:
        """Take note of an event.

        Args:
            flush: Hands over all that was sent to its receiver.
            urgent: It is more than a token.
        """
        self._flushes[flush] = None
        self._is_urgent |= urgent

    def hand_over(self, *, running: int, step_s: float, urgent: bool = False) -> None:
        """Hand over what was sent, unless it may wait for the next step.

        Args:
            running: Answers that grow.
            step_s: How long a step takes.
            urgent: The next step may take longer.
        """
        now = self._clock()
        is_soon = now + step_s < self._last + max(_TOGETHER_S, running / _MOST_EVENTS_PER_S)
        if running > _FEW and is_soon and not (urgent or self._is_urgent):
            return
        self._is_urgent, self._last = False, now
        flushes, self._flushes = self._flushes, {}
        for flush in flushes:
            flush()
