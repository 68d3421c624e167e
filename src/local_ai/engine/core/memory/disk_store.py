"""Remembered prompts on disk: written by one thread after an answer, read back by another before one.

    answer complete ─▶ offer ─▶ (writer) what is new of it ─▶ files, the least recently used make room
    prompt arrives ─▶ fetch ─▶ (reader) longest beginning ─▶ arrays ─▶ the generating thread makes layers

The generating thread only hands arrays over and takes arrays; files never hold it up.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.memory.block_file import Block, DamagedBlock, read_block, write_block
from local_ai.engine.core.memory.block_names import BLOCK_TOKENS, Chain, chain, place_of
from local_ai.engine.core.memory.cache_layers import Checkpoint, Layers
from local_ai.engine.core.memory.disk_index import DiskIndex
from local_ai.engine.core.memory.layer_arrays import (
    Arrays,
    Restored,
    attention_block,
    kind_of,
    restore,
    state_block,
    take_arrays,
)
from local_ai.engine.core.model.identity import identity_of
from local_ai.models.prompt_files import (
    GB,
    DiskCacheSettings,
    count_written,
    limit_bytes,
    read_written,
    write_model,
)

log = logging.getLogger(__name__)

LEAST_TOKENS = 1024  # of a prompt that is worth a file
_WORTH_TOKENS = 256  # that a file must spare beyond what memory has
_MOST_OFFERS = 4  # that wait; further ones are left out, for each holds memory
_LATEST_STATES = 4  # of one conversation, besides its first


@dataclass(frozen=True)
class _Offer:
    prompts: DiskPrompts
    tokens: tuple[int, ...] | list[int]
    arrays: Arrays


class DiskStore:
    """The files of all models' remembered prompts."""

    def __init__(self, settings: DiskCacheSettings) -> None:
        """Read which files there are, and start the writing thread."""
        self.folder = settings.folder
        self.index = DiskIndex(settings.folder)
        self._settings = settings
        self._offers: queue.Queue[_Offer | None] = queue.Queue(_MOST_OFFERS)
        self._has_room = True  # as the writing thread found the disk
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="read-prompts")
        self._has_failed = False  # the last write, which was said
        self._is_over = False  # the bound of the hour, which was said
        self._offers.put(None)
        threading.Thread(target=self._write_offers, name="write-prompts", daemon=True).start()

    @property
    def is_on(self) -> bool:
        """True if anything may be kept now."""
        return self._has_room and self._settings.disk() != 0

    def open(self, key: ModelKey, model: object) -> DiskPrompts | None:
        """Give one loaded model its files; None where its caches cannot be kept in files."""
        kind = kind_of(model)
        if kind is None:
            log.info("prompts of %s are not kept on disk: its layers cannot be", key.id)
            return None
        try:
            folder = self.folder / identity_of(key, kind)
        except OSError as exc:
            log.warning("prompts of %s are not kept on disk: %s", key.id, exc)
            return None
        return DiskPrompts(self, folder, key, kind.split())

    def offer(self, offer: _Offer | None) -> None:
        """Have something written, unless too much waits already; None: have the bounds looked at again."""
        try:
            self._offers.put_nowait(offer)
        except queue.Full:
            log.info("a prompt is not kept on disk: others are being written")

    def finish(self, within_s: float) -> bool:
        """Wait until all that was offered is written; return whether it is.

        Args:
            within_s: Longest wait; what is not written by then is lost, and that is logged.
        """
        offers = self._offers
        with offers.all_tasks_done:
            is_done = offers.all_tasks_done.wait_for(lambda: not offers.unfinished_tasks, within_s)
        if not is_done:
            log.warning(
                "%d prompts are not written to disk yet, after %g s", offers.unfinished_tasks, within_s
            )
        return is_done

    def _write_offers(self) -> None:
        while True:
            offer = self._offers.get()
            try:
                self._write(offer)
            except OSError as exc:
                if not self._has_failed:
                    log.warning(
                        "remembered prompts cannot be written to %s: %s", self.folder, exc.strerror or exc
                    )
                self._has_failed = True
            except Exception:
                log.exception("a prompt could not be kept on disk")
            finally:
                del offer
                self._offers.task_done()

    def _write(self, offer: _Offer | None) -> None:
        most = limit_bytes(self._settings.disk(), self.folder, self.index.n_bytes)
        self._has_room = most > 0
        if offer is None or most == 0:
            self.index.make_room(most)
            return
        written = 0
        allowed = self._settings.writes_gb_per_hour() * GB - read_written(self.folder).in_hour(time.time())
        sizes = offer.prompts.write(offer.tokens, offer.arrays, most)
        try:
            while written < allowed and (n_bytes := next(sizes, 0)):
                written += n_bytes
        finally:
            if written:
                count_written(self.folder, written)
            self.index.make_room(most)
        self._has_failed = False
        if written >= allowed and not self._is_over:
            log.warning("no more prompts are written to disk within this hour (cache.writes_gb_per_hour)")
        self._is_over = written >= allowed


