"""Which model answers to a name, and which is the default."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from local_ai.models.catalog import Model
from local_ai.models.library import ModelLibrary, library_for
from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings


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


@pytest.mark.parametrize(
    ("stated", "own", "holds"),
    [(8192, 1024, 1024), (8192, 10_000, 8192), (None, 1024, 1024), (8192, None, 8192)],
    ids=["lowered", "never-raised", "not-stated", "not-set"],
)
def test_context_is_what_the_model_and_its_own_settings_allow(
    tmp_path: Path, stated: int | None, own: int | None, holds: int
):
    paths = Paths(tmp_path, tmp_path, tmp_path, tmp_path / "hub", tmp_path)
    folder = paths.models_dir / "small"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": stated}))
    (folder / "model.safetensors").write_bytes(b"x")
    named = {str(folder): {"context_tokens": own, "temperature": 0.5, "aliases": ["quick"]}}

    library = library_for(LocalAISettings.model_validate({"models": named}), paths)

    assert [(model.id, model.context_tokens) for model in library.listed()] == [
        ("small", holds),
        ("quick", holds),
    ]
    assert [model.own and model.own.temperature for model in library.listed()] == [0.5, 0.5]
