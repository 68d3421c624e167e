"""Completion offers what the declarations allow, in the forms that people type."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.gateway.fakes import make_model
from tests.waits import scaled

from local_ai.cli.completion import candidates, completion_script
from local_ai.cli.completion_file import put_block, take_block
from local_ai.cli.run import run_words
from local_ai.entry import DEFAULT, set_entry
from local_ai.errors import ConfigError, LocalAIError
from local_ai.settings.paths import find_paths
from local_ai.settings.shell import completion_file

LOCAL_AI = Path(sys.executable).with_name("local-ai")


def environ(home: Path) -> dict[str, str]:
    """What a shell is given, with `local-ai` on its path."""
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    path = f"{LOCAL_AI.parent}{os.pathsep}{os.environ['PATH']}"
    return dict.fromkeys(names, str(home)) | {"PATH": path, "HF_HUB_CACHE": str(home / "hub")}


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


@pytest.mark.parametrize(
    ("shell", "file"),
    [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish/completions/local-ai.fish")],
)
def test_completion_is_written_once_and_taken_out_again(
    shell: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", f"/usr/local/bin/{shell}")
    monkeypatch.setattr(sys, "platform", "linux")
    written = tmp_path / file
    written.parent.mkdir(parents=True, exist_ok=True)
    mine = "alias l=ls  # \xff\r\n"
    written.write_bytes(mine.encode("latin-1"))
    written.chmod(0o640)

    assert completed("completion", "install") == f"Written: {written}\n"
    first = written.read_bytes()
    assert completed("completion", "install") == f"Up to date: {written}\n"
    assert written.read_bytes() == first
    written.write_bytes(first.replace(b"local-ai --complete", b"local-ai --older") + b"# later\n")
    assert completed("completion.install", shell) == f"Written: {written}\n"
    assert written.read_bytes() == first + b"# later\n"
    assert completed("completion", "install", "--undo") == f"Removed from {written}\n"
    assert written.read_bytes().decode("latin-1") == f"{mine}# later\n"
    assert written.stat().st_mode & 0o777 == 0o640
    assert completed("completion", "install", "--undo") == f"There is nothing of local-ai in {written}\n"


def test_completion_of_another_command_than_people_type_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("HOME", str(tmp_path))
    set_entry("uv run local-ai")

    try:
        completed("completion", "install", "bash")
    finally:
        set_entry(DEFAULT)

    told = "warning: it completes local-ai alone, not uv run local-ai: put it on your PATH\n"
    assert capsys.readouterr().err.endswith(told)


def test_file_with_half_a_block_is_left_as_it_is(tmp_path: Path):
    file = tmp_path / ".bashrc"
    put_block(file, completion_script("bash"))
    half = file.read_text().replace("# <<< local-ai completion <<<\n", "")
    file.write_text(half)

    for change in (take_block, lambda file: put_block(file, "")):
        with pytest.raises(LocalAIError, match="a block is from a line"):
            change(file)

    assert file.read_text() == half


def test_link_to_a_file_kept_elsewhere_stays_a_link(tmp_path: Path):
    (tmp_path / "dotfiles").write_text("mine")
    link = tmp_path / ".bashrc"
    link.symlink_to("dotfiles")

    put_block(link, "script\n")

    assert link.is_symlink()
    assert (tmp_path / "dotfiles").read_text().startswith("mine\n# >>> ")


@pytest.mark.parametrize(
    ("there", "file"),
    [
        ([], ".bash_profile"),
        ([".bash_profile", ".profile"], ".bash_profile"),
        ([".profile"], ".bashrc"),
        ([".bash_login"], ".bashrc"),
    ],
    ids=str,
)
def test_bash_on_a_mac_reads_its_profile_and_no_other_one_is_hidden(
    there: list[str], file: str, tmp_path: Path
):
    for name in there:
        (tmp_path / name).touch()

    assert completion_file("bash", {"HOME": str(tmp_path)}, platform="darwin") == tmp_path / file


@pytest.mark.parametrize(
    ("shell", "why"),
    [
        ("/bin/tcsh", "SHELL is '/bin/tcsh', and there is completion for bash, zsh, fish"),
        ("", "SHELL is not set"),
    ],
)
def test_shell_without_completion_is_told_how_to_name_one(
    shell: str, why: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SHELL", shell)

    with pytest.raises(ConfigError) as refused:
        run_words(["completion", "install"])

    assert str(refused.value) == (
        "error: there is no completion for your shell\n"
        f"  why: {why}\n"
        "  fix: name a shell: local-ai completion install bash"
    )


def test_name_that_bash_would_run_is_completed_and_not_run(models: Path):
    make_model(find_paths().models_dir / "$(touch ran)")
    line = (
        "source <(local-ai --print-completion-script bash); "
        "COMP_WORDS=(local-ai models use ''); COMP_CWORD=3; "
        'cd "$HOME"; _local_ai; printf "%s\\n" "${COMPREPLY[@]}"'
    )

    done = subprocess.run(
        ["bash", "-c", line], env=environ(models), capture_output=True, text=True, check=True
    )

    assert sorted(done.stdout.splitlines()) == ["\\$\\(touch\\ ran\\)", "quick", "qwen-small", "smol"]
    assert not (models / "ran").exists()


def test_zsh_completes_from_a_file_in_its_folders_of_functions(models: Path):
    program = shutil.which("zsh")
    if program is None:
        pytest.skip("no zsh on this machine")
    (models / "_local-ai").write_text(completion_script("zsh"))
    (models / ".zshrc").write_text("PS1='ready> '; fpath=(~ $fpath); autoload -Uz compinit; compinit -u\n")

    with Terminal([program, "-i"], environ(models) | {"TERM": "dumb"}) as terminal:
        terminal.wait_for("ready> ")
        terminal.type("local-ai models us\t")
        terminal.wait_for("use ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_completes_commands_and_models_in_a_real_shell(shell: str, models: Path):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine")
    own = {"bash": ".bashrc", "zsh": ".zshrc", "fish": "fish/config.fish"}[shell]
    (models / "fish").mkdir()
    (models / own).write_text(
        "function fish_prompt; echo 'ready> '; end\n" if shell == "fish" else "PS1='ready> '\n"
    )
    subprocess.run([LOCAL_AI, "completion", "install", shell], env=environ(models), check=True)

    with Terminal([program, "-i"], environ(models) | {"TERM": "dumb"}) as terminal:
        terminal.wait_for("ready> ")
        terminal.type("local-ai mod\t")
        terminal.wait_for("models ")
        terminal.type("us\t")
        terminal.wait_for("use ")
        terminal.type("qw\t")
        terminal.wait_for("qwen-small")


def completed(*words: str) -> str:
    """Run a command in this process; returns what it prints on stdout."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run_words(words) in (None, 0)
    return out.getvalue()


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._seen = ""
        self._pid, self._descriptor = pty.fork()
        if self._pid == 0:
            os.execve(command[0], command, env)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._descriptor)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until this is shown, behind what was waited for before."""
        deadline = time.monotonic() + scaled(20)
        while text not in self._seen:
            ready, _, _ = select.select([self._descriptor], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} was not shown: {self._seen!r}"
            self._seen += os.read(self._descriptor, 65536).decode()
        self._seen = self._seen.partition(text)[2]
