"""Clients themselves, where they are installed: a question to each; agents run a command for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scripted_model import call, make_scripted_model
from tests.server import SCRIPT, Server, end, free_port

pytestmark = pytest.mark.integration

FOUND = "The command said what it was told to say."
PATCH = "*** Begin Patch\n*** Add File: patched\n+by the alias\n*** End Patch\n"
CODE = "text((await tools.exec_command({cmd: 'echo eight > made'})).output);"
CONTEXT = 120_000  # not the default model's
QUIET = "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"


def needs(program: str) -> pytest.MarkDecorator:
    reason = f"{program} is not installed: no conversation was held with it"
    return pytest.mark.skipif(shutil.which(program) is None, reason=reason)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Codex asks for custom tools where it knows the model's name.
    alias = {"LOCAL_AI_ALIASES": "gpt-5*=for-patch,gpt-6*=for-code"}
    server = Server(tmp_path_factory.mktemp("s"), free_port(), alias)
    models = server.paths.models_dir
    make_scripted_model(
        models / "for-codex", to_user=call("exec_command", cmd="echo one > made"), to_tool=FOUND
    )
    make_scripted_model(models / "for-code", to_user=call("functions__exec", input=CODE), to_tool=FOUND)
    make_scripted_model(models / "for-patch", to_user=call("apply_patch", input=PATCH), to_tool=FOUND)
    make_scripted_model(
        models / "for-claude",
        context_tokens=CONTEXT,
        to_user=call("Bash", command="echo two > made", description="Say two"),
        to_tool=FOUND,
    )
    make_scripted_model(
        models / "for-opencode",
        to_user=call("bash", command="echo three > made", description="Say three"),
        to_tool=FOUND,
    )
    make_scripted_model(
        models / "for-qwen",
        to_user=call("run_shell_command", command="echo four > made", is_background=False),
        to_tool=FOUND,
    )
    make_scripted_model(
        models / "for-kilo",
        to_user=call("bash", command="echo five > made", description="Say five"),
        to_tool=FOUND,
    )
    make_scripted_model(models / "for-pi", to_user=call("bash", command="echo six > made"), to_tool=FOUND)
    make_scripted_model(models / "saying", to_user=FOUND, to_tool=FOUND)
    server.start()
    yield server
    end(server)


@pytest.fixture
def folder(server: Server, tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return work


def cached(server: Server) -> list[tuple[int, int]]:
    """Each answer's prompt tokens, and how many of them were remembered, from the engine's log."""
    lines = server.paths.log("mlx-omni-server").read_text().splitlines()
    fields = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
    return [(int(line["in"]), int(line["cached"])) for line in fields if "cached" in line]


def assert_only_the_first_prompt_was_read_whole(answers: list[tuple[int, int]]) -> None:
    assert len(answers) == 4
    assert all(remembered > 0.9 * tokens for tokens, remembered in answers[1:])


@needs("codex")
def test_codex_runs_a_command_and_goes_on_with_the_conversation(server: Server, folder: Path):
    launch = f"cd {folder} && {SCRIPT} client launch codex --"
    options = "--skip-git-repo-check -c model='\"for-codex\"' -c sandbox_mode='\"danger-full-access\"'"
    before = len(cached(server))

    first = server.shell(f"{launch} exec {options} 'Run it' < /dev/null")
    again = server.shell(f"{launch} exec resume --last {options} 'And again' < /dev/null")

    assert first.stdout.strip() == again.stdout.strip() == FOUND, first.stderr + again.stderr
    assert "Model metadata" not in first.stderr
    assert (folder / "made").read_text() == "one\n"
    assert_only_the_first_prompt_was_read_whole(cached(server)[before:])


@needs("codex")
def test_codex_applies_a_patch_where_it_knows_the_models_name(server: Server, folder: Path):
    launch = f"cd {folder} && {SCRIPT} client launch codex --"
    options = "--skip-git-repo-check -c model='\"gpt-5.5\"' -c sandbox_mode='\"danger-full-access\"'"
    searching = "-c web_search='\"cached\"'"

    first = server.shell(f"{launch} exec {options} {searching} 'Patch it' < /dev/null")
    again = server.shell(f"{launch} exec resume --last {options} {searching} 'And again' < /dev/null")

    assert first.stdout.strip() == again.stdout.strip() == FOUND, first.stderr + again.stderr
    assert (folder / "patched").read_text() == "by the alias\n"
    assert "tools left out" in server.paths.log("mlx-omni-server").read_text()


@needs("codex")
def test_codex_runs_a_program_where_its_own_catalogue_has_the_models_name(server: Server, folder: Path):
    own = json.loads(server.shell("codex debug models --bundled").stdout)
    model = next(
        each["slug"] for each in own["models"] if each["slug"].startswith("gpt-6") and each.get("tool_mode")
    )
    (folder / "own.json").write_text(json.dumps(own))
    options = f"-c model_catalog_json='\"{folder}/own.json\"' -c sandbox_mode='\"danger-full-access\"'"

    launch = f"{SCRIPT} client launch codex -- exec --skip-git-repo-check"
    done = server.shell(f"cd {folder} && {launch} {options} -m {model} 'Run it' < /dev/null")

    assert done.stdout.strip() == FOUND, done.stderr
    assert (folder / "made").read_text() == "eight\n"


@needs("claude")
def test_claude_code_runs_a_command_and_goes_on_with_the_conversation(server: Server, folder: Path):
    launch = f"cd {folder} && {QUIET} {SCRIPT} client launch claude-code --"
    options = "--model for-claude --allowedTools Bash --output-format json < /dev/null"
    before = len(cached(server))

    first = server.shell(f"{launch} -p 'Run it' {options}")
    again = server.shell(f"{launch} --continue -p 'And again' {options}")

    assert [json.loads(done.stdout)["result"] for done in (first, again)] == [FOUND, FOUND], first.stderr
    assert (folder / "made").read_text() == "two\n"
    usage = json.loads(again.stdout)["modelUsage"]
    assert {model["contextWindow"] for model in usage.values()} == {CONTEXT}
    assert_only_the_first_prompt_was_read_whole(cached(server)[before:])


@needs("opencode")
def test_opencode_runs_a_command(server: Server, folder: Path):
    done = server.shell(
        f"cd {folder} && {SCRIPT} client launch --model for-opencode opencode -- run 'Run it' < /dev/null"
    )

    assert FOUND in done.stdout, done.stderr
    assert (folder / "made").read_text() == "three\n"


@needs("qwen")
def test_qwen_code_runs_a_command(server: Server, folder: Path):
    done = server.shell(
        f"cd {folder} && {SCRIPT} client launch --model for-qwen qwen-code -- -p 'Run it' --yolo < /dev/null"
    )

    assert FOUND in done.stdout, done.stderr
    assert (folder / "made").read_text() == "four\n"


@needs("kilo")
def test_kilo_runs_a_command(server: Server, folder: Path):
    done = server.shell(
        f"cd {folder} && {SCRIPT} client launch kilo -- run --auto -m local-ai/for-kilo 'Run it' < /dev/null"
    )

    assert FOUND in done.stdout, done.stderr
    assert (folder / "made").read_text() == "five\n"


@needs("aider")
def test_aider_shows_the_answer(server: Server, folder: Path):
    options = "--no-git --no-check-update --no-gitignore --no-analytics --no-show-release-notes"
    done = server.shell(
        f"cd {folder} && {SCRIPT} client launch --model saying aider -- {options} -m 'Say it' < /dev/null"
    )

    assert FOUND in done.stdout, done.stderr


@needs("interpreter")
def test_open_interpreter_shows_the_answer(server: Server, folder: Path):
    launch = f"{SCRIPT} client launch --model saying open-interpreter -- --stdin --plain"

    done = server.shell(f"cd {folder} && echo 'Say it' | {launch}")

    assert FOUND in done.stdout, done.stderr


@needs("pi")
def test_pi_runs_a_command_after_its_configuration(server: Server, folder: Path):
    server.run("client.configure", "pi", "--model", "for-pi", "--yes")

    done = server.shell(f"cd {folder} && pi --model local-ai/for-pi -p 'Run it' < /dev/null")

    assert FOUND in done.stdout, done.stderr
    assert (folder / "made").read_text() == "six\n"


@needs("cline")
def test_cline_answers_after_its_configuration_which_an_undo_still_finds(server: Server, folder: Path):
    server.run("client.configure", "cline", "--model", "saying", "--yes")

    hub = f"export CLINE_HUB_PORT={free_port()}; cd {folder}"  # which Cline leaves running
    done = server.shell(f"{hub}; cline -P openai-compatible -m saying 'Say it' < /dev/null")
    server.shell(f"{hub}; cline hub stop")
    again = server.run("client.configure", "cline", "--model", "saying")
    undone = server.run("client.configure", "cline", "--undo", "--yes")

    assert FOUND in done.stdout, done.stderr
    assert "names this server and saying already" in again.stdout
    assert undone.stdout.endswith("/providers.json\n")


@needs("llm")
def test_llm_answers_after_its_configuration_and_works_after_the_undo(server: Server):
    server.run("client.configure", "llm", "--model", "saying", "--yes")

    done = server.shell("llm -m local-ai/saying 'Say it'")
    server.run("client.configure", "llm", "--undo", "--yes")

    assert done.stdout.strip() == FOUND, done.stderr
    assert "local-ai" not in server.shell("llm models").stdout
