"""What the gateway's routes share: the settings, what is known of the server, and the way to the engine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import psutil

from local_ai.gateway.fill import Defaults
from local_ai.gateway.forward import Lane
from local_ai.gateway.fresh import Fresh
from local_ai.gateway.gate import Gate
from local_ai.gateway.upstream import Upstream
from local_ai.gateway.watch import Watch
from local_ai.models.catalog import Model, choose_default, list_models
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
    watch = Watch(state, upstream)
    stopping = asyncio.Event()
    gate = Gate(watch, stopping, wait_s=state.settings.gateway.wait_for_engine_s)
    return Site(
        state=state,
        watch=watch,
        lane=Lane(upstream=upstream, gate=gate, watch=watch, stopping=stopping),
        defaults=Fresh(lambda: asyncio.to_thread(_defaults, state), max_age_s=_DEFAULTS_AGE_S),
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
