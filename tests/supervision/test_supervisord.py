"""Processes that end."""

import os
import subprocess
import sys

from local_ai.supervision.supervisord import wait_gone


def test_a_living_process_is_not_gone():
    assert not wait_gone(os.getpid(), timeout_s=0.05)


def test_a_zombie_is_gone():
    with subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not waited for yet

        assert wait_gone(child.pid, timeout_s=0.05)

    assert wait_gone(child.pid, timeout_s=0.05)
