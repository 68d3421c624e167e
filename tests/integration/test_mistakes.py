"""Every mistake gets what, why and fix: no traceback, and nothing half started."""

import sys
from pathlib import Path

import pytest
from tests.server import SCRIPT, Server

pytestmark = pytest.mark.integration

CHECKOUT = Path(__file__).parents[2]


def write_config(server: Server, text: str) -> Path:
    file = server.paths.config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def refused(server: Server, *words: str, code: int, **extra: str) -> str:
    done = server.run(*words, **extra)

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert server.processes() == []
    return done.stderr


def test_typo_in_a_key(server: Server):
    file = write_config(server, "[server]\nprot = 1\n")

    assert refused(server, "server.start", code=2) == (
        "error: a setting is not valid\n"
        f"  why: server.prot: unknown key; did you mean server.port? ({file})\n"
        "  fix: correct what is named above, then run: local-ai config check\n"
        f"  see: {file}\n"
    )


def test_wrong_type(server: Server):
    file = write_config(server, '[server]\nport = "eighty"\n')

    assert refused(server, "server.start", code=2) == (
        "error: a setting is not valid\n"
        f"  why: server.port: must be a whole number, got 'eighty' ({file})\n"
        "  fix: correct what is named above, then run: local-ai config check\n"
        f"  see: {file}\n"
    )


def test_wrong_value_on_the_command_line(server: Server):
    assert refused(server, "server", "start", "--port", "99999", code=2) == (
        "error: a setting is not valid\n"
        "  why: server.port: must be 1–65535, got '99999' (command line)\n"
        "  fix: correct what is named above, then run: local-ai config check\n"
    )


def test_broken_toml(server: Server):
    file = write_config(server, "[server\n")

    assert refused(server, "server.start", code=2) == (
        "error: the settings file is not valid TOML\n"
        f"  why: {file}: expected ']' at the end of a table declaration (at line 1, column 8)\n"
        "  fix: correct that place, then run: local-ai config check\n"
        "  see: https://toml.io/en/v1.0.0\n"
    )


def test_missing_file_named_by_config(server: Server):
    file = server.home / "nowhere.toml"

    assert refused(server, "server.start", "--config", "nowhere.toml", code=2) == (
        "error: the settings file cannot be read\n"
        f"  why: --config names {file}, which is not there\n"
        f"  fix: correct the path, or create the file with: local-ai config init --config {file}\n"
    )


def test_unwritable_state_directory(server: Server):
    blocked = server.home / "a-file"
    blocked.write_text("in the way")

    assert refused(server, "server.start", code=2, XDG_STATE_HOME=str(blocked)) == (
        "error: the state directory cannot be used\n"
        f"  why: {blocked}/local-ai cannot be written to: Not a directory\n"
        "  fix: set XDG_STATE_HOME to a folder you can write to\n"
    )


def test_unknown_model(server: Server):
    assert refused(server, "server.start", "--model", "tinny", code=2) == (
        "error: the model was not found\n"
        "  why: model.path is 'tinny', which is not a model on this machine\n"
        "  fix: set model.path (or --model) to tiny\n"
    )


def test_missing_engine_package(server: Server):
    # An environment in which the look-up finds nothing, as where the package was never installed.
    hide = server.home / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text("import sys\nsys.modules['mlx_lm'] = None\n")

    text = refused(server, "server.start", code=1, PYTHONPATH=str(hide))

    assert text.startswith("error: the engine is not installed\n  why: missing from ")
    assert text.endswith(": mlx-lm\n  fix: uv sync (in the checkout), or reinstall local-ai\n")


def test_unknown_variable_is_warned_about_and_the_nearest_named(server: Server):
    done = server.run("config.check", LOCAL_AI_SERVER__PRT="1")

    assert done.returncode == 0
    assert done.stderr == (
        "warning: LOCAL_AI_SERVER__PRT is not a setting and is ignored; did you mean LOCAL_AI_SERVER__PORT?\n"
    )


def test_wrong_usage_ends_with_code_2_and_a_fix(server: Server):
    assert refused(server, "server", "strt", code=2) == (
        "error: there is no command server strt\n"
        "  why: server has: start, stop, restart, status, logs\n"
        "  fix: did you mean: local-ai server start\n"
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("server.start", "--timeout", "soon"), "--timeout must be a number of seconds, got 'soon'"),
        (("server.logs", "--lines", "-1"), "--lines must be a whole number, 0 or more, got '-1'"),
        (
            ("server.logs", "--program", "nobody"),
            "--program is 'nobody', must be one of mlx-omni-server, welcome-page, omni, supervisord",
        ),
    ],
    ids=["timeout", "lines", "program"],
)
def test_wrong_value_of_an_option(server: Server, words: tuple[str, ...], why: str):
    assert f"  why: {why}\n" in refused(server, *words, code=2)


def test_logs_before_the_first_start(server: Server):
    assert refused(server, "server.logs", code=3) == (
        "error: there is no log yet\n"
        f"  why: {server.paths.log('mlx-omni-server')} does not exist\n"
        "  fix: local-ai server start\n"
    )


@pytest.mark.parametrize(
    ("program", "uv", "fix"),
    [
        ("local-ai", {}, "local-ai server start"),
        ("inv", {}, "inv server.start"),
        ("inv", {"UV": "/usr/bin/uv"}, "uv run inv server.start"),
    ],
    ids=["console script", "inv", "inv by uv run"],
)
def test_a_command_to_type_next_is_written_as_the_last_one_was(
    server: Server, program: str, uv: dict[str, str], fix: str
):
    server.environment.update(uv)

    done = server.shell(f"cd {CHECKOUT} && {Path(sys.executable).parent / program} server.status")

    assert done.stdout.splitlines()[-1] == f"  fix: {fix}"


@pytest.mark.parametrize("closed", [">&-", "2>&-"], ids=["stdout", "stderr"])
def test_nobody_who_listens_is_no_mistake(server: Server, closed: str):
    done = server.shell(f"{SCRIPT} server status {closed}")

    assert (done.returncode, done.stderr) == (3, "")
