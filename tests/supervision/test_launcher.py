"""supervisord, imported before there is anything for it to run: begins on a word, and only then."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local_ai.errors import ServerError
from local_ai.settings.paths import Paths
from local_ai.supervision.supervisord import Launcher

pytestmark = pytest.mark.integration


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config", tmp_path, tmp_path / "data", tmp_path / "hub")


def launchers(paths: Paths) -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if str(paths.conf) in child.cmdline()]


def test_start_that_is_refused_leaves_no_launcher(paths: Paths):
    with Launcher(paths) as launcher:
        launcher.prepare()
        waiting = launchers(paths)

    assert len(waiting) == 1
    assert launchers(paths) == []


def test_start_that_was_killed_starts_nothing(paths: Paths):
    command = [sys.executable, "-P", "-m", "local_ai.launcher", "-c", str(paths.conf)]

    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_running_server_is_not_prepared_for(paths: Paths):
    paths.supervisor_socket.touch()

    with Launcher(paths) as launcher:
        launcher.prepare()

        assert launchers(paths) == []


def test_mistake_in_supervisord_itself_is_told_by_its_last_line(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor/__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with Launcher(paths) as launcher, pytest.raises(ServerError) as raised:
        launcher.launch()

    assert raised.value.why == "ModuleNotFoundError: No module named 'supervisor.supervisord'"


def test_complaint_of_supervisord_is_told(paths: Paths):
    paths.conf.write_text("[supervisord]\nloglevel = loud\n")

    with Launcher(paths) as launcher, pytest.raises(ServerError) as raised:
        launcher.launch()

    assert raised.value.what == "supervisord did not start"
    assert raised.value.why == "bad logging level name 'loud'"
