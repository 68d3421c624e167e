"""Prompts that outlive the process: read back from files, for each class of cache, and right as before."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.engine.core.batches import PLENTY, Heard, answer, ask, finish, loaded, make_batch, words
from tests.tiny_families import FAMILIES
from tests.waits import scaled

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds

families = pytest.mark.parametrize("family", FAMILIES)
LONG = words(1, 1300)
BRANCHES = (len(LONG) - 2,)


@dataclasses.dataclass
class Disk:
    """A folder, and the bounds that hold now."""

    folder: Path
    limit_gb: float = 1.0
    writes_gb: float = 1.0
    may_write: threading.Event = dataclasses.field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_write.set()

    def _writes_gb(self) -> float:
        assert self.may_write.wait(scaled(60))
        return self.writes_gb

    def store(self) -> Any:
        from local_ai.engine.core.memory.disk_store import DiskStore
        from local_ai.models.prompt_files import DiskCacheSettings

        return DiskStore(DiskCacheSettings(self.folder, lambda: self.limit_gb, self._writes_gb))

    def files(self) -> list[Path]:
        return sorted(self.folder.rglob("*.safetensors"))


@dataclasses.dataclass
class Engine:
    """A batch beside a disk, as one process has them."""

    store: Any
    batch: Any

    def answer(self, prompt: list[int]) -> Heard:
        heard = answer(self.batch, prompt, branches=(len(prompt) - 2,))
        assert self.store.finish(scaled(60))
        return heard


def start(family: str, disk: Disk, *, store: Any = None, name: str = "model") -> Engine:
    """Begin as a new process does, with nothing in memory.

    Args:
        store: Of a process that has begun already.
        name: Of the model's folder.
    """
    from local_ai.engine.core.decoding.batch import Batch
    from local_ai.engine.core.job import ModelKey
    from local_ai.engine.core.memory.guard import MemoryGuard
    from local_ai.engine.core.memory.prompt_cache import PromptCache

    store, model = store or disk.store(), loaded(family)
    folder = disk.folder.parent / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(family)
    files = store.open(ModelKey(family, folder), model.model)
    return Engine(store, Batch(model, PromptCache(10**9), MemoryGuard(lambda: PLENTY, 0), disk=files))


def cold(family: str, prompt: list[int]) -> str:
    return answer(make_batch(family, memory_bytes=0), prompt).text


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "prompts")


@families
def test_a_conversation_goes_on_in_another_process_without_being_read_again(family: str, disk: Disk):
    start(family, disk).answer(LONG)
    second = LONG[:-2] + words(4, 300)

    later = start(family, disk)
    heard = later.answer(second)

    assert len(LONG) - 256 <= heard.started.cached
    assert heard.text == cold(family, second)
    third = second[:-2] + words(5, 40)
    last = start(family, disk).answer(third)
    assert len(second) - 256 <= last.started.cached
    assert last.text == cold(family, third)


def sizes(disk: Disk) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in disk.files()}


@families
def test_a_turn_writes_only_what_it_added(family: str, disk: Disk):
    engine = start(family, disk)
    engine.answer(LONG)
    first = sizes(disk)
    written = {file: file.stat().st_ino for file in disk.files()}

    engine.answer(LONG[:-2] + words(4, 300))

    kept = [file for file in disk.files() if file in written]
    assert all(file.stat().st_ino == written[file] for file in kept)
    added = sum(size for name, size in sizes(disk).items() if name not in first)
    assert 0 < added < 0.8 * sum(first.values())


def test_short_prompts_are_not_kept(disk: Disk):
    start("llama", disk).answer(words(1, 1000))

    assert disk.files() == []


def test_files_are_the_owners_alone_and_readable_as_safetensors(disk: Disk):
    import mlx.core as mx

    start("qwen3_5", disk).answer(LONG)

    places = [disk.folder, *disk.folder.rglob("*")]
    assert {place.stat().st_mode & 0o777 for place in places} == {0o700, 0o600}
    for file in disk.files():
        arrays, metadata = mx.load(str(file), return_metadata=True)  # type: ignore[misc]
        assert arrays
        assert metadata["name"] == file.name


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])


def swap_header(file: Path) -> None:
    file.write_bytes(b"\xff" * 8 + file.read_bytes()[8:])


def rename(file: Path) -> None:
    file.write_bytes(next(other for other in file.parent.glob("*.safetensors") if other != file).read_bytes())


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "qwen3_next"])
@pytest.mark.parametrize("harm", [flip_a_byte, cut_short, swap_header, rename])
def test_a_damaged_file_is_dropped_and_said_and_answers_stay_right(
    family: str, harm: Any, disk: Disk, caplog: pytest.LogCaptureFixture
):
    start(family, disk).answer(LONG)
    second = LONG[:-2] + words(4, 30)
    harmed = disk.files()[:1] if family == "llama" else disk.folder.rglob("s-*")
    for file in harmed:
        harm(file)

    engine = start(family, disk)
    heard = engine.answer(second)

    assert "dropped a damaged file" in caplog.text
    assert heard.text == cold(family, second)
    assert start(family, disk).answer(second).started.cached >= len(LONG) - 256


def test_files_that_were_removed_meanwhile_are_missed_and_written_again(disk: Disk):
    import shutil

    engine = start("llama", disk)
    engine.answer(LONG)
    engine.batch._memory.clear()
    shutil.rmtree(disk.folder)

    heard = engine.answer(LONG)

    assert heard.started.cached == 0
    assert len(disk.files()) == len(LONG) // 256


def test_other_weights_find_nothing(disk: Disk):
    start("llama", disk).answer(LONG)
    folder = disk.folder.parent / "model"
    (folder / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")

    assert start("llama", disk).answer(LONG).started.cached == 0


def test_models_that_share_the_disk_find_their_own_and_one_that_is_removed_leaves_the_others(disk: Disk):
    from local_ai.models.prompt_files import clear_prompts, prompts_below

    names = ("llama", "gemma3_text", "qwen3_next")

    def start_all() -> list[Engine]:
        store = disk.store()
        return [start(name, disk, store=store, name=name) for name in names]

    for engine in start_all():
        engine.answer(LONG)
    second = LONG[:-2] + words(4, 30)
    again = [engine.answer(second) for engine in start_all()]
    clear_prompts(prompts_below(disk.folder.parent / "llama", disk.folder))
    later = [engine.answer(second).started.cached for engine in start_all()]

    assert [heard.text for heard in again] == [cold(name, second) for name in names]
    assert all(heard.started.cached >= len(LONG) - 256 for heard in again)
    assert later[0] == 0 < min(later[1:])


def test_an_end_waits_for_what_is_being_written_but_not_for_ever(
    disk: Disk, caplog: pytest.LogCaptureFixture
):
    engine = start("llama", disk)
    disk.may_write.clear()
    answer(engine.batch, LONG)

    in_vain = engine.store.finish(0.0)
    disk.may_write.set()

    assert (in_vain, engine.store.finish(scaled(60))) == (False, True)
    assert "prompts are not written to disk yet" in caplog.text
    assert start("llama", disk).answer(LONG[:-2] + words(4, 30)).started.cached == 1280


_WRITES = """
import sys; from pathlib import Path; import numpy as np
from local_ai.engine.core.memory.block_file import Block, Tensor, write_block
bits = np.zeros((2000, 2000), dtype=np.uint32)
for number in range(10_000):
    write_block(Path(sys.argv[1]) / f"b-{number}.safetensors", Block({"k": Tensor("F32", bits)}, {}))
    print(number, flush=True)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_whole_files_only(disk: Disk):
    from local_ai.engine.core.memory.block_file import read_block

    disk.folder.mkdir()
    command = [sys.executable, "-c", _WRITES, str(disk.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.kill()

    assert len(disk.files()) >= 3
    assert all(read_block(file).tensors["k"].bits.shape == (2000, 2000) for file in disk.files())


def test_the_least_recently_used_goes_first_and_ends_before_beginnings(disk: Disk):
    engine = start("llama", disk)
    engine.answer(words(1, 1300))
    disk.limit_gb = 1.6 * sum(sizes(disk).values()) / 1e9
    engine.answer(words(2, 1300))

    assert sum(sizes(disk).values()) <= disk.limit_gb * 1e9
    later = start("llama", disk)
    assert later.answer(words(2, 1310)).started.cached == 1280
    again = start("llama", disk)
    assert 0 <= again.answer(words(1, 1310)).started.cached < 1280


def test_nothing_is_kept_with_a_limit_of_0_and_what_was_there_goes(disk: Disk):
    engine = start("llama", disk)
    engine.answer(LONG)
    disk.limit_gb = 0
    engine.batch._memory.clear()

    assert engine.answer(LONG).started.cached == 0
    assert disk.files() == []


def test_no_more_is_written_in_an_hour_than_is_allowed_and_that_is_said_once(
    disk: Disk, caplog: pytest.LogCaptureFixture
):
    from local_ai.models.prompt_files import read_written

    engine = start("llama", disk)
    engine.answer(LONG)
    each = sizes(disk)
    one = next(iter(each.values()))
    disk.writes_gb = (sum(each.values()) + one) / 1e9

    for seed in range(2, 5):
        engine.answer(words(seed, 1300))

    written = read_written(disk.folder)
    assert written.total_bytes == written.hour_bytes == sum(sizes(disk).values())
    assert written.total_bytes == disk.writes_gb * 1e9
    assert caplog.text.count("no more prompts are written to disk within this hour") == 1


def test_a_disk_that_cannot_be_written_is_said_once_and_answers_go_on(
    disk: Disk, caplog: pytest.LogCaptureFixture
):
    disk.folder.write_text("in the way")
    engine = start("llama", disk)

    assert engine.answer(LONG).text == cold("llama", LONG)
    assert engine.answer(words(2, 1300)).text
    assert caplog.text.count("remembered prompts cannot be written") == 1


def test_a_request_that_is_given_up_while_its_files_are_read_ends(disk: Disk):
    start("llama", disk).answer(LONG)
    engine = start("llama", disk)
    heard = ask(engine.batch, LONG)
    (request,) = engine.batch._fetching
    request.is_given_up = True

    finish(engine.batch)

    assert not heard.events


def test_answers_go_on_while_files_are_read(disk: Disk):
    """A slow disk delays the request that needs it, and no other."""
    start("llama", disk).answer(LONG)
    engine = start("llama", disk)
    may_read = threading.Event()
    engine.store.reader.submit(may_read.wait, 60)

    waiting = ask(engine.batch, LONG)
    other = ask(engine.batch, words(9, 20))
    while not other.has_ended:
        engine.batch.step()

    assert not waiting.events
    may_read.set()
    finish(engine.batch)
    assert waiting.started.cached == 1280
    assert waiting.text == cold("llama", LONG)
