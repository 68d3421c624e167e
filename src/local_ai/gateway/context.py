"""The context that the gateway's routes share: settings, knowledge of the server, the way to the engine."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from local_ai.gateway.admission.body_memory import MemoryBudget
from local_ai.gateway.admission.concurrency import concurrency
from local_ai.gateway.admission.omni import OmniGate
from local_ai.gateway.admission.quarantine import Quarantine
from local_ai.gateway.admission.queue import RequestQueue
from local_ai.gateway.admission.readiness import ReadinessGate, stopping_refusal
from local_ai.gateway.admission.shutdown import Shutdown
from local_ai.gateway.downloads.downloads import Downloads
from local_ai.gateway.forwarding.relay import ForwardingContext
from local_ai.gateway.model_cards import ModelCards, PeerCard, read_cards
from local_ai.gateway.peers.client import FORWARDED
from local_ai.gateway.peers.peer import Peer
from local_ai.gateway.peers.peers import ListedModel, Peers
from local_ai.gateway.upstream.abilities import Abilities
from local_ai.gateway.upstream.client import Upstream
from local_ai.gateway.upstream.monitor import Monitor
from local_ai.models.catalog import Model, find_model
from local_ai.models.library import library_of
from local_ai.models.not_found import model_not_found
from local_ai.settings.state import State
from local_ai.status.health import Queue
from local_ai.supervision.program import OMNI, SUPERVISORD

# Of the largest size, how many fit in memory at once.
_BODIES_HELD = 4


_LOG = logging.getLogger("local_ai.gateway")


@dataclass
class LiveState:
    """The state of the start, with the settings that hold now."""

    state: State
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)  # one change at a time


@dataclass(frozen=True)
class GatewayContext:
    """One gateway."""

    live: LiveState
    watch: Monitor
    forwarding: ForwardingContext
    omni_forwarding: ForwardingContext  # to the program `omni`
    body_memory: MemoryBudget
    downloads: Downloads
    abilities: Abilities
    peers: Peers

    @property
    def state(self) -> State:
        """The settings that hold now."""
        return self.live.state

    def take(self, state: State) -> None:
        """Take changed settings over; requests that run or wait are not touched."""
        before, gateway = self.state.settings.gateway, state.settings.gateway
        request_queue = self.forwarding.request_queue
        request_queue.most_waiting = gateway.max_queue
        if gateway.max_concurrency != before.max_concurrency:
            request_queue.resize(concurrency(state.settings)[0])
            self.watch.on_batch(request_queue.resize if gateway.max_concurrency == "auto" else None)
        for forwarding in (self.forwarding, self.omni_forwarding):
            forwarding.gate.wait_s = gateway.wait_for_engine_s
        self.peers.take(state.settings)
        logging.getLogger().setLevel(state.settings.server.log_level)
        self.live.state = state  # last: by its revision a command sees that all of it is done
        _LOG.info("changed settings were taken (%d)", state.revision)

    async def models(self) -> list[Model]:
        """Read the model folders, off the event loop; an alias spelt out is listed like a model."""
        return await asyncio.to_thread(lambda: library_of(self.state).listed())

    async def peer_models(self, headers: Mapping[str, str]) -> list[ListedModel]:
        """List the models of the peers; none for a request that another gateway sent: no list goes round."""
        if (mark := headers.get(FORWARDED)) is not None:
            self.peers.hear(mark)
        if not self.peers or mark is not None:
            return []
        listed = self.peers.listed(self.state.settings.all_aliases)
        own = {model.id for model in await self.models()}
        return [each for each in listed if each.name not in own]

    async def peer_model(self, name: str, headers: Mapping[str, str]) -> ListedModel | None:
        """Find a model of a peer by the name that it is asked for by here; None where it is no peer's."""
        name = self.peers.written(name)
        return next((each for each in await self.peer_models(headers) if each.name == name), None)

    async def cards(self) -> ModelCards:
        """Read the models with all that the page shows of them, off the event loop."""
        report = await self.watch.report()
        # A silent engine most likely imports: the page does not wait for it, nor for httpx.
        if report.engine is not None or not report.is_running:
            await self.abilities.learn(await self.models())
        cards = await asyncio.to_thread(read_cards, self.state, report, self.abilities.of)
        return replace(cards, peers=tuple(_peer_card(peer) for peer in self.peers))

    async def model_named(self, name: str) -> Model:
        """Find a model by name or alias, under the name asked for.

        Raises:
            ApiError: 404 `model_not_found`: none goes by it, or the one that does cannot be used.
        """
        return await asyncio.to_thread(_named, name, self.state)


def make_context(state: State) -> GatewayContext:
    """Put together what a gateway needs; nothing is opened or read yet."""
    live = LiveState(state)
    upstream = Upstream(state.paths.engine_socket)
    settings = state.settings.gateway
    first, _ = concurrency(state.settings)
    request_queue = RequestQueue(most_running=first, most_waiting=settings.max_queue)
    quarantine = Quarantine()
    shutdown = Shutdown()
    peers = Peers()
    watch = Monitor(state, upstream, lambda: _queue(request_queue, quarantine, shutdown, peers))
    if settings.max_concurrency == "auto":
        watch.on_batch(request_queue.resize)
    shutdown.on_change(lambda closed: request_queue.close(stopping_refusal if closed else None))
    shutdown.on_change(lambda closed: peers.refuse(stopping_refusal if closed else None))
    gate = ReadinessGate(watch, shutdown.closed, wait_s=settings.wait_for_engine_s)
    forwarding = ForwardingContext(
        upstream=upstream,
        gate=gate,
        watch=watch,
        request_queue=request_queue,
        shutdown=shutdown,
        quarantine=quarantine,
        supervisor_log=state.paths.log(SUPERVISORD),
    )
    omni_upstream = Upstream(state.paths.omni_socket)
    omni_gate = OmniGate(omni_upstream, watch, shutdown.closed, wait_s=settings.wait_for_engine_s)
    # Its crashes are its own: they mark no model of the engine.
    omni_forwarding = replace(
        forwarding, program=OMNI, upstream=omni_upstream, gate=omni_gate, quarantine=Quarantine()
    )
    return GatewayContext(
        live=live,
        watch=watch,
        forwarding=forwarding,
        omni_forwarding=omni_forwarding,
        body_memory=MemoryBudget(_BODIES_HELD * settings.max_body_mb * 1024 * 1024),
        downloads=Downloads(state.paths.hub_cache, lambda: live.state.settings),
        abilities=Abilities(upstream),
        peers=peers,
    )


def _queue(request_queue: RequestQueue, quarantine: Quarantine, shutdown: Shutdown, peers: Peers) -> Queue:
    return Queue(
        running=request_queue.running,
        waiting=request_queue.waiting,
        max_concurrency=request_queue.most_running,
        max_queue=request_queue.most_waiting,
        longest_wait_s=round(request_queue.longest_wait_s(), 1),
        requests=request_queue.requests(),
        marked_models=quarantine.marked(),
        is_closed=shutdown.closed.is_set(),
        peers=peers.health(),
    )


def _peer_card(peer: Peer) -> PeerCard:
    return PeerCard(
        id=peer.name,
        url=peer.settings.url,
        state=peer.state,
        since=peer.since,
        why=peer.why,
        models=tuple(f"{model.id}@{peer.name}" for model in peer.models),
        paths=peer.paths,
    )


def _named(name: str, state: State) -> Model:
    library = library_of(state)
    found = library.find(name)
    if found is None:
        raise model_not_found(name, library)
    # An alias is answered under its own name; a folder's path is not one.
    return replace(found, id=name) if find_model(name, [found]) is None else found
