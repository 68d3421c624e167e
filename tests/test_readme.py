"""What the README says is true."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from local_ai.cli.parser import parse
from local_ai.cli.tasks import namespace
from local_ai.models.kv_cache import kv_cache_bytes
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


def named_commands() -> set[str]:
    """Find what README and docs have people type after `local-ai`, in code blocks and within sentences."""
    pages = "\n".join(
        page.read_text() for page in (CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md"))
    )
    in_blocks = re.findall(r"^ *\$ (?:\w+=\S+ |eval \"\$\(|uv run )*local-ai ([^#\n)]+)", pages, re.MULTILINE)
    in_sentences = re.findall(r"`(?:\w+=\S+ )?local-ai ([a-z][^`|…=]*)`", pages)
    return {command.strip() for command in (*in_blocks, *in_sentences)}


@pytest.mark.parametrize("command", sorted(named_commands()))
def test_command_that_a_page_names_is_understood(command: str):
    wanted = parse(shlex.split(command))

    assert wanted.command or wanted.is_help


@pytest.mark.parametrize("name", sorted(set(re.findall(r"python -m ([a-z_.]+)", README))))
def test_module_that_the_readme_runs_exists(name: str):
    path = Path(*name.split("."))
    places = [CHECKOUT / path, CHECKOUT / "src" / path]

    assert any(place.with_suffix(".py").is_file() or (place / "__main__.py").is_file() for place in places)


# Parameters in billions, and the layers, kv heads and head size of the models' config.json.
MODELS = {
    "Llama-3.2-3B-Instruct-4bit": (3.21, 28, 8),
    "Qwen3-8B-4bit": (8.19, 36, 8),
    "Qwen3-14B-4bit": (14.77, 40, 8),
    "Qwen3-Coder-30B-A3B-Instruct-4bit": (30.53, 48, 4),
    "Llama-3.3-70B-Instruct-4bit": (70.55, 80, 8),
}


@pytest.mark.parametrize("name", MODELS)
def test_memory_of_a_model_is_what_local_ai_estimates(name: str):
    (row,) = [line for line in README.splitlines() if line.startswith("|") and f"/{name}`" in line]
    machine, *_, weights, cache, together = map(float, re.findall(r"([\d.]+) GB", row))
    billions, layers, kv_heads = MODELS[name]
    config = {"num_hidden_layers": layers, "num_key_value_heads": kv_heads, "head_dim": 128}

    # 4 bits a weight, and a scale and a bias of 16 bits for every 64 weights.
    expected = billions * 4.5 / 8, kv_cache_bytes(config, 32_768) / 1e9

    assert (weights, cache) == pytest.approx(expected, abs=0.06)
    assert together == pytest.approx(sum(expected), abs=0.1)
    assert together <= 0.7 * machine


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


def test_tests_that_the_page_on_reliability_names_exist():
    page = (CHECKOUT / "docs/reliability.md").read_text()
    folders = [CHECKOUT / "tests" / name for name in ("faults", "integration")]
    text = {file.stem[5:]: file.read_text() for folder in folders for file in folder.glob("test_*.py")}
    named = [
        (file, name.strip())
        for file, names in re.findall(r"`(\w+)`: ([\w…, ]+)", page)
        for name in names.split(",")
    ]

    assert len(named) > 40
    assert [
        (file, name)
        for file, name in named
        if f"def test_{name.removesuffix('…')}" + ("" if name.endswith("…") else "(") not in text[file]
    ] == []