class DiskPrompts:
    """One model's files."""

    def __init__(self, store: DiskStore, folder: Path, key: ModelKey, kinds: list[str]) -> None:
        """Know where they are; `kinds` are the classes of its layers' caches."""
        self._store = store
        self._folder = folder
        self._key = key
        self._has_attention = "KVCache" in kinds
        self._has_states = set(kinds) != {"KVCache"}

    def offer(self, tokens: list[int], layers: Layers, checkpoints: Iterable[Checkpoint]) -> None:
        """Have a conversation's state kept; for the generating thread, which only hands it over.

        Args:
            tokens: That the layers cover.
            layers: Settled; nobody changes them afterwards.
            checkpoints: At earlier places.
        """
        if not self._store.is_on:
            self._store.offer(None)
            return
        if len(tokens) < LEAST_TOKENS:
            return
        worth = [each for each in checkpoints if each.tokens >= LEAST_TOKENS]
        chosen = {each.tokens: each for each in (*worth[:1], *worth[-1:])}
        arrays = take_arrays(len(tokens), layers, chosen.values())
        if arrays is not None:
            self._store.offer(_Offer(self, tokens, arrays))

    def write(self, tokens: Sequence[int], arrays: Arrays, most_bytes: int) -> Iterator[int]:
        """Write what there is no file of yet; yield the bytes after each file. For the writing thread.

        Raises:
            OSError: A file cannot be written.
        """
        names = chain(np.asarray(tokens, dtype=np.int32))
        blocks = names.blocks if arrays.attention else ()
        states = [names.state(state.end) for state in arrays.states]
        index, total = self._store.index, 0
        index.touch([self._folder / name for name in (*blocks, *states)])
        write_model(self._folder, self._key.id, self._key.path)
        for number, name in enumerate(blocks):
            start = number * BLOCK_TOKENS
            block = attention_block(arrays.attention, start, start + BLOCK_TOKENS)
            total += sum(tensor.bits.nbytes for tensor in block.tensors.values())
            if total > most_bytes:
                return
            if self._folder / name not in index:
                yield self._put(name, block)
        for state, name in zip(arrays.states, states, strict=True):
            if self._folder / name not in index:
                start = state.end // BLOCK_TOKENS * BLOCK_TOKENS
                yield self._put(name, state_block(state, arrays.attention, start))
        self._thin_out(names)

    def _put(self, name: str, block: Block) -> int:
        n_bytes = write_block(self._folder / name, block)
        self._store.index.add(self._folder / name, n_bytes)
        return n_bytes

    def _thin_out(self, names: Chain) -> None:
        """Remove a conversation's states that later ones make superfluous."""
        ours = set(names.hashes)
        places = [
            (place[1], name) for name in self._names() if (place := place_of(name)) and place[0] in ours
        ]
        for _, name in sorted(places)[1:-_LATEST_STATES]:
            self._store.index.remove(self._folder / name)

    def _names(self) -> list[str]:
        return self._store.index.names(self._folder)

    def fetch(self, prompt: Sequence[int], beyond: int) -> Future[Restored | None] | None:
        """Have the longest beginning that files hold read; None where memory has as much.

        Args:
            beyond: Tokens that memory has of it.
        """
        least = max(beyond + _WORTH_TOKENS, LEAST_TOKENS - BLOCK_TOKENS)
        if len(prompt) <= least or not self._store.is_on:
            return None
        names = chain(np.asarray(prompt[:-1], dtype=np.int32))
        if self._plan(names, least) is None:
            return None
        return self._store.reader.submit(self._read, names, least)

    def _plan(self, names: Chain, least: int) -> tuple[int, list[str]] | None:
        """Find the longest beginning, and its files in their order; None where it has fewer than `least`."""
        index, blocks = self._store.index, names.blocks
        held = len(blocks)
        if self._has_attention:
            held = next((n for n, name in enumerate(blocks) if self._folder / name not in index), held)
        if not self._has_states:
            end = held * BLOCK_TOKENS
            return (end, list(blocks[:held])) if end >= least else None
        known = {each: place for place, each in enumerate(names.hashes[:held], start=1)}
        states = [place for name in self._names() if (place := place_of(name)) and place[0] in known]
        for before, end in sorted(states, key=lambda place: place[1], reverse=True):
            if least <= end <= len(names.tokens) and self._folder / names.state(end) in index:
                attention = blocks[: known[before]] if self._has_attention else ()
                return end, [*attention, names.state(end)]
        return None

    def _read(self, names: Chain, least: int) -> Restored | None:
        """Read the longest beginning; what is damaged is dropped, and a shorter one is read then."""
        while plan := self._plan(names, least):
            end, files = plan
            started = time.perf_counter()
            try:
                restored = restore(end, (self._block(name) for name in files))
            except _Gone:
                continue
            except (ValueError, KeyError) as exc:
                log.warning("remembered prompts on disk do not fit each other and are dropped: %s", exc)
                for name in files:
                    self._store.index.remove(self._folder / name)
                continue
            self._store.index.touch([self._folder / name for name in files])
            took = time.perf_counter() - started
            log.info("read %d tokens of a prompt from disk in %.2f s", end, took)
            return restored
        return None

    def _block(self, name: str) -> Block:
        file = self._folder / name
        try:
            return read_block(file)
        except FileNotFoundError as exc:
            self._store.index.drop(file)
            raise _Gone from exc
        except DamagedBlock as exc:
            log.warning("dropped a damaged file of a remembered prompt: %s: %s", file, exc)
            self._store.index.remove(file)
            raise _Gone from exc


class _Gone(Exception):
    """A file cannot be used."""
