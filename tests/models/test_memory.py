"""What the system says of its memory."""

from pathlib import Path

import psutil
import pytest

from local_ai.models.memory import available_bytes, cgroup_limits, cgroup_rooms, total_bytes


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A process in the cgroup /outer/inner."""
    inner = tmp_path / "root/outer/inner"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.current").write_text("100\n")
    (inner.parent / "memory.max").write_text("1000\n")
    (inner.parent / "memory.current").write_text("700\n")
    (inner.parent / "memory.stat").write_text("anon 400\ninactive_file 250\nactive_file 50\n")
    file = tmp_path / "cgroup"
    file.write_text("1:name=systemd:/\n0::/outer/inner\n")
    return file


def test_limits_of_the_cgroups_around_count_too(own: Path):
    assert cgroup_limits(own, own.parent / "root") == [1000]


def test_room_is_what_the_limit_leaves_and_file_cache_that_can_go(own: Path):
    assert cgroup_rooms(own, own.parent / "root") == [1000 - 700 + 250]


@pytest.mark.parametrize("text", ["", "4:memory:/old\n", "0::/not/there\n"])
def test_no_cgroup_is_no_limit(tmp_path: Path, text: str):
    (tmp_path / "cgroup").write_text(text)

    assert cgroup_limits(tmp_path / "cgroup", tmp_path / "root") == []
    assert cgroup_limits(tmp_path / "missing", tmp_path / "root") == []


def test_figures_of_this_machine_make_sense():
    assert 0 < total_bytes() <= psutil.virtual_memory().total
    assert 0 < available_bytes() <= psutil.virtual_memory().total
