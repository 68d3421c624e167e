"""The abilities of each model, as the engine reads them from its folder; asked once for each."""

import asyncio
import json
from collections.abc import Iterable, Sequence

from local_ai.gateway.upstream.client import EngineAbsent, EngineGone, Upstream
from local_ai.models.catalog import Model

_PATIENCE_S = 0.3  # of who wants to see them now; what is not known by then is told the next time
# Ollama's words for them, which the engine uses, and ours.
_WORDS = {"tools": "tools", "thinking": "thoughts", "vision": "pictures"}
_Key = tuple[str, int, int]


class Abilities:
    """The abilities of the models that were asked about."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._known: dict[_Key, tuple[str, ...]] = {}
        self._learning: asyncio.Task[None] | None = None

    def of(self, model: Model) -> Sequence[str] | None:
        """Return what a model can do, of tools, thoughts, pictures; None where it is not known."""
        return self._known.get(_key(model))

    async def learn(self, models: Iterable[Model]) -> None:
        """Ask about the models that are not known yet; returns soon, and goes on asking."""
        unknown = [model for model in models if model.generates_text and _key(model) not in self._known]
        if unknown and (self._learning is None or self._learning.done()):
            self._learning = asyncio.create_task(self._ask_all(unknown))
        if self._learning is not None and not self._learning.done():
            await asyncio.wait({self._learning}, timeout=_PATIENCE_S)

    async def _ask_all(self, models: Sequence[Model]) -> None:
        try:
            for model in models:
                self._known[_key(model)] = await self._ask(model)
        except (EngineAbsent, EngineGone, ValueError, KeyError, TypeError):
            return  # the next look asks again

    async def _ask(self, model: Model) -> tuple[str, ...]:
        _, said = await self._upstream.ask("POST", "/api/show", json.dumps({"model": model.id}).encode())
        known = json.loads(said)["capabilities"]
        return tuple(word for name, word in _WORDS.items() if name in known)


def _key(model: Model) -> _Key:
    return str(model.path), model.created, model.size_bytes
