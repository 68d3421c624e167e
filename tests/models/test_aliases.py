"""Which model answers to a name."""

from pathlib import Path

import pytest

from local_ai.models.aliases import aliases_of, find_named, find_target, unknown_targets, with_aliases
from local_ai.models.catalog import Model


def model(name: str) -> Model:
    return Model(name, Path("/models") / name, 0, 1, "llama", "", None, True)


SMALL, LARGE = model("small"), model("org/large")
MODELS = [SMALL, LARGE]
ALIASES = {
    "gpt-*": "small",
    "gpt-4*": "org/large",
    "gpt-4o": "default",
    "gpt-4.[01]": "small",
    "org/large": "small",
    "lost": "gone",
}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("org/large", LARGE),
        ("/models/small", SMALL),
        ("gpt-4o", LARGE),
        ("gpt-4o-mini", LARGE),
        ("gpt-4.1", SMALL),
        ("gpt-3.5-turbo", SMALL),
        ("GPT-4o", None),
        ("lost", None),
        ("unheard-of", None),
    ],
    ids=[
        "a-models-own-name-wins",
        "so-does-its-folder",
        "spelt-out-wins-over-wildcards",
        "longest-wildcard-wins",
        "a-set-counts-as-no-letter",
        "shorter-wildcard",
        "case-matters",
        "target-unknown",
        "no-alias",
    ],
)
def test_name_leads_to_its_model(name: str, found: Model | None):
    assert find_named(name, MODELS, ALIASES, LARGE) == found


def test_target_is_told_also_where_it_is_unknown():
    assert find_target("lost", ALIASES) == "gone"
    assert find_target("unheard-of", ALIASES) is None


def test_default_follows_the_default_model():
    assert find_named("gpt-4o", MODELS, ALIASES, SMALL) == SMALL
    assert find_named("gpt-4o", MODELS, ALIASES, None) is None


def test_list_has_aliases_without_wildcards_that_lead_somewhere():
    listed = with_aliases(MODELS, ALIASES, LARGE)

    assert [(entry.id, entry.path) for entry in listed] == [
        ("small", SMALL.path),
        ("org/large", LARGE.path),
        ("gpt-4o", LARGE.path),
    ]


def test_model_knows_all_its_aliases_but_none_that_a_models_name_overrides():
    assert aliases_of(SMALL, MODELS, ALIASES, LARGE) == ["gpt-*", "gpt-4.[01]"]
    assert aliases_of(LARGE, MODELS, ALIASES, LARGE) == ["gpt-4*", "gpt-4o"]


def test_unknown_targets_are_told():
    assert unknown_targets(MODELS, ALIASES, LARGE) == [("lost", "gone")]
    assert unknown_targets(MODELS, {"x": "default"}, None) == [("x", "default")]
