"""Signals that a person or a log rotation sends, and that mean nothing to a program."""

import signal


def ignore_signals() -> None:
    """Be deaf to HUP, USR1 and USR2, which would end the process."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
