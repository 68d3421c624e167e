"""Waits grow with the machine's slowness; children have the signals they have anywhere; all is ended."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
from tests.waits import scaled, slowness


def test_waits_are_never_shorter_than_on_a_quiet_machine():
    assert 1 <= slowness() <= 10
    assert scaled(60) == 60 * slowness()


def test_children_take_ctrl_c_also_where_the_tests_were_begun_in_the_background():
    inner = Path(__file__).with_name("server.py").parent / "conftest.py"
    code = (
        f"import signal, sys; sys.path.insert(0, {str(inner.parents[1])!r}); import pytest; "
        "from tests.conftest import pytest_configure; "
        "config = type('Config', (), {'getoption': lambda *a: 1})(); pytest_configure(config); "
        "sys.exit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    )

    done = subprocess.run(["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", code])

    assert done.returncode == 0


def test_failed_test_ends_what_it_started(tmp_path: Path):
    """A test that fails with a command in the background leaves no process."""
    file = tmp_path / "test_fails.py"
    file.write_text(
        "def test_fails(server):\n"
        "    begun = server.popen('logs', '--follow')\n"
        f"    open({str(tmp_path / 'pid')!r}, 'w').write(str(begun.pid))\n"
        "    assert False\n"
    )
    root = Path(__file__).parents[1]
    words = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", str(root / "pyproject.toml"), str(file)]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *words],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=scaled(60),
    )

    assert "1 failed" in done.stdout, done.stdout + done.stderr
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
