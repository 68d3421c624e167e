"""The moment at which an answer's events leave the generating thread."""

import itertools
import math
import time
from collections.abc import Callable, Sequence

from local_ai.engine.core.job import Event, Token

_FEW = 4  # answers at once, whose tokens leave at once
_TOGETHER_S = 0.04  # tokens of more answers leave together, each answer's so often
_MOST_EVENTS_PER_S = 640  # of all answers; 64 answers on two cores are 1.3 times as fast as with 1,600


class Outbox:
    """One answer's events that have not left yet."""

    def __init__(self, leave: Callable[[Sequence[Event]], None], wake: Callable[[], None]) -> None:
        """Begin without any.

        Args:
            leave: Takes events that leave together, in order.
            wake: Has who waits for them look; called once for all answers that share it.
        """
        self.leave = leave
        self.wake = wake
        self.events: list[Event] = []
        self.has_begun = False  # a token was sent


class Delivery:
    """The answers with events that have not left; for the generating thread alone.

    Writing an event takes as long whatever it holds, and the next step waits meanwhile for the interpreter's
    lock. So where many answers grow quickly, the tokens of several steps leave together: each answer's 25
    times a second, and 10 times where there are 64. Answers take turns, a few in each step, so that no step
    waits for the events of all.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[Outbox, None] = {}  # the longest first
        self._urgent: dict[Outbox, None] = {}  # of them
        self._allowed = 0.0  # answers whose tokens may leave now
        self._last = clock()

    def send(self, outbox: Outbox, event: Event) -> None:
        """Send an event; what is more than a token leaves with the present step, and a first token too."""
        outbox.events.append(event)
        self._waiting[outbox] = None
        if not (isinstance(event, Token) and outbox.has_begun):
            self._urgent[outbox] = None
            outbox.has_begun = outbox.has_begun or isinstance(event, Token)

    def hand_over(self, *, running: int, urgent: bool = False) -> None:
        """Let leave what was sent and may not wait for the next step.

        Args:
            running: Answers that grow.
            urgent: The next step may take longer.
        """
        now = self._clock()
        per_s = min(running / _TOGETHER_S, _MOST_EVENTS_PER_S)
        self._allowed = min(self._allowed + (now - self._last) * per_s, len(self._waiting))
        self._last = now
        if running <= _FEW or urgent:
            leaving = self._waiting
        else:
            turns = math.ceil(self._allowed)
            self._allowed -= turns
            leaving = self._urgent | dict.fromkeys(itertools.islice(self._waiting, turns))
        self._urgent = {}
        self._waiting = {box: None for box in self._waiting if box not in leaving}
        for outbox in leaving:
            events, outbox.events = outbox.events, []
            outbox.leave(events)
        for wake in dict.fromkeys(outbox.wake for outbox in leaving):
            wake()
