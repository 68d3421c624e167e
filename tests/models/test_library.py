"""Which model answers to a name, and which is the default."""

from dataclasses import replace
from pathlib import Path

import pytest

from local_ai.models.catalog import Model
from local_ai.models.library import ModelLibrary


def model(name: str) -> Model:
    return Model(name, Path("/models") / name, 0, 1, "llama", "", None, True)


SMALL, LARGE = model("small"), model("org/large")
ALIASES = {
    "gpt-*": "small",
    "gpt-4*": "org/large",
    "gpt-4o": "default",
    "gpt-4.[01]": "small",
    "org/large": "small",
    "lost": "gone",
}
LIBRARY = ModelLibrary((SMALL, LARGE), LARGE, ALIASES)


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
    assert LIBRARY.find(name) == found


def test_target_is_told_also_where_it_is_unknown():
    assert LIBRARY.target_of("lost") == "gone"
    assert LIBRARY.target_of("unheard-of") is None


def test_default_follows_the_default_model():
    assert replace(LIBRARY, default=SMALL).find("gpt-4o") == SMALL
    assert replace(LIBRARY, default=None).find("gpt-4o") is None


def test_list_has_aliases_without_wildcards_that_lead_somewhere():
    listed = LIBRARY.listed()

    assert [(entry.id, entry.path) for entry in listed] == [
        ("small", SMALL.path),
        ("org/large", LARGE.path),
        ("gpt-4o", LARGE.path),
    ]


def test_model_knows_all_its_aliases_but_none_that_a_models_name_overrides():
    assert LIBRARY.aliases_of(SMALL) == ["gpt-*", "gpt-4.[01]"]
    assert LIBRARY.aliases_of(LARGE) == ["gpt-4*", "gpt-4o"]


def test_unknown_targets_are_told():
    assert LIBRARY.unknown_targets() == [("lost", "gone")]
    assert ModelLibrary((SMALL,), None, {"x": "default"}).unknown_targets() == [("x", "default")]
