"""What the README says is true."""

import re
import tomllib
from pathlib import Path

import pytest

from local_ai.cli.tasks import namespace
from local_ai.settings.load import flatten, load

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("example", blocks("toml"))
def test_settings_example_is_valid(tmp_path: Path, example: str):
    file = tmp_path / "config.toml"
    file.write_text(example)

    loaded = load(config_path=file, environ={})

    assert set(loaded.origins) == set(flatten(tomllib.loads(example)))


@pytest.mark.parametrize("name", namespace().task_names)
def test_every_command_is_in_the_table(name: str):
    assert f"`{name}" in README


@pytest.mark.parametrize("name", ["server.start", "server.stop", "server.status", "server.logs"])
def test_every_option_is_in_the_table(name: str):
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{name}")]
    options = {argument.name.replace("_", "-") for argument in namespace()[name].get_arguments()}

    assert {option for option in options if f"--{option}" not in row} == set()


def test_ci_runs_the_test_command_of_the_readme():
    (first,) = [block for block in blocks("console") if "inv check" in block]
    command = next(line for line in first.splitlines() if "inv check" in line)

    assert "uv run inv check" in command
    assert "pip install -q uv && uv run inv check" in (CHECKOUT / ".ci/run").read_text()


@pytest.mark.parametrize("name", re.findall(r"\]\(#([^)]+)\)", README))
def test_links_lead_to_headings(name: str):
    assert name in re.findall(r"^## (\w+)$", README.lower(), re.MULTILINE)


@pytest.mark.parametrize("name", re.findall(r"\]\((?!http|#)([^)]+)\)", README))
def test_links_lead_to_files(name: str):
    assert (CHECKOUT / name).is_file()


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{file.name}" for file in (CHECKOUT / "docs").glob("*.md"))]
)
def test_tests_that_a_page_names_exist(page: str):
    named = re.findall(r"`(tests/[\w/.]+)`", (CHECKOUT / page).read_text())

    assert [name for name in named if not (CHECKOUT / name).exists()] == []
