"""What a silent request is given."""

from pathlib import Path

import pytest

from local_ai.gateway.forwarding.fill import Defaults, fill, needs_default_model
from local_ai.gateway.forwarding.routes import ROUTES, Route
from local_ai.models.catalog import Model
from local_ai.serving.refusal import Refusal
from local_ai.settings.schema import GenerationSettings

BY_PATH = {route.path: route for route in ROUTES}
CHAT = BY_PATH["/v1/chat/completions"]
RESPONSES = BY_PATH["/v1/responses"]
MESSAGES = BY_PATH["/anthropic/v1/messages"]
COUNT = BY_PATH["/anthropic/v1/messages/count_tokens"]
EMBEDDINGS = BY_PATH["/v1/embeddings"]

DEFAULTS = Defaults(GenerationSettings(max_tokens=7, top_p=0.5), model="tiny", adapter=None)
WITH_ADAPTER = Defaults(GenerationSettings(), model="tiny", adapter=Path("/adapters/mine"))


def test_fill_uses_every_setting_where_the_request_is_silent() -> None:
    filled = fill({"messages": []}, CHAT, DEFAULTS)

    assert filled.body == {
        "messages": [],
        "model": "tiny",
        "max_tokens": 7,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 0,
        "min_p": 0.0,
    }
    assert filled.names == ("model", "max_tokens", "temperature", "top_p", "top_k", "min_p")


def test_fill_keeps_what_the_request_says() -> None:
    said = {"model": "m", "max_tokens": 1, "temperature": 0, "top_p": 0.1, "top_k": 3, "min_p": 0.2}

    filled = fill(said, CHAT, DEFAULTS)

    assert (filled.body, filled.names) == (said, ())


def test_fill_takes_max_completion_tokens_for_max_tokens() -> None:
    assert "max_tokens" not in fill({"max_completion_tokens": 3}, CHAT, DEFAULTS).body


def test_fill_calls_the_most_tokens_by_the_responses_api_s_name() -> None:
    assert fill({"input": "x"}, RESPONSES, DEFAULTS).body["max_output_tokens"] == 7


def test_fill_takes_null_for_silence() -> None:
    assert fill({"temperature": None}, CHAT, DEFAULTS).body["temperature"] == 0.0


def test_fill_gives_anthropic_only_the_fields_it_knows() -> None:
    assert fill({}, MESSAGES, DEFAULTS).names == ("model", "max_tokens", "temperature", "top_p", "top_k")


def test_fill_gives_a_token_count_the_model_and_no_values() -> None:
    assert fill({}, COUNT, DEFAULTS).body == {"model": "tiny"}


def test_fill_leaves_embeddings_alone() -> None:
    assert fill({"input": "x"}, EMBEDDINGS, WITH_ADAPTER).body == {"input": "x"}


@pytest.mark.parametrize("body", [{}, {"model": "tiny"}, {"model": ""}], ids=["silent", "named", "empty"])
def test_fill_adds_the_adapter_to_the_default_model(body: dict[str, str]) -> None:
    assert fill(body, CHAT, WITH_ADAPTER).body["adapters"] == "/adapters/mine"


@pytest.mark.parametrize("body", [{"model": "other"}, {"model": "tiny", "adapters": "/theirs"}])
def test_fill_adds_no_adapter_to_another_model_or_over_another(body: dict[str, str]) -> None:
    assert fill(body, CHAT, WITH_ADAPTER).body.get("adapters") == body.get("adapters")


@pytest.mark.parametrize(
    ("body", "route", "adapter", "needed"),
    [
        ({"model": "m"}, CHAT, None, False),
        ({"model": "m"}, CHAT, Path("/adapters/mine"), True),
        ({}, CHAT, None, True),
        ({"model": ""}, CHAT, None, True),
        ({"model": None}, CHAT, None, True),
        ({}, EMBEDDINGS, Path("/adapters/mine"), False),
    ],
    ids=["named", "adapter", "silent", "empty", "null", "not-text"],
)
def test_default_model_is_looked_up_only_where_it_matters(
    body: dict[str, str], route: Route, adapter: Path | None, needed: bool
) -> None:
    assert needs_default_model(body, route, adapter=adapter) is needed


def test_fill_refuses_where_there_is_no_model() -> None:
    with pytest.raises(Refusal) as refused:
        fill({}, CHAT, Defaults(GenerationSettings(), model=None, adapter=None))

    assert refused.value.status == 404
    assert refused.value.sentence == (
        "no model can answer: the request names none and this machine has no default model. To fix it: "
        "set model.path in config.toml to a model folder, then run: local-ai server restart"
    )


@pytest.mark.parametrize(
    ("name", "adapter"), [("claude-x", "/adapters/mine"), ("gpt-4o", None), ("tiny", "/adapters/mine")]
)
def test_fill_adds_the_adapter_to_an_alias_of_the_default_model(name: str, adapter: str | None) -> None:
    models = tuple(Model(n, Path("/m") / n, 0, 1, "llama", "", None, True) for n in ("tiny", "other"))
    aliases = {"claude-*": "default", "gpt-4o": "other"}
    defaults = Defaults(GenerationSettings(), "tiny", Path("/adapters/mine"), models, aliases)

    filled = fill({"model": name}, CHAT, defaults).body

    assert (filled["model"], filled.get("adapters")) == (name, adapter)
