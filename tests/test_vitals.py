"""What /proc tells, beside what psutil tells."""

import os
import subprocess
import sys

import psutil
import pytest

from local_ai import vitals
from local_ai.vitals import has_ended, machine_memory_bytes, memory_bytes


@pytest.fixture(params=["/proc", "/nowhere"], ids=["from /proc", "from psutil"])
def source(request, monkeypatch):
    monkeypatch.setattr(vitals, "_PROC", request.param)


def test_memory_is_what_psutil_says(source):
    assert memory_bytes(os.getpid()) == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)


def test_a_living_process_has_not_ended(source):
    assert not has_ended(os.getpid())


def test_a_zombie_has_ended(source):
    with subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is over, and nobody has asked how

        assert has_ended(child.pid)

    assert has_ended(child.pid)
    assert memory_bytes(child.pid) is None


def test_the_machine_has_as_much_memory_as_psutil_says():
    assert machine_memory_bytes() == psutil.virtual_memory().total
