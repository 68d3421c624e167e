"""Folders among the models that may not be entered are passed over: nothing else suffers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gateway.fakes import make_model
from tests.other_user import as_nobody, closed, open_folder

from local_ai.models.catalog import list_incomplete, list_models
from local_ai.settings.paths import Paths


def paths_in(home: Path, *further: Path) -> Paths:
    return Paths(
        config_dir=home / "config",
        state_dir=home / "state",
        data_dir=home / "data",
        hub_cache=home / "hub",
        cache_dir=home / "cache",
        model_folders=further,
    )


@pytest.mark.parametrize(
    "place",
    [
        lambda home: home / "disk/lost+found",
        lambda home: home / "disk/org/secret",
        lambda home: home / "data/models/secret",
        lambda home: home / "hub/models--org--secret",
        lambda home: home / "hub/models--org--part/snapshots/abc",
    ],
    ids=["lost+found", "in-an-organisation", "own", "repository", "snapshot"],
)
def test_folder_that_may_not_be_entered_hides_no_other(place: Callable[[Path], Path]) -> None:
    with open_folder() as home:
        make_model(home / "disk/good")
        closed(place(home))
        paths = paths_in(home, home / "disk")

        with as_nobody():
            assert [model.id for model in list_models(paths, None)] == ["good"]
            list_incomplete(paths)


def test_whole_place_that_may_not_be_entered_is_empty() -> None:
    with open_folder() as home:
        place = closed(home / "disk")

        with as_nobody():
            assert list_models(paths_in(home, place), None) == []
            assert list_incomplete(paths_in(home, place)) == []
