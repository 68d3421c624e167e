"""What must be right before anything is started."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from local_ai.errors import LocalAIError
from local_ai.lifecycle import preflight
from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(
        tmp_path / "config",
        tmp_path / "state/local-ai",
        tmp_path / "data",
        tmp_path / "hub",
        tmp_path / "cache",
    )


def model_folder(folder: Path, *, weights: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    if weights:
        (folder / "model.safetensors").write_bytes(b"0")
    return folder


def refusal(paths: Paths) -> LocalAIError:
    with pytest.raises(LocalAIError) as caught:
        preflight.prepare_folders(paths)
    return caught.value


def test_folders_are_made_private_whatever_the_umask(paths: Paths):
    old = os.umask(0)
    try:
        preflight.prepare_folders(paths)
    finally:
        os.umask(old)

    assert [folder.stat().st_mode & 0o777 for folder in (paths.state_dir, paths.logs_dir)] == [0o700, 0o700]


def test_unwritable_state_directory_is_told(paths: Paths):
    paths.state_dir.parent.write_text("a file in the way")

    error = refusal(paths)

    assert error.exit_code == 2
    assert str(error) == (
        "error: the state directory cannot be used\n"
        f"  why: {paths.state_dir} cannot be written to: Not a directory\n"
        "  fix: set XDG_STATE_HOME to a folder you can write to"
    )


def test_state_directory_behind_a_link_is_refused(paths: Paths, tmp_path: Path):
    paths.state_dir.parent.mkdir()
    (tmp_path / "elsewhere").mkdir()
    paths.state_dir.symlink_to(tmp_path / "elsewhere")

    assert str(refusal(paths)) == (
        "error: the state directory cannot be used\n"
        f"  why: {paths.state_dir} is a symbolic link, which could lead anywhere\n"
        "  fix: set XDG_STATE_HOME to a folder you can write to"
    )


def test_log_that_supervisord_would_wait_for_is_refused(paths: Paths):
    log = paths.log("supervisord")
    log.parent.mkdir(parents=True, mode=0o700)
    os.mkfifo(log)

    assert str(refusal(paths)) == (
        f"error: the log cannot be used\n  why: {log} is not a regular file\n  fix: mv {log} {log}.old"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_root_in_another_users_home_is_refused(paths: Paths, tmp_path: Path):
    os.chown(tmp_path, 12345, 12345)

    error = refusal(paths)

    assert str(error) == (
        "error: refused to run as root in another user's home\n"
        f"  why: {tmp_path} belongs to user 12345; files made there by root would lock that user out\n"
        "  fix: run the same command without sudo"
    )


def test_socket_path_that_is_too_long_gets_a_short_folder(paths: Paths, tmp_path: Path):
    long = replace(paths, state_dir=tmp_path / ("x" * 100))

    preflight.prepare_folders(long)

    assert long.socket_dir.stat().st_mode & 0o777 == 0o700
    long.socket_dir.rmdir()


def test_socket_path_that_is_too_long_is_told_when_the_short_folder_is_not_ours(paths: Paths, tmp_path: Path):
    long = replace(paths, state_dir=tmp_path / ("x" * 100))
    long.socket_dir.symlink_to(tmp_path)

    error = refusal(long)

    long.socket_dir.unlink()
    assert error.exit_code == 2
    assert str(error) == (
        "error: there is no folder for the sockets\n"
        f"  why: the state directory's path is too long for a socket ({long.state_dir}, at most 90 bytes "
        f"with the socket's name), and the folder used instead {long.socket_dir} is a symbolic link, "
        "which could lead anywhere\n"
        "  fix: set XDG_STATE_HOME to a folder with a shorter path"
    )


def test_missing_engine_package_is_told(monkeypatch: pytest.MonkeyPatch):
    # What an environment without the package looks like to a look-up.
    monkeypatch.setitem(sys.modules, "mlx_lm", None)

    with pytest.raises(LocalAIError) as caught:
        preflight.check_packages("mlx-lm")

    assert caught.value.exit_code == 1
    assert str(caught.value) == (
        "error: the engine is not installed\n"
        f"  why: missing from {sys.prefix}: mlx-lm\n"
        "  fix: uv sync (in the checkout), or reinstall local-ai"
    )


def test_omni_is_missed_only_where_it_is_to_generate_text(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mlx_omni_server", None)

    preflight.check_packages("mlx-lm")
    with pytest.raises(LocalAIError) as caught:
        preflight.check_packages("mlx-omni-server")

    assert str(caught.value) == (
        "error: MLX Omni Server is not installed\n"
        f'  why: engine.text is "mlx-omni-server", and {sys.prefix} has no such package\n'
        "  fix: run it in the checkout, which installs it, or set engine.text back to mlx-lm"
    )


def test_unknown_model_is_told_with_the_nearest_name(paths: Paths):
    model_folder(paths.models_dir / "Llama-3.2-1B")

    with pytest.raises(LocalAIError) as caught:
        preflight.check_model("llama-3.2-1b", paths)

    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "error: the model was not found\n"
        "  why: model.path is 'llama-3.2-1b', which is not a model on this machine\n"
        "  fix: set model.path (or --model) to Llama-3.2-1B"
    )


def test_name_on_the_hub_is_told_how_to_get_it(paths: Paths):
    with pytest.raises(LocalAIError) as caught:
        preflight.check_model("mlx-community/Nothing-4bit", paths)

    assert caught.value.fix == (
        "local-ai models pull mlx-community/Nothing-4bit downloads it; "
        "or set model.path (or --model) to SmolLM2-135M-Instruct"
    )


def test_unknown_model_offers_the_starter_when_there_is_no_other(paths: Paths):
    with pytest.raises(LocalAIError) as caught:
        preflight.check_model("gpt-4o", paths)

    assert caught.value.fix == "set model.path (or --model) to SmolLM2-135M-Instruct"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda folder: None, ", and there is no such folder"),
        (lambda folder: folder.mkdir(), ", but that folder holds no config.json"),
        (lambda folder: model_folder(folder, weights=False), ": no weights ("),
    ],
    ids=["missing", "empty", "no-weights"],
)
def test_folder_that_is_no_model_is_told(paths: Paths, tmp_path: Path, make, why: str):
    folder = tmp_path / "model"
    make(folder)

    with pytest.raises(LocalAIError) as caught:
        preflight.check_model(str(folder), paths)

    assert caught.value.why.startswith(f"model.path is {str(folder)!r}{why}")


def test_model_folder_anywhere_and_the_starter_pass(paths: Paths, tmp_path: Path):
    preflight.check_model(str(model_folder(tmp_path / "mine")), paths)
    preflight.check_model("SmolLM2-135M-Instruct", paths)
    preflight.check_model(None, paths)


def test_places_that_are_not_there_are_warned_of_not_refused(paths: Paths, tmp_path: Path):
    model_folder(paths.models_dir / "tiny")
    settings = LocalAISettings.model_validate(
        {
            "models": {
                "paths": ["~/.lmstudio/models", str(tmp_path / "gone")],
                "away/1.5": {"aliases": ["o4"]},
                "tiny": {"chat_template": "/no/such", "adapter_path": "/none", "context_tokens": 10**9},
            },
            "aliases": {"gpt-4o": "tiny", "o3": "default", "claude-*": "lost"},
        }
    )

    warnings = preflight.check_places(settings, paths.with_model_folders(settings.models.paths))

    assert warnings == [
        f"models.paths: {tmp_path / 'gone'} is not a folder; it is skipped until it exists",
        "aliases: 'claude-*' leads to 'lost', which is not a model on this machine",
        'models."away/1.5": this is not a model on this machine; it is skipped until it is one',
        "models.tiny.chat_template: /no/such is not a file, so the model cannot be loaded",
        "models.tiny.adapter_path: /none is not a folder, so the model cannot be loaded",
    ]


def test_limit_of_processes_below_the_usual_one_is_used_as_far_as_it_goes():
    """Where it may not have what it asks for, supervisord refuses to start."""
    words = "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (90, 90)); "
    asks = "from local_ai.lifecycle.preflight import most_processes; print(most_processes())"

    done = subprocess.run([sys.executable, "-c", words + asks], capture_output=True, text=True)

    assert done.stdout == "90\n", done.stderr
