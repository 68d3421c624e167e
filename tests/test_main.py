"""The quick way past invoke for the server's commands: same words, same meaning."""

import subprocess
import sys

import pytest
from tests.server import Server

from local_ai.__main__ import _QUICK, parse_quick
from local_ai.cli.tasks import namespace


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["server.status"], {}),
        (["server.status", "--json"], {"as_json": True}),
        (["server.start", "--port", "1", "--foreground"], {"port": "1", "foreground": True}),
        (["server.stop", "--timeout", "3", "--force"], {"timeout": "3", "force": True}),
        (
            ["server.logs", "--program", "welcome-page", "--lines", "2"],
            {"program": "welcome-page", "lines": "2"},
        ),
    ],
    ids=" ".join,
)
def test_plain_forms_are_quick(words: list[str], arguments: dict[str, object]):
    assert parse_quick(words) == arguments


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["server.start", "here"],
        ["server.status", "--help"],
        ["server.stop", "--timeout"],
        ["server.stop", "--timeout=3"],
        ["server.logs", "welcome-page"],
    ],
    ids=" ".join,
)
def test_every_other_form_is_left_to_invoke(words: list[str]):
    assert parse_quick(words) is None


@pytest.mark.parametrize("name", _QUICK)
def test_quick_commands_know_every_option_that_invoke_knows(name: str):
    known = {"--" + argument.name.replace("_", "-") for argument in namespace()[name].get_arguments()}

    assert set(_QUICK[name]) == known


def test_quick_commands_import_nothing_heavy():
    heavy = {
        "invoke",
        "pydantic",
        "httpx",
        "rich",
        "jinja2",
        "psutil",
        "dataclasses",
        "http.client",
    }
    heavy |= {"dataclasses", "difflib", "email", "inspect", "ssl", "subprocess", "tempfile", "xmlrpc.client"}
    code = f"import sys, local_ai.cli.server, local_ai.lifecycle.manager; print({heavy} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    "words",
    [
        ["server.status"],
        ["server.status", "--json"],
        ["server.stop"],
        ["server.stop", "--timeout", "soon"],
        ["server.logs"],
        ["server.logs", "--program", "nobody"],
        ["server.start", "--port", "0"],
        ["server.restart", "--config", "nowhere.toml"],
    ],
    ids=" ".join,
)
def test_the_quick_way_and_invoke_print_the_same(words: list[str], server: Server):
    quick = server.run(*words)
    # A form that invoke knows and the quick way does not, so that the same command goes the other way.
    by_invoke = server.run(*words, "--")

    assert (quick.returncode, quick.stdout, quick.stderr) == (
        by_invoke.returncode,
        by_invoke.stdout,
        by_invoke.stderr,
    )
