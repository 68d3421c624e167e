"""The parts of MLX Omni Server, and what their environment holds."""

import sys
from pathlib import Path

import pytest

import local_ai
from local_ai.settings.paths import Paths, find_paths
from local_ai.supervision.omni import (
    PART_NAMES,
    installed_parts,
    link_package,
    omni_python,
    record_parts,
    requirements,
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"HOME": str(tmp_path)})


def make_environment(paths: Paths) -> Path:
    python = omni_python(paths)
    python.parent.mkdir(parents=True)
    python.touch()
    site = paths.omni_dir / "env/lib/python3.12/site-packages"
    site.mkdir(parents=True)
    return site


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_no_part_asks_for_what_its_router_does_not_import(platform: str):
    needed = requirements(PART_NAMES, platform=platform)

    names = {each.split(">")[0].split("[")[0] for each in needed.packages}
    assert not names & {
        "torch",
        "spacy",
        "misaki",
        "pandas",
        "twine",
        "opencv-python",
        "matplotlib",
        "outlines",
    }
    assert {"mlx-omni-server>=0.5.3,<0.6", "mlx-whisper>=0.4.3,<0.5"} <= set(needed.bare)


def test_one_part_brings_nothing_of_another():
    packages = " ".join(requirements(["images"], platform="linux").packages)

    assert "numba" not in packages
    assert "mflux" in " ".join(requirements(["images"]).bare)
    assert "whisper" not in " ".join(requirements(["images"]).bare)


def test_parts_are_known_once_they_are_recorded_and_the_environment_is_there(paths: Paths):
    assert installed_parts(paths) == ()

    make_environment(paths)
    record_parts(paths, ["images", "transcription"])

    assert installed_parts(paths) == ("transcription", "images")
    omni_python(paths).unlink()
    assert installed_parts(paths) == ()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"parts": 3}', '{"parts": null}'])
def test_a_record_that_cannot_be_read_counts_as_none(paths: Paths, text: str):
    make_environment(paths)
    (paths.omni_dir / "parts.json").write_text(text)

    assert installed_parts(paths) == ()


def test_the_environment_imports_local_ai_as_it_is_installed_now(paths: Paths, tmp_path: Path):
    site = make_environment(paths)
    (site / "local_ai").symlink_to(tmp_path / "where it was before")

    link_package(paths)

    assert (site / "local_ai").resolve() == Path(local_ai.__file__).parent
    assert sys.prefix not in str(site)
