"""The shapes of the two model lists."""

from dataclasses import replace
from pathlib import Path

import pytest

from local_ai.gateway.endpoints.models import anthropic_list, openai_list
from local_ai.models.catalog import Model
from local_ai.settings.schema import GenerationSettings, NamedModelSettings


def model(name: str, created: int = 1_700_000_000) -> Model:
    return Model(
        id=name,
        path=Path("/models") / name,
        created=created,
        size_bytes=1,
        family="llama",
        quantisation="",
        context_tokens=None,
        generates_text=True,
    )


DEFAULTS = {
    "max_tokens": 4096,
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "thinking": None,
}
FOUR = [model(name) for name in ("a", "b", "c", "d")]


def test_openai_list_has_its_shape() -> None:
    assert openai_list([model("org/name"), model("own")], GenerationSettings()) == {
        "object": "list",
        "data": [
            {
                "id": "org/name",
                "object": "model",
                "created": 1_700_000_000,
                "owned_by": "org",
                "context_length": None,
                "input_modalities": ["text"],
                "one_at_a_time": False,
                "defaults": DEFAULTS,
                "peer": None,
            },
            {
                "id": "own",
                "object": "model",
                "created": 1_700_000_000,
                "owned_by": "local",
                "context_length": None,
                "input_modalities": ["text"],
                "one_at_a_time": False,
                "defaults": DEFAULTS,
                "peer": None,
            },
        ],
    }


def test_anthropic_list_has_its_shape() -> None:
    assert anthropic_list([model("org/name")]) == {
        "data": [
            {
                "type": "model",
                "id": "org/name",
                "display_name": "name",
                "created_at": "2023-11-14T22:13:20Z",
                "max_input_tokens": None,
                "max_tokens": None,
            }
        ],
        "has_more": False,
        "first_id": "org/name",
        "last_id": "org/name",
    }


def test_openai_list_has_each_models_own_defaults() -> None:
    quick = replace(model("quick"), own=NamedModelSettings(temperature=0.5, thinking=False, aliases=("q",)))

    shown = openai_list([quick, model("plain")], GenerationSettings(top_k=9))["data"]

    assert shown[0]["defaults"] == DEFAULTS | {"temperature": 0.5, "thinking": False, "top_k": 9}
    assert shown[1]["defaults"] == DEFAULTS | {"top_k": 9}


def test_lists_have_the_context_of_a_model() -> None:
    known = replace(model("own"), context_tokens=8192)

    assert openai_list([known], GenerationSettings())["data"][0]["context_length"] == 8192
    shown = anthropic_list([known])["data"][0]
    assert (shown["max_input_tokens"], shown["max_tokens"]) == (8192, 8192)


def test_anthropic_list_of_nothing_has_no_ids() -> None:
    assert anthropic_list([]) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize(
    ("asked", "ids", "has_more"),
    [
        ({"limit": 2}, "ab", True),
        ({"limit": 2, "after": "b"}, "cd", False),
        ({"limit": 2, "before": "d"}, "bc", True),
        ({"before": "c"}, "ab", False),
        ({"after": "nonsense"}, "abcd", False),
    ],
)
def test_anthropic_list_is_paged(asked: dict[str, object], ids: str, has_more: bool) -> None:
    page = anthropic_list(FOUR, **asked)  # type: ignore[arg-type]

    assert ("".join(item["id"] for item in page["data"]), page["has_more"]) == (ids, has_more)
