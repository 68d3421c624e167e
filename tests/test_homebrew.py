"""The Homebrew formula says what this version says. Homebrew itself is not run."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from local_ai.cli.completion import SCRIPT_OPTION
from local_ai.cli.parser import parse

CHECKOUT = Path(__file__).parents[1]
FORMULA = CHECKOUT / "packaging/homebrew/local-ai.rb"
TEXT = FORMULA.read_text()
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def said(name: str) -> list[str]:
    """Return the values of a word of the formula."""
    return re.findall(rf'^  {name} "(.+)"$', TEXT, re.MULTILINE)


def test_formula_has_the_version_and_licence_of_the_project():
    (url,) = said("url")

    assert url.endswith(
        f"/v{PROJECT['version']}/local_ai-{PROJECT['version']}.tar.gz"
    )  # as `uv build` names it
    assert said("license") == [PROJECT["license"]]
    assert PROJECT["description"].startswith(said("desc")[0].split(",")[0])


def test_formula_takes_one_python_and_one_that_the_project_names():
    (python,) = {*re.findall(r"python@?(3\.\d+)", TEXT)}

    assert said("depends_on") == [f"python@{python}"]
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]


def test_formula_runs_commands_that_there_are():
    (service,) = re.findall(r'run \[opt_bin/"local-ai", (.+)\]', TEXT)
    tested = re.findall(r'system bin/"local-ai", (.+)$', TEXT, re.MULTILINE)

    for words in (service, *tested):
        assert parse([word.strip('" ') for word in words.split(",")]).command
    assert f'generate_completions_from_executable(bin/"local-ai", "{SCRIPT_OPTION}")' in TEXT


def test_formula_is_ruby():
    ruby = shutil.which("ruby")
    if ruby is None:
        pytest.skip("no ruby on this machine")

    done = subprocess.run([ruby, "-wc", str(FORMULA)], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "Syntax OK\n", "")
