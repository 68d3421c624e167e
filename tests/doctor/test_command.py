"""`doctor` as it is typed."""

import json
import re
from pathlib import Path

import pytest
from tests.server import Server

pytestmark = pytest.mark.integration


def listed(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_doctor_has_a_line_for_each_check_and_changes_nothing(server: Server):
    before = listed(server.home)

    shown = server.run("doctor")

    assert shown.returncode == 0, shown.stdout + shown.stderr
    *lines, counts = [line for line in shown.stdout.splitlines() if re.match(r"\S", line)]
    assert all(re.match(r"(✓ ok|! warning|✕ wrong) ", line) for line in lines)
    assert re.fullmatch(r"\d+ ok(, \d+ warning)?", counts)
    assert listed(server.home) == before


def test_doctor_says_what_it_fixes_and_does_it(server: Server):
    state = server.paths.state_dir
    state.mkdir(parents=True)
    state.chmod(0o755)

    named = server.run("doctor")
    assert f"            fix: chmod 700 {state}\n" in named.stdout
    assert named.stdout.endswith("To do the safe fixes: local-ai doctor --fix\n")
    assert state.stat().st_mode & 0o777 == 0o755

    fixed = server.run("doctor", "--fix", "--json")
    assert fixed.stderr == f"Fixing: chmod 700 {state}\n"
    assert json.loads(fixed.stdout)["fixed"] == [f"chmod 700 {state}"]
    assert state.stat().st_mode & 0o777 == 0o700


def test_doctor_ends_with_the_code_of_what_is_wrong(server: Server):
    shown = server.run("doctor", LOCAL_AI_SERVER__PORT="x")

    assert shown.returncode == 2
    assert "✕ wrong    settings " in shown.stdout
