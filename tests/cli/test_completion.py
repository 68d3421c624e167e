"""Completion offers what the declarations allow, in the forms that people type."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gateway.fakes import make_model

from local_ai.cli.completion import candidates, completion_script
from local_ai.errors import ConfigError
from local_ai.settings.paths import find_paths


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ser"], ["server", "service"]),
        (["sta"], ["start", "status"]),
        (["server", "st"], ["start", "stop", "status"]),
        (["server.st"], ["server.start", "server.stop", "server.status"]),
        (["server", "logs", "--pro"], ["--program"]),
        (["logs", "--program", "e"], ["engine"]),
        (["server", "start", "--port", "1", "--fo"], ["--foreground"]),
        (["server", "start", "--log-level", ""], ["DEBUG", "INFO", "WARNING", "ERROR"]),
        (["models", "--js"], ["--json"]),
        (["client", "launch", "c"], ["claude-code", "codex"]),
        (["help", "config", ""], ["show", "check", "reload", "init"]),
        (["server", "stop", "--force", "--"], ["--timeout", "--help"]),
        (["server", "start", "--config", ""], []),
        (["--print-completion-script", "z"], ["zsh"]),
        (["nonsense", ""], []),
    ],
    ids=lambda words: " ".join(words),
)
def test_completion_offers_what_can_stand_there(words: list[str], offered: list[str]):
    assert candidates(words) == offered


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home with two models and an alias."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    for name in ("qwen-small", "smol"):
        make_model(find_paths().models_dir / name)
    (tmp_path / "config.toml").write_text('[models]\npaths = []\n[aliases]\nquick = "smol"\n')
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [["models", "use", ""], ["models.use", ""], ["models", "info", "--json", ""], ["start", "--model", ""]],
    ids=" ".join,
)
def test_models_and_aliases_are_offered_where_a_model_is_named(models: Path, words: list[str]):
    assert sorted(candidates(words)) == ["quick", "qwen-small", "smol"]
    assert sorted(candidates([*words[:-1], "q"])) == ["quick", "qwen-small"]


def test_no_model_is_offered_where_none_can_stand(models: Path):
    assert candidates(["models", "use", "smol", ""]) == []
    assert candidates(["models", "pull", ""]) == []


def test_settings_that_are_wrong_offer_no_models(models: Path):
    (models / "config.toml").write_text("[nonsense]\n")

    assert candidates(["models", "use", ""]) == []


def test_unknown_shell_is_told_which_there_are():
    with pytest.raises(ConfigError) as refused:
        completion_script("tcsh")

    assert str(refused.value) == (
        "error: there is no completion for that shell\n"
        "  why: --print-completion-script is 'tcsh', must be one of bash, zsh, fish\n"
        "  fix: local-ai --print-completion-script bash"
    )


def test_bash_completes_the_space_form():
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    line = (
        "source <(local-ai --print-completion-script bash); COMP_WORDS=(local-ai server st); COMP_CWORD=2; "
        '_local_ai; echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run([bash, "-c", line], env={"PATH": path}, capture_output=True, text=True, check=True)

    assert done.stdout == "start stop status\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_the_script(shell: str):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine")

    done = subprocess.run([program, "-n"], input=completion_script(shell), capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
