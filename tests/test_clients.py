"""What each client wants in its environment."""

import shutil
import subprocess
import tomllib
from dataclasses import replace

import pytest

from local_ai.clients import (
    CLIENTS,
    Endpoint,
    claude_code_environment,
    codex_arguments,
    codex_environment,
    export_lines,
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


def test_codex_is_told_everything_on_its_command_line_in_toml():
    words = codex_arguments(replace(ENDPOINT, model='a "b" Ä', context_tokens=8192))

    settings = tomllib.loads("\n".join(words[1::2]))
    assert set(words[::2]) == {"-c"}
    assert (settings["model"], settings["model_context_window"]) == ('a "b" Ä', 8192)
    provider = settings["model_providers"][settings["model_provider"]]
    assert (provider["base_url"], provider["wire_api"]) == ("http://127.0.0.1:1/v1", "responses")
    assert codex_environment(ENDPOINT) == {provider["env_key"]: "local"}


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
