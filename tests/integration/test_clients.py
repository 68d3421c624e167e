"""The commands of `client`, with a program of the client's name that tells what it was given."""

import json

import pytest
from tests.server import SCRIPT, Server
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.integration


def test_env_is_evaluated_by_a_shell(running: Server):
    line = f'eval "$({SCRIPT} client env --for openai)" && curl -s "$OPENAI_BASE_URL/models/$OPENAI_MODEL"'

    done = running.shell(line)

    assert '"id":"tiny"' in done.stdout, done.stderr


def test_launch_runs_the_client_with_its_environment_and_words(running: Server):
    folder = running.home / "bin"
    folder.mkdir()
    program = folder / "claude"
    program.write_text(
        '#!/bin/sh\necho "$ANTHROPIC_BASE_URL $ANTHROPIC_DEFAULT_OPUS_MODEL [$1] [$2]"\nexit 7\n'
    )
    program.chmod(0o755)

    done = running.shell(f"PATH={folder}:$PATH {SCRIPT} client launch claude-code -- -p 'two words'")

    assert done.stdout == f"{running.url}/anthropic tiny [-p] [two words]\n"
    assert done.returncode == 7


def test_launch_tells_codex_its_server_on_the_command_line(running: Server):
    folder = running.home / "codex-bin"
    folder.mkdir()
    program = folder / "codex"
    program.write_text('#!/bin/sh\necho "$OPENAI_API_KEY"\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)

    done = running.shell(f"PATH={folder}:$PATH {SCRIPT} client launch codex -- exec 'two words'")

    key, *words = done.stdout.splitlines()
    assert key == "local"
    assert 'model="tiny"' in words
    assert any(f'base_url = "{running.url}/v1"' in word for word in words)
    assert words[-2:] == ["exec", "two words"]


def test_launch_tells_the_figures_of_the_model_that_will_answer(running: Server):
    make_tiny_model(running.paths.models_dir / "wide", context_tokens=40_000, tools=True)
    folder = running.home / "opencode-bin"
    folder.mkdir()
    program = folder / "opencode"
    program.write_text('#!/bin/sh\necho "$OPENCODE_CONFIG_CONTENT"\n')
    program.chmod(0o755)
    launch = f"PATH={folder}:$PATH {SCRIPT} client launch"

    chosen = running.shell(f"{launch} --model wide opencode")
    named = running.shell(f"{launch} opencode -- -m local-ai/wide")
    default = running.shell(f"{launch} opencode")
    unknown = running.shell(f"{launch} --model wid opencode")

    told = [json.loads(done.stdout)["provider"]["local-ai"]["models"] for done in (chosen, named)]
    assert [models["wide"]["limit"]["context"] for models in told] == [40_000, 40_000]
    assert chosen.stderr == ""
    assert "works by calling tools, and the chat template of tiny knows none" in default.stderr
    assert unknown.returncode == 2
    assert "local-ai models info wide" in unknown.stderr


def test_configure_warns_where_others_may_read_the_key(server: Server):
    file = server.home / ".pi/agent/models.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}\n")
    file.chmod(0o644)
    make_tiny_model(server.paths.models_dir / "tools", tools=True)

    written = server.run(
        "client.configure", "pi", "--model", "tools", "--yes", LOCAL_AI_SERVER__API_KEYS="sk-12345"
    )

    assert '"apiKey": "sk-12345"' in file.read_text()
    assert f"other users may read it: chmod 600 {file}\n" in written.stderr


def test_configure_shows_the_change_asks_writes_it_and_takes_it_back(running: Server):
    file = running.home / ".pi/agent/models.json"

    asked = running.run("client.configure", "pi")
    written = running.run("client.configure", "pi", "--model", "tiny", "--yes")
    again = running.run("client.configure", "pi")
    held = json.loads(file.read_text())
    undone = running.run("client.configure", "pi", "--undo", "--yes")
    twice = running.run("client.configure", "pi", "--undo")

    assert (asked.returncode, written.returncode, again.returncode, undone.returncode) == (2, 0, 0, 0)
    assert f'+      "baseUrl": "{running.url}/v1",' in asked.stdout
    assert "  fix: if you want this change: local-ai client configure pi --yes\n" in asked.stderr
    assert f"Written: {file}\n  use it  pi --model local-ai/tiny\n" in written.stdout
    assert again.stdout.startswith(f"{file} names this server and tiny already.\n")
    assert held["providers"]["local-ai"]["baseUrl"] == f"{running.url}/v1"
    assert undone.stdout.endswith(f"Removed: {file}\n")
    assert not file.exists()
    assert twice.stdout == f"There is nothing of local-ai in {file}.\n"


def test_env_of_codex_says_how_it_is_run_instead(server: Server):
    refused = server.run("client.env", "--for", "codex")

    assert refused.returncode == 2
    assert "fix: local-ai client launch codex\n" in refused.stderr


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("client.launch", "pi"), "client configure pi"),
        (("client.env", "--for", "llm"), "client configure llm"),
        (("client.configure", "codex"), "client launch codex"),
    ],
    ids=["launch", "env", "configure"],
)
def test_client_that_is_told_its_server_in_another_way_is_answered_with_that(
    server: Server, words: tuple[str, ...], command: str
):
    refused = server.run(*words)

    assert refused.returncode == 2
    assert refused.stderr.endswith(f"  fix: local-ai {command}\n")


def test_launch_without_a_server_says_how_to_start_one(server: Server):
    refused = server.run("client.launch", "claude-code")

    assert refused.returncode == 3
    assert refused.stderr == (
        "error: claude-code was not started\n"
        "  why: the server that it would use is not running\n"
        "  fix: local-ai server start\n"
    )


def test_unknown_client_is_told_with_those_there_are(server: Server):
    refused = server.run("client.env", "--for", "ollama")

    assert refused.returncode == 2
    assert "  why: --for is 'ollama', must be one of openai, anthropic, claude-code\n" in refused.stderr
