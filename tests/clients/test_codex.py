"""What Codex is told of the server and its model."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from local_ai.clients.codex import codex_arguments, codex_environment, make_catalogue, read_catalogue
from local_ai.clients.endpoint import Endpoint

ENDPOINT = Endpoint("http://127.0.0.1:1/v1", "http://127.0.0.1:1/anthropic", "org/Model", "local", 16_000)
PLAIN = {
    "slug": "gpt-a",
    "base_instructions": "Be good.",
    "use_responses_lite": False,
    "supported_reasoning_levels": [{"effort": "low"}],
    "context_window": 272_000,
    "of_a_later_version": 1,
}
CODE_MODE = PLAIN | {"slug": "gpt-b", "use_responses_lite": True, "tool_mode": "code_mode_only"}


def test_codex_is_told_everything_on_its_command_line_in_toml():
    words = codex_arguments(replace(ENDPOINT, model='a "b" Ä', context_tokens=8192))

    settings = tomllib.loads("\n".join(words[1::2]))
    assert set(words[::2]) == {"-c"}
    assert (settings["model"], settings["model_context_window"]) == ('a "b" Ä', 8192)
    provider = settings["model_providers"][settings["model_provider"]]
    assert (provider["base_url"], provider["wire_api"]) == ("http://127.0.0.1:1/v1", "responses")
    assert codex_environment(ENDPOINT) == {provider["env_key"]: "local"}


def test_codex_catalogue_has_the_model_with_its_context_and_codexs_own_instructions():
    catalogue = make_catalogue(json.dumps({"models": [CODE_MODE, PLAIN]}), ENDPOINT)

    assert catalogue is not None
    (model,) = json.loads(catalogue)["models"]
    assert (model["slug"], model["context_window"], model["max_context_window"]) == (
        "org/Model",
        16_000,
        16_000,
    )
    assert (model["base_instructions"], model["of_a_later_version"]) == ("Be good.", 1)
    assert "tool_mode" not in model
    assert model["supported_reasoning_levels"] == []


@pytest.mark.parametrize("own", ["", "[]", '{"models": [7]}', json.dumps({"models": [CODE_MODE]})])
def test_codex_that_shows_no_model_to_follow_gets_no_catalogue(own: str):
    assert make_catalogue(own, ENDPOINT) is None


@pytest.mark.parametrize("program", ["exit 1", "printf '\\377'", ""], ids=["fails", "no-text", "not-there"])
def test_codex_that_shows_no_catalogue_is_launched_without(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    if program:
        (tmp_path / "codex").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "codex").chmod(0o755)

    assert read_catalogue() == ""
