"""The orphan guard: a program ends when the supervisord that started it is gone.

supervisord holds the only write end of each child's stdin. When supervisord dies, even by SIGKILL, the
read end sees end-of-file, and the child ends itself instead of serving on unsupervised.
"""

import os
import signal
import stat
import threading


def start_orphan_guard() -> bool:
    """Watch stdin from a daemon thread and send SIGTERM to this process at its end.

    Returns:
        Whether a guard runs: False where stdin is not a pipe (started by hand, in a terminal).
    """
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return False
    threading.Thread(target=_terminate_at_end_of_stdin, name="orphan-guard", daemon=True).start()
    return True


def _terminate_at_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
