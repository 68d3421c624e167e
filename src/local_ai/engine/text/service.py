"""What the endpoints share: names to models, requests to prepared jobs, jobs to pieces, and the log line."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.engine.core.terms import ModelKey
from local_ai.engine.core.tokenizer import ModelWords
from local_ai.engine.core.worker import Worker
from local_ai.engine.errors import EngineError, bad_field, model_not_found, model_not_loadable
from local_ai.engine.text import generation
from local_ai.engine.text.conversation import Ask, Begun, Ended, Piece, Reading, Usage
from local_ai.engine.text.interruptible import InterruptibleThreads
from local_ai.engine.text.prompts import FieldNames, Prepared, prepare
from local_ai.models.aliases import DEFAULT_TARGET, find_named, find_target
from local_ai.models.catalog import Model, choose_default, list_models, nearest_names
from local_ai.models.memory import total_bytes
from local_ai.settings.paths import Paths

if TYPE_CHECKING:
    from local_ai.settings.schema import ModelSettings

log = logging.getLogger("local_ai.engine.requests")

LONGEST_PREPARATION_S = 60.0  # of a prompt: a million tokens take about ten seconds
_CHARACTERS_PER_TOKEN = 4  # of English, roughly; https://help.openai.com/en/articles/4936856


@dataclass(frozen=True)
class Opened:
    """A request whose model is loaded and whose prompt is written."""

    ask: Ask
    words: ModelWords
    prepared: Prepared
    name: str  # of the model, as the client said it


class Service:
    """The engine's inside, as the endpoints see it."""

    def __init__(
        self,
        worker: Worker,
        paths: Paths,
        settings: ModelSettings,
        aliases: Mapping[str, str] | None = None,
        *,
        settled: str | None = None,
    ) -> None:
        """Serve what a worker loads and generates.

        Args:
            settled: Id of the default model that the start chose, where the settings name none.
        """
        self._worker = worker
        self._paths = paths
        self._settings = settings
        self._aliases = aliases or {}
        self._settled = settled
        self._threads = InterruptibleThreads()

    def models(self) -> list[Model]:
        """Read which models the machine has, now."""
        return list_models(self._paths, self._settings.path)

    def default_model(self) -> Model | None:
        return self._default_of(self.models())

    def _default_of(self, models: list[Model]) -> Model | None:
        return choose_default(
            models, configured=self._settings.path, memory_bytes=total_bytes(), settled=self._settled
        )

    def default_key(self) -> ModelKey | None:
        """The model to load at start, with its adapter."""
        model = self.default_model()
        return ModelKey(model.id, model.path, self._settings.adapter_path) if model else None

    def resolve(self, name: str | None, adapter: str | None = None) -> ModelKey:
        """Find the model folder a request means; only what is on this machine.

        Raises:
            EngineError: 404 `model_not_found`, with the nearest names.
        """
        found = self.find(name)
        if not found.generates_text:
            raise model_not_loadable(found.id, "it is not a model that generates text", "take one that does")
        folder = _adapter_folder(adapter) if adapter else None if name else self._settings.adapter_path
        return ModelKey(found.id, found.path, folder)

    def find(self, name: str | None) -> Model:
        """Find a model of any kind by name or alias; no name means the default.

        Raises:
            EngineError: 404 `model_not_found`, with the nearest names.
        """
        models = self.models()
        default = self._default_of(models)
        found = find_named(name, models, self._aliases, default) if name else default
        if found is not None:
            return found
        wanted = name or self._settings.path or ""
        target = find_target(wanted, self._aliases)
        if target == DEFAULT_TARGET:
            target = self._settings.path or DEFAULT_TARGET
        near = nearest_names(target or wanted, models)
        raise model_not_found(wanted, near, any_models=bool(models), target=target)

    def folder_of(self, name: str) -> str:
        """Find the folder of a model of any kind, as text; "" is the default, an unknown name stays."""
        models = self.models()
        default = self._default_of(models)
        found = find_named(name, models, self._aliases, default) if name else default
        return str(found.path) if found else name

    async def open(self, ask: Ask, name: str | None, adapter: str | None, names: FieldNames) -> Opened:
        """Wait for the model and write the prompt.

        Raises:
            EngineError: No such model, it cannot be loaded, or the request does not fit it.
        """
        key = self.resolve(name, adapter)
        if self._worker.is_full:
            raise EngineError(
                "the request cannot wait here",
                why="too many requests wait already",
                fix="try again in a moment",
                status=429,
                code="queue_full",
            )
        words = await asyncio.wrap_future(self._worker.load(key, _asked_tokens(ask)))
        prepared = await self._prepare(ask, words, names)
        return Opened(ask, words, prepared, name or key.id)

    async def _prepare(self, ask: Ask, words: ModelWords, names: FieldNames) -> Prepared:
        try:
            return await self._threads.run(
                lambda: prepare(ask, words, names=names), within_s=LONGEST_PREPARATION_S
            )
        except TimeoutError as exc:
            raise bad_field(
                names.messages,
                f"the prompt was not written within {LONGEST_PREPARATION_S:g} s: it is very long, "
                f"or the chat template of {words.key.id!r} does not end",
                "shorten it, or take another model",
            ) from exc

    async def run(self, opened: Opened) -> AsyncIterator[Piece]:
        """Generate one answer and log how it went; closing the iterator ends the generation."""
        record = _Record(opened.words.key.id)
        pieces = generation.run(self._worker, opened.prepared, opened.ask, opened.words)
        try:
            async for piece in pieces:
                record.note(piece)
                yield piece
        except EngineError as exc:
            record.outcome = exc.code or f"error {exc.status}"
            raise
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]
            record.write()


def _asked_tokens(ask: Ask) -> int:
    """Estimate how long a conversation gets whose prompt no tokenizer has read yet."""
    if isinstance(ask.prompt, tuple):
        prompt = len(ask.prompt)
    else:
        text = ask.prompt or "".join(message.text for message in ask.messages)
        prompt = len(text) // _CHARACTERS_PER_TOKEN
    return prompt + (ask.limits.max_tokens or 0)


def _adapter_folder(name: str) -> Path:
    # os.path's functions answer whatever the text; Path's raise for some.
    folder = os.path.expanduser(name)  # noqa: PTH111
    if not os.path.isdir(folder):
        raise bad_field("adapters", f"there is no folder {name[:200]!r}", "name an adapter's folder")
    return Path(folder)


class _Record:
    """One answer's line in the log: never what was said."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._started = time.perf_counter()
        self._first: float | None = None
        self._usage = Usage(0, 0, 0)
        self.outcome = "client left"

    def note(self, piece: Piece) -> None:
        if isinstance(piece, Begun | Ended):
            self._usage = piece.usage
        if isinstance(piece, Ended):
            self.outcome = piece.reason
        elif not isinstance(piece, Begun | Reading) and self._first is None:
            self._first = time.perf_counter()

    def write(self) -> None:
        now = time.perf_counter()
        first = self._first if self._first is not None else now
        # Of what came after the first: one token alone has no rate.
        rate = (self._usage.answer - 1) / (now - first) if now > first and self._usage.answer > 1 else 0.0
        log.info(
            "model=%s in=%d cached=%d out=%d first=%.2fs rate=%.1f/s total=%.2fs outcome=%s",
            self._model,
            self._usage.prompt,
            self._usage.cached,
            self._usage.answer,
            first - self._started,
            rate,
            now - self._started,
            self.outcome,
        )
