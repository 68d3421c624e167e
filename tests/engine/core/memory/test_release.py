"""When freed memory goes back to the system, and that it does."""

from __future__ import annotations

import subprocess
import sys

import mlx.core as mx
import pytest
from tests.waits import scaled

from local_ai.engine.core.memory import release
from local_ai.engine.core.memory.release import MemoryRelease, release_buffers


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """What grows by one each time."""
    times: list[None] = []
    monkeypatch.setattr(release, "release_memory", lambda: times.append(None))
    return times


@pytest.mark.parametrize(("most", "kept"), [(0, False), (32_000_000, True)], ids=["many", "few"])
def test_buffers_that_mlx_keeps_are_freed_where_they_are_many(
    most: int, kept: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(release, "_MOST_BUFFER_BYTES", most)
    mx.clear_cache()
    mx.eval(mx.ones((500, 500)) @ mx.ones((500, 500)))

    release_buffers()

    assert (mx.get_cache_memory() > 0) is kept


def test_nothing_is_due_before_the_first_step():
    assert MemoryRelease().due_s(100.0) is None


def test_what_steps_have_freed_is_given_back_once_when_none_has_come_for_a_while(given_back: list[None]):
    memory = MemoryRelease()
    memory.stepped(100.0)

    memory.idle(104.0)
    assert (memory.due_s(104.0), given_back) == (1.0, [])

    memory.idle(105.0)
    memory.idle(200.0)
    assert (memory.due_s(200.0), len(given_back)) == (None, 1)


def test_where_one_step_follows_another_it_is_given_back_twice_a_minute(given_back: list[None]):
    memory = MemoryRelease()

    for second in range(100):
        memory.stepped(float(second))

    assert len(given_back) == 3


def test_the_first_step_after_a_rest_gives_nothing_back(given_back: list[None]):
    memory = MemoryRelease()
    memory.stepped(0.0)
    memory.idle(5.0)

    memory.stepped(1000.0)

    assert len(given_back) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps what is freed")
def test_giving_back_makes_the_process_smaller():
    """Blocks below what glibc maps by itself, with one kept at the end of the heap."""
    program = """
import psutil

from local_ai.engine.core.memory.release import release_memory


def own_bytes():
    return psutil.Process().memory_info().rss


blocks = [bytearray(100_000) for _ in range(500)]
last, blocks = blocks[-1], None
before = own_bytes()
release_memory()
assert before - own_bytes() > 40_000_000, (before, own_bytes())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=scaled(60))
