"""All peers, by the names that the settings give them."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_ai.gateway.peers.affinity import Affinity
from local_ai.gateway.peers.model_list import PeerModel
from local_ai.gateway.peers.peer import Peer
from local_ai.models.catalog import Model
from local_ai.models.library import is_pattern
from local_ai.serving.errors import ApiError
from local_ai.settings.model_names import peer_in
from local_ai.settings.schema import LocalAISettings
from local_ai.status.health import PeerHealth


@dataclass(frozen=True)
class ListedModel:
    """One model of a peer, as it is asked for here."""

    name: str  # "model@peer"
    model: PeerModel
    peer: Peer


def as_own(listed: ListedModel) -> Model:
    """Return a peer's model as one of this machine, for lists that have no place for more."""
    model = listed.model
    return Model(
        id=listed.name,
        path=Path(listed.name),
        created=model.created,
        size_bytes=0,
        family="",
        quantisation="",
        context_tokens=model.context_tokens,
        generates_text=True,
        sees=model.sees,
    )


class Peers:
    """The peers of one gateway, each watched by a task of its own."""

    def __init__(self) -> None:
        self.affinity = Affinity()
        self._peers: dict[str, Peer] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._refusal: Callable[[], ApiError] | None = None

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def __bool__(self) -> bool:
        return bool(self._peers)

    def take(self, settings: LocalAISettings) -> None:
        """Watch the peers of these settings from now on; one that has not changed goes on as it was."""
        wanted = {each.name: each for each in settings.peers}
        for name in [name for name, peer in self._peers.items() if peer.settings != wanted.get(name)]:
            self._end(name)
        known, self._peers = self._peers, {}
        for name, each in wanted.items():
            peer = known.get(name) or Peer(each, most_waiting=settings.gateway.max_queue)
            peer.queue.most_waiting = settings.gateway.max_queue
            peer.queue.close(self._refusal)
            self._peers[name] = peer
            if name not in self._watching:
                self._watching[name] = asyncio.create_task(peer.watch())

    def refuse(self, refusal: Callable[[], ApiError] | None) -> None:
        """Refuse what waits and what arrives, in these words; None takes requests again."""
        self._refusal = refusal
        for peer in self:
            peer.queue.close(refusal)

    async def close(self) -> None:
        """End watching, and close all connections."""
        for task in (*self._watching.values(), *self._retiring):
            task.cancel()
        await asyncio.gather(*self._watching.values(), *self._retiring, return_exceptions=True)
        for peer in self:
            await peer.client.close()

    def named(self, name: str) -> tuple[Peer, str] | None:
        """Read "model@peer", also with ":latest" after it; None where it names no peer of ours."""
        peer_name = peer_in(name, self._peers)
        return (self._peers[peer_name], name.rpartition("@")[0]) if peer_name else None

    def written(self, name: str) -> str:
        """Write "model@peer" as the lists have it; any other name as it is."""
        named = self.named(name)
        return f"{named[1]}@{named[0].name}" if named else name

    def hear(self, mark: str) -> None:
        """Note that a question came in which one of the peers here was asked: that one is this server."""
        for peer in self:
            peer.heard_own |= peer.client.mark == mark

    def having(self, model_id: str) -> list[Peer]:
        """List the peers that have a model of that name."""
        return [peer for peer in self if peer.has(model_id)]

    def listed(self, aliases: Mapping[str, str]) -> list[ListedModel]:
        """List all models of all peers, and then the aliases without a wildcard that lead to one."""
        models = [
            ListedModel(f"{model.id}@{peer.name}", model, peer) for peer in self for model in peer.models
        ]
        by_name = {each.name: each for each in models}
        found = [
            (alias, by_name[target])
            for alias, target in ((alias, self.written(target)) for alias, target in aliases.items())
            if target in by_name and not is_pattern(alias)
        ]
        return [*models, *(ListedModel(alias, each.model, each.peer) for alias, each in found)]

    def health(self) -> tuple[PeerHealth, ...]:
        """Describe them for the status, in the settings' order."""
        return tuple(peer.health() for peer in self)

    def _end(self, name: str) -> None:
        self._watching.pop(name).cancel()
        retiring = asyncio.create_task(self._peers.pop(name).retire())
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
