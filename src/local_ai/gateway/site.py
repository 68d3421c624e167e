"""What the gateway's routes share: the settings, what is known of the server, and the way to the engine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import psutil

from local_ai.gateway.fill import Defaults
from local_ai.gateway.forward import Lane
from local_ai.gateway.fresh import Fresh
from local_ai.gateway.gate import Gate
from local_ai.gateway.suspects import Suspects
from local_ai.gateway.turnstile import Turnstile
from local_ai.gateway.upstream import Upstream
from local_ai.gateway.watch import Watch
from local_ai.models.catalog import Model, choose_default, list_models
from local_ai.program import Queue
from local_ai.state import State

# The default model is looked up once for requests that come in a burst.
_DEFAULTS_AGE_S = 1.0


@dataclass(frozen=True)
class Site:
    """One gateway."""

    state: State
    watch: Watch
    lane: Lane
    defaults: Fresh[Defaults]

    async def models(self) -> list[Model]:
        """Read the model folders, off the event loop."""
        return await asyncio.to_thread(_models, self.state)


def make_site(state: State) -> Site:
    """Put together what a gateway needs; nothing is opened or read yet."""
    upstream = Upstream(state.engine_socket)
    settings = state.settings.gateway
    turnstile = Turnstile(most_running=settings.max_concurrency, most_waiting=settings.max_queue)
    suspects = Suspects()
    watch = Watch(state, upstream, lambda: _queue(turnstile, suspects))
    stopping = asyncio.Event()
    gate = Gate(watch, stopping, wait_s=settings.wait_for_engine_s)
    lane = Lane(
        upstream=upstream, gate=gate, watch=watch, turnstile=turnstile, stopping=stopping, suspects=suspects
    )
    return Site(
        state=state,
        watch=watch,
        lane=lane,
        defaults=Fresh(lambda: asyncio.to_thread(_defaults, state), max_age_s=_DEFAULTS_AGE_S),
    )


def _queue(turnstile: Turnstile, suspects: Suspects) -> Queue:
    return Queue(
        running=turnstile.running,
        waiting=turnstile.waiting,
        max_concurrency=turnstile.most_running,
        max_queue=turnstile.most_waiting,
        longest_wait_s=round(turnstile.longest_wait_s(), 1),
        requests=turnstile.requests(),
        marked_models=suspects.marked(),
    )


def _models(state: State) -> list[Model]:
    return list_models(state.paths, state.settings.model.path)


def _defaults(state: State) -> Defaults:
    settings = state.settings
    default = choose_default(
        _models(state), configured=settings.model.path, memory_bytes=psutil.virtual_memory().total
    )
    return Defaults(
        generation=settings.generation,
        model=default.id if default else None,
        adapter=settings.model.adapter_path,
    )
