"""What each client wants in its environment."""

import json
import shutil
import subprocess
from dataclasses import replace

import pytest

from local_ai.clients.endpoint import Endpoint, Needs
from local_ai.clients.launch import (
    CLIENTS,
    PROGRAMS,
    claude_code_environment,
    doubts,
    export_lines,
    interpreter_arguments,
    model_in,
    past_proxies,
)

ENDPOINT = Endpoint("http://127.0.0.1:1/v1", "http://127.0.0.1:1/anthropic", "org/Model", "local")
ODD = {"A": "it's $HOME \\ `x` ; #", "B": ""}


def test_claude_code_uses_one_model_for_every_size():
    variables = claude_code_environment(ENDPOINT)

    models = {value for name, value in variables.items() if name.endswith("_MODEL")}
    assert models == {"org/Model"}
    assert variables["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1/anthropic"
    assert variables["ANTHROPIC_API_KEY"] == ""


@pytest.mark.parametrize(("context", "answer"), [(16_000, "4000"), (200_000, "32000")])
def test_claude_code_asks_for_no_more_than_the_model_can_hold(context: int, answer: str):
    variables = claude_code_environment(replace(ENDPOINT, context_tokens=context))

    assert variables["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == answer
    assert variables["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] == str(context)
    assert variables["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == str(context)
    assert variables["CLAUDE_CODE_DISABLE_1M_CONTEXT"] == "1"


@pytest.mark.parametrize(
    ("client", "name"), [("opencode", "OPENCODE_CONFIG_CONTENT"), ("kilo", "KILO_CONFIG_CONTENT")]
)
def test_opencode_and_kilo_are_told_a_provider_with_the_models_limits(client: str, name: str):
    settings = json.loads(PROGRAMS[client].environment(replace(ENDPOINT, context_tokens=16_000))[name])

    provider = settings["provider"]["local-ai"]
    assert provider["options"] == {"baseURL": "http://127.0.0.1:1/v1", "apiKey": "local"}
    assert provider["models"]["org/Model"]["limit"] == {"context": 16_000, "output": 4000}
    assert settings["model"] == settings["small_model"] == "local-ai/org/Model"


def test_aider_and_open_interpreter_are_told_the_model_as_one_of_openais():
    words = interpreter_arguments(replace(ENDPOINT, context_tokens=8192))

    aider = PROGRAMS["aider"]
    assert aider.arguments(ENDPOINT)[:2] == words[:2] == ["--model", "openai/org/Model"]
    assert aider.environment(ENDPOINT)["OPENAI_API_BASE"] == "http://127.0.0.1:1/v1"
    assert words[-2:] == ["--context_window", "8192"]
    assert "--context_window" not in interpreter_arguments(ENDPOINT)


@pytest.mark.parametrize(
    ("words", "model"),
    [
        ([], None),
        (["exec", "say it"], None),
        (["-p", "x", "--model", "a/b"], "a/b"),
        (["-m", "local-ai/a/b"], "a/b"),
        (["--model=openai/a"], "a"),
        (["-c", 'model="a b"', "-c", "model_provider=x"], "a b"),
        (["-m", "a", "--model", "b"], "b"),
        (["--model"], None),
    ],
)
def test_model_among_a_clients_own_words_is_noticed(words: list[str], model: str | None):
    assert model_in(words) == model


def test_a_model_that_a_client_will_not_get_far_with_is_doubted():
    small = replace(ENDPOINT, context_tokens=8192)
    needs = Needs(10_000)

    assert doubts("codex", needs, small, knows_tools=False) == [
        "the instructions of codex are about 10000 tokens long, and org/Model holds 8192: choose a model "
        "with a larger context",
        "codex works by calling tools, and the chat template of org/Model knows none: choose a model that "
        "does (local-ai models info NAME)",
    ]
    assert doubts("codex", needs, replace(ENDPOINT, context_tokens=32_000), knows_tools=True) == []
    assert doubts("aider", Needs(700, tools=False), small, knows_tools=False) == []
    named = replace(ENDPOINT, model="claude-x")
    assert "begins with claude-" in doubts("claude-code", needs, named, knows_tools=True)[0]


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_gets_the_address_and_the_key(client: str):
    values = CLIENTS[client](ENDPOINT).values()

    assert "local" in values
    assert {ENDPOINT.openai_url, ENDPOINT.anthropic_url} & set(values)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, {}),
        ({"http_proxy": ""}, {}),
        ({"NO_PROXY": "example.org"}, {}),
        ({"HTTP_PROXY": "http://proxy:1"}, {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}),
        (
            {"all_proxy": "socks5://proxy:1", "no_proxy": "example.org"},
            {"NO_PROXY": "127.0.0.1", "no_proxy": "example.org,127.0.0.1"},
        ),
        ({"https_proxy": "http://proxy:1", "NO_PROXY": "*", "no_proxy": "a,127.0.0.1"}, {}),
    ],
    ids=["none", "empty", "exceptions-alone", "proxy", "proxy-and-exceptions", "excepted-already"],
)
def test_clients_do_not_ask_a_proxy_for_this_server(environ: dict[str, str], told: dict[str, str]):
    assert past_proxies(ENDPOINT, environ) == told


def test_exports_give_a_shell_any_value_as_it_is():
    script = "\n".join([*export_lines(ODD, "bash"), 'printf "%s|%s" "$A" "$B"'])

    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == f"{ODD['A']}|"


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed: its quoting was not run")
def test_exports_give_fish_any_value_as_it_is():
    script = "\n".join([*export_lines(ODD, "fish"), 'printf "%s|%s" "$A" "$B"'])

    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == f"{ODD['A']}|"


def test_fish_quotes_only_what_ends_a_quote():
    assert export_lines(ODD, "fish") == ["set -gx A 'it\\'s $HOME \\\\ `x` ; #'", "set -gx B ''"]
