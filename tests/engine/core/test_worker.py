"""The generating thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tiny_model import make_tiny_model
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


_LOADS_FIRST = """
import sys
from pathlib import Path
from pathlib import Path
from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.worker import Worker, WorkerSettings
from local_ai.engine.health import HealthBoard

class Board(HealthBoard):
    states = []

    def _derive(self):
        super()._derive()
        self.states.append(self._state.value)
        if self._state == "ready":
            worker.stop()

board = Board("mlx-lm")
worker = Worker(WorkerSettings(False, 0, lambda _: 0.0), board)
worker.start(ModelKey("tiny", Path(sys.argv[1])))
worker._thread.join()
print(*dict.fromkeys(board.states))
"""


def test_an_engine_that_has_loaded_its_first_model_is_ready_at_once(tmp_path: Path):
    """A start waits for that: it must not see a moment in which the engine seems to have something to do."""
    folder = make_tiny_model(tmp_path / "tiny")

    done = subprocess.run(
        [sys.executable, "-c", _LOADS_FIRST, str(folder)],
        capture_output=True,
        text=True,
        timeout=scaled(120),
        check=False,
    )

    assert done.stdout.split() == ["loading", "ready"], done.stderr
