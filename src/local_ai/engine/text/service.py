"""The service that the endpoints share: names to models, requests to jobs, jobs to pieces, the log line."""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.core.tasks import Lease, Unloaded
from local_ai.engine.core.worker import Worker
from local_ai.engine.errors import bad_field, model_not_loadable
from local_ai.engine.text import generation
from local_ai.engine.text.conversation import Ask, Begun, Ended, Piece, Reading, Usage
from local_ai.engine.text.interruptible import InterruptibleThreads
from local_ai.engine.text.pictures import PictureReader, without_pictures
from local_ai.engine.text.prompts import FieldNames, Prepared, count_tokens, prepare
from local_ai.models.catalog import Model
from local_ai.models.library import ModelLibrary
from local_ai.models.not_found import model_not_found
from local_ai.serving.errors import ApiError
from local_ai.serving.request_id import REQUEST_ID
from local_ai.settings.schema import GenerationSettings, LocalAISettings

log = logging.getLogger("local_ai.engine.requests")
_MOST_RECENT = 100

LONGEST_PREPARATION_S = 60.0  # of a prompt: a million tokens take about ten seconds
_TOKENS_PER_PICTURE = 1000  # the same: of a screenshot, 64 to 4,000, by the model
_CHARACTERS_PER_TOKEN = 4  # of English, roughly; https://help.openai.com/en/articles/4936856


T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """A request whose model is loaded and whose prompt is written."""

    ask: Ask
    words: ModelWords
    prepared: Prepared
    name: str  # of the model, as the client said it
    lease: Lease  # of the model, until its answer is begun


class Service:
    """The engine's inside, as the endpoints see it."""

    def __init__(
        self,
        worker: Worker,
        library: Callable[[], ModelLibrary],
        settings: Callable[[], LocalAISettings],
        pictures: PictureReader,
    ) -> None:
        """Serve what a worker loads and generates.

        Args:
            library: Reads which models the machine has, now.
            settings: Returns the settings that hold now.
        """
        self._worker = worker
        self._library = library
        self._settings = settings
        self._pictures = pictures
        self._threads = InterruptibleThreads()
        self.recent: deque[dict[str, Any]] = deque(maxlen=_MOST_RECENT)  # figures of the last answers

    def default_key(self) -> ModelKey | None:
        """The model to load at start, with its adapter."""
        library = self._library()
        return self._key(library.default, library) if library.default else None

    def defaults(self, name: str | None) -> GenerationSettings:
        """Return the settings' values for a model by name or alias; no name means the default."""
        settings = self._settings()
        if not settings.models.named:  # and so the folders need not be read
            return settings.generation
        found = self._library().find(name)
        return settings.generation.of_model(found.own if found else None)

    def resolve(self, name: str | None, adapter: str | None = None) -> ModelKey:
        """Find the model folder a request means; only what is on this machine.

        Args:
            adapter: Folder of the adapter that the request asks for.

        Raises:
            ApiError: 404 `model_not_found`, with the nearest names.
        """
        return self._resolve(name, adapter)[0]

    def _resolve(self, name: str | None, adapter: str | None) -> tuple[ModelKey, int | None]:
        """Also return the model's context, in tokens: to read the folders takes a part of a millisecond."""
        library = self._library()
        found = _find(name, library)
        if not found.generates_text:
            raise model_not_loadable(found.id, "it is not a model that generates text", "take one that does")
        key = self._key(found, library)
        return replace(key, adapter=_adapter_folder(adapter)) if adapter else key, found.context_tokens

    def _key(self, model: Model, library: ModelLibrary) -> ModelKey:
        """Name a model, its adapter and its template; `model.adapter_path` is the default model's."""
        adapter = self._settings().model.adapter_path if model == library.default else None
        template = None
        if model.own:
            adapter, template = model.own.adapter_path or adapter, model.own.chat_template
        return ModelKey(model.id, model.path, adapter, template)

    def find(self, name: str | None) -> Model:
        """Find a model of any kind by name or alias; no name means the default.

        Raises:
            ApiError: 404 `model_not_found`, with the nearest names.
        """
        return _find(name, self._library())

    async def load(self, name: str) -> None:
        """Load a model; ApiError where there is none, or it cannot be loaded."""
        _, lease = await self._load(Ask(), name, None)
        lease.end()

    async def unload(self, name: str | None) -> Unloaded:
        """Have a model no longer in memory; its running answers are waited for, other models stay.

        Args:
            name: None: all models.

        Raises:
            ApiError: No such model.
        """
        folder = None if name is None else self.find(name).path
        return await asyncio.wrap_future(self._worker.unload(folder))

    async def pin(self, name: str, *, pinned: bool) -> bool:
        """Have a model stay in memory, where it is loaded now; or no longer.

        Returns:
            Whether it is pinned: the settings may pin it too.

        Raises:
            ApiError: No such model, or it cannot be loaded.
        """
        found = self.find(name)
        is_pinned = self._worker.pin(ModelKey(found.id, found.path), pinned=pinned)
        if pinned and found.generates_text:
            try:
                await self.load(name)
            except BaseException:
                self._worker.pin(ModelKey(found.id, found.path), pinned=False)
                raise
        return is_pinned

    def keep(self, name: str, idle_s: float | None) -> None:
        """Say how long a model that is in memory stays there once nothing is asked of it.

        Args:
            idle_s: inf: for ever; None: as the settings have it.
        """
        self._worker.keep(self.find(name).path, idle_s)

    async def open(self, ask: Ask, name: str | None, adapter: str | None, names: FieldNames) -> Opened:
        """Wait for the model and write the prompt.

        Raises:
            ApiError: No such model, it cannot be loaded, or the request does not fit it.
        """
        words, lease = await self._load(ask, name, adapter)
        try:
            ask = await self._show(ask, words)
            prepared = await self._in_time(lambda: prepare(ask, words, names=names), words, names)
        except BaseException:
            lease.end()
            raise
        return Opened(ask, words, prepared, name or words.key.id, lease)

    async def count_tokens(self, ask: Ask, name: str | None, adapter: str | None, names: FieldNames) -> int:
        """Count the tokens of a prompt, also of one that the model's context cannot hold.

        Raises:
            ApiError: No such model, it cannot be loaded, or the prompt cannot be written.
        """
        words, lease = await self._load(ask, name, adapter)
        lease.end()
        ask = await self._show(ask, words)
        return await self._in_time(lambda: count_tokens(ask, words, names=names), words, names)

    async def _show(self, ask: Ask, words: ModelWords) -> Ask:
        """Return a request as its model can take it: with pictures decoded, or without any."""
        if not ask.has_pictures:
            return ask
        if words.sees:
            return await self._pictures.read(ask)
        seeing = [model.id for model in self._library().models if model.sees]
        return without_pictures(ask, words.key.id, words.blind_why, seeing)

    async def _load(self, ask: Ask, name: str | None, adapter: str | None) -> tuple[ModelWords, Lease]:
        key, context = self._resolve(name, adapter)
        if self._worker.is_full:
            raise ApiError(
                "the queue is full",
                why="too many requests are waiting already",
                fix="try again in a moment",
                status=429,
                code="queue_full",
            )
        tokens = _asked_tokens(ask)
        if context is not None:
            tokens = min(tokens, context)
        lease = await asyncio.wrap_future(self._worker.load(key, tokens))
        words = lease.words
        assert words is not None
        return words if context == words.context_tokens else replace(words, context_tokens=context), lease

    async def _in_time(self, write: Callable[[], T], words: ModelWords, names: FieldNames) -> T:
        try:
            return await self._threads.run(write, within_s=LONGEST_PREPARATION_S)
        except TimeoutError as exc:
            raise bad_field(
                names.messages,
                f"the prompt was not written within {LONGEST_PREPARATION_S:g} s: it is very long, "
                f"or the chat template of {words.key.id!r} does not end",
                "shorten it, or take another model",
            ) from exc

    async def run(self, opened: Opened) -> AsyncIterator[Piece]:
        """Generate one answer and log how it went; closing the iterator ends the generation."""
        record = _Record(opened)
        pieces = generation.run(
            self._worker, opened.prepared, opened.ask, opened.words, record.count, lease=opened.lease
        )
        try:
            async for piece in pieces:
                record.note(piece)
                yield piece
        except ApiError as exc:
            record.outcome = exc.code or f"error {exc.status}"
            raise
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]
            self.recent.append(record.write())


