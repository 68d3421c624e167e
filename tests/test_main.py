"""The console script is quick: it imports what its command needs, and never invoke."""

import subprocess
import sys

import pytest
from tests.server import Server


@pytest.mark.parametrize(
    "words",
    [
        ["server.stop"],
        ["server", "logs"],
        ["server", "start", "--help"],
        ["nonsense"],
        ["--complete", "s"],
    ],
    ids=" ".join,
)
def test_quick_commands_import_nothing_heavy(server: Server, words: list[str]):
    heavy = {"invoke", "pydantic", "httpx", "rich", "jinja2", "starlette"}
    code = (
        "import os, sys; sys.argv[0] = 'local-ai'\n"
        f"os._exit = lambda code: print({heavy} & set(sys.modules))\n"
        "from local_ai.__main__ import main; main()"
    )

    done = server.python("-c", code, *words)

    assert done.stdout.splitlines()[-1] == "set()"


def test_status_of_a_running_server_imports_nothing_heavy():
    heavy = {"invoke", "pydantic", "httpx", "rich", "jinja2", "starlette"}
    modules = "sys, local_ai.cli.commands.server, local_ai.lifecycle.manager"
    code = f"import {modules}; print({heavy} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_module_is_a_way_in_of_its_own(server: Server):
    done = server.python("-m", "local_ai", "status")

    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, "  fix: python -m local_ai server start")


def test_version_is_told():
    done = subprocess.run(
        [sys.executable, "-m", "local_ai", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("local-ai ")
