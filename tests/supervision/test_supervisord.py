"""How supervisord is started, and its end is seen."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waits import scaled

from local_ai.errors import ServerError
from local_ai.settings.paths import Paths
from local_ai.supervision.rpc import SupervisorClient, SupervisorUnreachable
from local_ai.supervision.supervisord import launch, wait_gone, waiting


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config", tmp_path, tmp_path / "data", tmp_path / "hub", tmp_path / "cache")


def test_a_living_process_is_not_gone():
    assert not wait_gone(os.getpid(), timeout_s=0.05)


def test_a_zombie_is_gone():
    with subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not waited for yet

        assert wait_gone(child.pid, timeout_s=0.05)

    assert wait_gone(child.pid, timeout_s=0.05)


@pytest.mark.integration
def test_mistake_in_supervisord_itself_is_told_by_its_last_line(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor/__init__.py").touch()
    (tmp_path / "supervisor/supervisord.py").write_text("import nothing_like_it")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(ServerError) as raised, waiting(paths, foreground=False) as process:
        launch(process, paths)

    assert raised.value.why == "ModuleNotFoundError: No module named 'nothing_like_it'"


@pytest.mark.integration
def test_complaint_of_supervisord_is_told(paths: Paths):
    paths.conf.write_text("[supervisord]\nloglevel = loud\n")

    with pytest.raises(ServerError) as raised, waiting(paths, foreground=False) as process:
        launch(process, paths)

    assert raised.value.what == "supervisord did not start"
    assert raised.value.why == "bad logging level name 'loud'"


@pytest.mark.integration
def test_supervisord_ends_where_the_command_that_started_it_ends(paths: Paths):
    with waiting(paths, foreground=True) as process:
        assert process.stdin
        process.stdin.close()

        assert process.wait(scaled(10)) == 0

    assert list(paths.state_dir.iterdir()) == []


@pytest.mark.integration
def test_supervisord_is_killed_where_its_start_fails(paths: Paths):
    with pytest.raises(OSError, match="full"), waiting(paths, foreground=False) as process:
        raise OSError("full")

    assert process.returncode == -signal.SIGKILL


def test_supervisord_does_not_run_where_its_folder_is_a_file(tmp_path: Path):
    (tmp_path / "local-ai").touch()

    with pytest.raises(SupervisorUnreachable):
        SupervisorClient(tmp_path / "local-ai/supervisord.sock").pid()
