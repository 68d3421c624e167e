"""What the libraries under the engine are told, and that they listen."""

import importlib.util
import resource
import subprocess
import sys
from pathlib import Path

from local_ai.engine.process.environment import limits_as_they_are, tell_libraries

# The module alone: all of outlines needs torch, which is not on every platform.
_OPEN_CACHE = """
import importlib.util, os, sys, types
os.umask(0o077)
package = types.ModuleType("outlines")
package.__path__ = [sys.argv[1]]
sys.modules["outlines"] = package
import outlines.caching
outlines.caching.get_cache()["a schema"] = "what was made of it"
"""


def test_outlines_unpickles_only_what_lies_where_nobody_else_can_write(tmp_path: Path):
    """The reason why an advisory on diskcache may stand (see tasks.py)."""
    outlines = importlib.util.find_spec("outlines")
    assert outlines is not None and outlines.origin is not None
    home, state_dir = tmp_path / "home", tmp_path / "state"
    home.mkdir()
    environ = {"HOME": str(home)}

    tell_libraries(environ, state_dir)
    subprocess.run(
        [sys.executable, "-c", _OPEN_CACHE, str(Path(outlines.origin).parent)], env=environ, check=True
    )

    assert [file.stat().st_mode & 0o077 for file in state_dir.glob("outlines/cache.db")] == [0]
    assert (state_dir / "outlines").stat().st_mode & 0o077 == 0
    assert list(home.iterdir()) == []


def test_an_import_that_asks_for_more_open_files_than_there_may_be_goes_on():
    """As mlx-lm's does."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    with limits_as_they_are():
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] + 1, before[1]))

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
