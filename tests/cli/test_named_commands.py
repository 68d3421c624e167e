"""Every command that a text names exists with its options, and runs from anywhere with a plain PATH."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.server import SCRIPT
from tests.waits import scaled

from local_ai.cli.command_list import COMMANDS, GROUPS, find_command

ROOT = Path(__file__).parents[2]
TEXTS = [
    *(ROOT / "src").rglob("*.py"),
    *(path for path in (ROOT / "templates").rglob("*") if path.suffix in {".html", ".js", ".conf"}),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "config.example.toml",
    ROOT / "README.md",
]
_NAMED = re.compile(rf"\blocal-ai ({'|'.join(GROUPS)}) ([a-z]+)\b([^`\"'\n]*)")


def named() -> set[tuple[str, str, str]]:
    return {found for path in TEXTS for found in _NAMED.findall(path.read_text())}


def test_every_command_that_a_text_names_exists_with_its_options():
    wrong = []
    for group, word, rest in named():
        command = find_command(group, word)
        flags = re.findall(r"(?:^| )(--[a-z-]+)", re.split(r" -- |[;,.()|#]", rest)[0])
        if command is None or any(command.option(flag) is None for flag in flags if flag != "--help"):
            wrong.append(f"local-ai {group} {word}{rest}")

    assert wrong == []
    assert len({(group, word) for group, word, _ in named()}) > len(COMMANDS) / 2


def test_no_text_names_a_command_that_only_a_checkout_has():
    texts = [path for path in TEXTS if path.suffix != ".md" and path.parent.name != "cli"]

    assert [
        path for path in texts if re.search(r"\binv (server|models|client|config)\.", path.read_text())
    ] == []


@pytest.mark.parametrize("title", sorted({f"{group} {word}" for group, word, _ in named()}))
def test_command_that_a_text_names_runs_from_the_root_folder_with_a_plain_path(title: str, tmp_path: Path):
    (tmp_path / "local-ai").symlink_to(SCRIPT)
    environ = {"PATH": f"{tmp_path}{os.pathsep}/usr/bin:/bin", "HOME": str(tmp_path)}

    done = subprocess.run(
        ["sh", "-c", f"local-ai {title} --help"],
        cwd="/",
        env=environ,
        capture_output=True,
        text=True,
        timeout=scaled(30),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: local-ai {title}")
