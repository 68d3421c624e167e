"""What the gateway's routes share: the settings, what is known of the server, and the way to the engine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from local_ai.gateway.admission.body_memory import Room
from local_ai.gateway.admission.omni import OmniGate
from local_ai.gateway.admission.quarantine import Quarantine
from local_ai.gateway.admission.queue import Turnstile
from local_ai.gateway.admission.readiness import Gate, stopping_refusal
from local_ai.gateway.admission.shutdown import Ending
from local_ai.gateway.forwarding.relay import Lane
from local_ai.gateway.upstream.client import Upstream
from local_ai.gateway.upstream.monitor import Watch
from local_ai.models.catalog import Model, find_model
from local_ai.models.library import ModelLibrary, read_library
from local_ai.settings.state import State
from local_ai.status.health import Queue
from local_ai.supervision.program import OMNI, SUPERVISORD

# Of the largest size, how many fit in memory at once.
_BODIES_HELD = 4


@dataclass(frozen=True)
class Site:
    """One gateway."""

    state: State
    watch: Watch
    lane: Lane
    omni_lane: Lane  # to the program `omni`
    room: Room

    async def models(self) -> list[Model]:
        """Read the model folders, off the event loop; an alias spelt out is listed like a model."""
        return await asyncio.to_thread(_listed, self.state)

    async def model_named(self, name: str) -> Model | None:
        """Find a model by name or alias, under the name asked for."""
        return await asyncio.to_thread(_named, name, self.state)


def make_site(state: State) -> Site:
    """Put together what a gateway needs; nothing is opened or read yet."""
    upstream = Upstream(state.engine_socket)
    settings = state.settings.gateway
    turnstile = Turnstile(most_running=settings.max_concurrency, most_waiting=settings.max_queue)
    quarantine = Quarantine()
    ending = Ending()
    watch = Watch(state, upstream, lambda: _queue(turnstile, quarantine, ending))
    ending.on_change(lambda closed: turnstile.close(stopping_refusal if closed else None))
    gate = Gate(watch, ending.closed, wait_s=settings.wait_for_engine_s)
    lane = Lane(
        upstream=upstream,
        gate=gate,
        watch=watch,
        turnstile=turnstile,
        ending=ending,
        quarantine=quarantine,
        supervisor_log=state.paths.log(SUPERVISORD),
    )
    omni_upstream = Upstream(state.paths.omni_socket)
    omni_gate = OmniGate(omni_upstream, watch, ending.closed, wait_s=settings.wait_for_engine_s)
    # Its crashes are its own: they mark no model of the engine.
    omni_lane = replace(lane, program=OMNI, upstream=omni_upstream, gate=omni_gate, quarantine=Quarantine())
    return Site(
        state=state,
        watch=watch,
        lane=lane,
        omni_lane=omni_lane,
        room=Room(_BODIES_HELD * settings.max_body_mb * 1024 * 1024),
    )


def _queue(turnstile: Turnstile, quarantine: Quarantine, ending: Ending) -> Queue:
    return Queue(
        running=turnstile.running,
        waiting=turnstile.waiting,
        max_concurrency=turnstile.most_running,
        max_queue=turnstile.most_waiting,
        longest_wait_s=round(turnstile.longest_wait_s(), 1),
        requests=turnstile.requests(),
        marked_models=quarantine.marked(),
        is_closed=ending.closed.is_set(),
    )


def _library(state: State) -> ModelLibrary:
    settings = state.settings
    return read_library(
        state.paths,
        configured=settings.model.path,
        aliases=settings.aliases,
        settled=state.default_model,
    )


def _listed(state: State) -> list[Model]:
    return _library(state).listed()


def _named(name: str, state: State) -> Model | None:
    found = _library(state).find(name)
    # An alias is answered under its own name; a folder's path is not one.
    return replace(found, id=name) if found and find_model(name, [found]) is None else found
