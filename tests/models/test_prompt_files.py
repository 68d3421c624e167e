"""The folder of remembered prompts: its bound, what is counted, what another user cannot do to it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from local_ai.models import prompt_files
from local_ai.models.prompt_files import (
    GB,
    Written,
    clear_prompts,
    limit_bytes,
    list_prompts,
    remove_drafts,
    write_model,
)


@pytest.mark.parametrize(
    ("disk", "free_gb", "held_gb", "limit_gb"),
    [
        ("auto", 100, 0, 20),
        ("auto", 40, 0, 10),
        ("auto", 30, 10, 10),
        ("auto", 9, 0, 0),
        ("auto", 8, 4, 3),
        (7.5, 1, 0, 7.5),
        (0, 100, 0, 0),
    ],
)
def test_the_bound_is_a_quarter_of_what_is_free_or_as_set(
    monkeypatch: pytest.MonkeyPatch, disk: Any, free_gb: float, held_gb: float, limit_gb: float
):
    monkeypatch.setattr(prompt_files, "_free_bytes", lambda _folder: int(free_gb * GB))

    assert limit_bytes(disk, Path("/p"), int(held_gb * GB)) == limit_gb * GB


def test_bytes_are_counted_by_clock_hour_and_in_all():
    written = Written().plus(5, 3600.0).plus(6, 7199.0)

    assert (written.since, written.total_bytes, written.in_hour(7000.0)) == (3600.0, 11, 11)
    assert written.in_hour(7200.0) == 0
    assert written.plus(1, 7200.0).in_hour(7201.0) == 1


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "prompts").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError, match="is a link, or another user's"):
        write_model(tmp_path / "prompts/of-a-model", "tiny", tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_open_folder_is_closed_to_others(tmp_path: Path):
    folder = tmp_path / "prompts/of-a-model"
    folder.mkdir(parents=True, mode=0o755)

    write_model(folder, "tiny", tmp_path)

    assert [place.stat().st_mode & 0o777 for place in (folder.parent, folder)] == [0o700] * 2
    (one,) = list_prompts(folder.parent)
    assert (one.model, one.model_folder, one.size_bytes) == ("tiny", tmp_path, 0)


def test_files_that_a_killed_engine_did_not_finish_are_removed(tmp_path: Path):
    left, whole, under_way = (tmp_path / name for name in (".old.x", "old.safetensors", ".new.x"))
    for file in (left, whole, under_way):
        file.write_bytes(b"x")
    for file in (left, whole):
        os.utime(file, (time.time() - 7200,) * 2)

    remove_drafts(tmp_path)

    assert sorted(tmp_path.iterdir()) == sorted([whole, under_way])


def test_a_folder_that_is_gone_already_keeps_no_others_prompts(tmp_path: Path):
    for name in ("one", "two"):
        write_model(tmp_path / "prompts" / name, name, tmp_path)
    found = list_prompts(tmp_path / "prompts")
    shutil.rmtree(found[0].folder)

    clear_prompts(found)

    assert list_prompts(tmp_path / "prompts") == ()
