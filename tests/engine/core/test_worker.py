"""The generating thread."""

from __future__ import annotations

import subprocess
import sys

from tests.waits import scaled

_FAILS = """
from local_ai.engine.core.worker import Worker, WorkerSettings
from local_ai.engine.health import HealthBoard

class Failing(Worker):
    def _receive(self):
        raise OverflowError("timestamp out of range")

worker = Failing(WorkerSettings(False, 0, lambda _: 0.0), HealthBoard("mlx-lm"))
worker.start(None)
worker._thread.join()
"""


def test_an_engine_whose_generating_thread_fails_ends_so_that_it_is_started_again():
    done = subprocess.run(
        [sys.executable, "-c", _FAILS], capture_output=True, text=True, timeout=scaled(120), check=False
    )

    assert done.returncode == 70, done.stderr
    assert "OverflowError: timestamp out of range" in done.stderr