def _find(name: str | None, library: ModelLibrary) -> Model:
    found = library.find(name)
    if found is not None:
        return found
    raise model_not_found(name or library.configured or "", library)


def _asked_tokens(ask: Ask) -> int:
    """Estimate how long a conversation gets whose prompt no tokenizer has read yet."""
    if isinstance(ask.prompt, tuple):
        prompt = len(ask.prompt)
    else:
        characters = len(ask.prompt or "") + sum(len(message.text) for message in ask.messages)
        prompt = characters // _CHARACTERS_PER_TOKEN + ask.picture_count * _TOKENS_PER_PICTURE
    return prompt + (ask.limits.max_tokens or 0)


def _adapter_folder(name: str) -> Path:
    # os.path's functions answer whatever the text; Path's raise for some.
    folder = os.path.expanduser(name)  # noqa: PTH111
    if not os.path.isdir(folder):
        raise bad_field("adapters", f"there is no folder {name[:200]!r}", "name an adapter's folder")
    return Path(folder)


class _Record:
    """One answer's line in the log: never what was said."""

    def __init__(self, opened: Opened) -> None:
        self._model = opened.words.key.id
        limits, given = opened.ask.limits, opened.prepared.job.max_tokens
        is_cut = not limits.is_default and (limits.max_tokens or 0) > given
        self._cut = f"max_tokens={given} asked={limits.max_tokens} " if is_cut else ""
        self._started = time.perf_counter()
        self._first: float | None = None
        self._usage = Usage(0, 0, 0)
        self._miss = ""
        self.outcome = "client left"

    def count(self, usage: Usage) -> None:
        self._usage = usage

    def note(self, piece: Piece) -> None:
        if isinstance(piece, Ended):
            self.outcome = piece.reason
        elif self._first is not None:
            return
        elif isinstance(piece, Begun):
            self._miss = piece.miss
        elif not isinstance(piece, Reading):
            self._first = time.perf_counter()

    def write(self) -> dict[str, Any]:
        """Log it, and return its figures."""
        now = time.perf_counter()
        first = self._first if self._first is not None else now
        # Of what came after the first: one token alone has no rate.
        rate = (self._usage.answer - 1) / (now - first) if now > first and self._usage.answer > 1 else 0.0
        log.info(
            "model=%s in=%d cached=%d%s out=%d first=%.2fs rate=%.1f/s total=%.2fs %soutcome=%s",
            self._model,
            self._usage.prompt,
            self._usage.cached,
            f" ({self._miss})" if self._miss else "",
            self._usage.answer,
            first - self._started,
            rate,
            now - self._started,
            self._cut,
            self.outcome,
        )
        return {
            "id": REQUEST_ID.get(),
            "prompt_tokens": self._usage.prompt,
            "cached_tokens": self._usage.cached,
            "answer_tokens": self._usage.answer,
            "tokens_per_s": round(rate, 1) or None,
            "miss": self._miss or None,
        }
