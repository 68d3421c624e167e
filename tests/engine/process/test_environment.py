"""What an import may ask of the system."""

import resource
import sys
from pathlib import Path

import pytest

from local_ai.engine.process.environment import limits_as_they_are, tell_libraries


def test_an_import_that_asks_for_more_open_files_than_there_may_be_goes_on():
    """As mlx-lm's does."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    with limits_as_they_are():
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] + 1, before[1]))

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


@pytest.mark.parametrize(("system", "value"), [("linux", "0"), ("darwin", None)])
def test_on_linux_mlx_is_told_not_to_fail_for_many_cuda_graphs(
    system: str, value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "platform", system)
    environ: dict[str, str] = {}

    tell_libraries(environ, tmp_path)

    assert environ.get("MLX_ENABLE_CACHE_THRASHING_CHECK") == value


def test_a_value_that_the_user_has_set_stays(tmp_path: Path):
    environ = {"MLX_CUDA_GRAPH_CACHE_SIZE": "7"}

    tell_libraries(environ, tmp_path)

    assert environ["MLX_CUDA_GRAPH_CACHE_SIZE"] == "7"
