"""Signals to a start that stays in the foreground."""

import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from local_ai.cli.commands import server


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Signals that a test may change."""
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize(
    ("has_terminal", "nohup", "ends"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_terminal_that_closes_ends_the_server_in_it_and_a_log_rotation_does_not(
    monkeypatch: pytest.MonkeyPatch, has_terminal: bool, nohup: bool, ends: bool
):
    signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: has_terminal, raising=False)
    termination = server._Termination()
    termination.expect()

    with nullcontext() if not ends else pytest.raises(KeyboardInterrupt):
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            signal.raise_signal(number)

    assert termination.was_asked is ends
