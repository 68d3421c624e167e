"""Looking never raises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.somebody import as_nobody, closed, open_folder

import local_ai
from local_ai import there


def test_what_may_not_be_seen_is_not_there() -> None:
    with open_folder() as home:
        inside = closed(home / "closed") / "file"

        with as_nobody():
            assert not there.exists(inside)
            assert not there.is_file(inside)
            assert not there.is_folder(inside)
            assert there.entries(inside.parent) == []
            assert there.is_folder(inside.parent)


def test_folder_that_is_gone_is_no_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert there.current_folder() == folder

    folder.rmdir()

    assert there.current_folder() is None


@pytest.mark.parametrize(
    "module",
    ["supervision/supervisord", "lifecycle/manager", "models/places", "lifecycle/preflight", "settings/load"],
)
def test_what_every_command_passes_through_never_raises_for_a_closed_folder(module: str) -> None:
    source = (Path(local_ai.__file__).parent / f"{module}.py").read_text()

    assert (
        re.findall(r"(?<!entry)(?<!ref)\.(?:exists|is_file|is_dir|glob|iterdir)\(|Path\.cwd\(", source) == []
    )
