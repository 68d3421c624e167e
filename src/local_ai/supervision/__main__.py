"""python -m local_ai.supervision -c FILE: supervisord, deaf to the signals that a log rotation sends.

By itself it would end and start every program at SIGHUP, and end at SIGUSR1. Its programs inherit that they
are deaf to both, until they say otherwise. SIGUSR2 opens its log files again, which interrupts nothing.

It takes half of its start to import itself, so it is started before its configuration is written, and reads
that once it is told so by a line on its stdin. At the end of stdin it ends: the start was given up.

Source: `ServerOptions.setsignals` and `Supervisor.handle_signal` in supervisor 4.3.
"""

import signal
import sys

from local_ai.serving.imports import undisturbed_imports

with undisturbed_imports():
    from supervisor import supervisord
    from supervisor.options import ServerOptions


class _Options(ServerOptions):  # type: ignore[misc]  # supervisor has no types
    def setsignals(self) -> None:
        super().setsignals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def main() -> None:
    """Run supervisord until it ends."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if not sys.stdin.readline():
        return
    supervisord.ServerOptions = _Options  # its `main` makes one for each configuration that it reads
    supervisord.main()


if __name__ == "__main__":
    main()
