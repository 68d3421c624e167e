"""One peer: its state, its models, the paths that it answers, and the requests that it has from here.

    asking ─▶ ready ⇄ away      its models stay listed while it is away

It is asked for its models every few seconds, and at once after a connection to it failed. Silence while it
has requests of ours is no sign of an end: many servers answer nothing else while they generate.
"""

import asyncio
import contextlib
import logging
import time

from local_ai.gateway.admission.queue import RequestQueue
from local_ai.gateway.forwarding.routes import ROUTES
from local_ai.gateway.peers.answer import said_in, strike
from local_ai.gateway.peers.client import PeerClient, reason_of
from local_ai.gateway.peers.errors import key_words
from local_ai.gateway.peers.model_list import MOST_BYTES, PeerModel, read_models
from local_ai.gateway.upstream.cached import Cached
from local_ai.gateway.upstream.client import EngineAbsent, EngineGone
from local_ai.settings.schema import PeerSettings
from local_ai.status.health import MOST_PEER_MODELS, PeerHealth, PeerState

_LOG = logging.getLogger("local_ai.gateway")
_READY_S, _AWAY_S = 5.0, 2.0  # between two looks
_PATIENCE_S = 5.0  # for one answer
_SILENT_S = 60.0  # after which a peer that has requests of ours counts as away, too
_JUST_NOW_S = 0.5
_ANSWERED = 300
_UNKNOWN_PATH = (404, 405, 501)
REFUSES_KEY = {401, 403}
# No server takes this for JSON, so none begins to answer; one that does not have the path says so first.
_NO_JSON = b"?"
_ASKED_PATHS = tuple(
    route.path
    for route in ROUTES
    if route.takes == "application/json" and not route.part and "{" not in route.path
)


class Peer:
    """One peer."""

    def __init__(self, settings: PeerSettings, *, most_waiting: int) -> None:
        self.settings = settings
        self.name = settings.name
        self.client = PeerClient(settings)
        self.queue = RequestQueue(most_running=settings.max_concurrency, most_waiting=most_waiting)
        self.running = 0  # requests that it has now
        self.state = PeerState.ASKING
        self.why = ""  # it is away; or refuses some requests, though it lists its models
        self.refusal_status: int | None = None  # 401 or 403, while it is away because it refuses the key
        self.since = time.time()  # in that state
        self.models: tuple[PeerModel, ...] = ()
        self.heard_own = False  # what it was asked in the last look arrived here: it is this server
        self._paths: frozenset[str] | None = None  # of ours that it answers; None: not asked yet
        self._look = Cached(self._look_now, max_age_s=_JUST_NOW_S)
        self._silent_since: float | None = None  # time.monotonic()
        self._away = asyncio.Event()
        self._poked = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        return self.state is PeerState.READY

    @property
    def load(self) -> int:
        """The number of requests that it has from here or that wait for it."""
        return self.queue.load

    @property
    def is_full(self) -> bool:
        """True if one more request would wait."""
        return self.load >= self.settings.max_concurrency

    def has(self, model_id: str) -> bool:
        """Return True if it lists a model of its own by that name."""
        return any(model.id == model_id for model in self.models)

    def answers(self, path: str) -> bool:
        """Return True if it answers a path of ours, or that is not known."""
        return self._paths is None or path in self._paths

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of ours that it answers, in our order."""
        return tuple(path for path in _ASKED_PATHS if path in (self._paths or ()))

    def health(self) -> PeerHealth:
        """Describe it for the status."""
        return PeerHealth(
            name=self.name,
            url=self.settings.url,
            state=self.state,
            since=self.since,
            why=self.why,
            models=tuple(f"{model.id}@{self.name}" for model in self.models[:MOST_PEER_MODELS]),
            model_count=len(self.models),
            paths=self.paths,
            running=self.running,
            waiting=self.queue.waiting,
        )

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            self._poked.clear()
            await self._look.get()
            pause_s = _READY_S if self.is_ready and self._paths is not None else _AWAY_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poked.wait(), pause_s)

    async def look(self, *, again: bool = False) -> None:
        """Look, unless that was done in the last half second; `again` looks all the same."""
        if again:
            self._look.forget()
        await self._look.get()

    def lost(self, exc: EngineAbsent | EngineGone) -> None:
        """Note that a connection failed: it is away until a look says something else."""
        self._become(PeerState.AWAY, reason_of(exc))
        self._look.forget()
        self._poked.set()

    def refused_key(self, status: int) -> None:
        """Note that it refused a request for its key; the next look finds out whether it refuses all."""
        self.why = key_words(status, has_key=self.client.key is not None)
        self._paths = None
        self._look.forget()
        self._poked.set()

    def took_key(self) -> None:
        """Note that it took a request."""
        if self.is_ready:
            self.why = ""

    async def until_away(self) -> None:
        """Return once it is away."""
        await self._away.wait()

    async def retire(self) -> None:
        """Close all connections once it has no request of ours any more; none comes after this."""
        try:
            while self.load or self.running:
                await asyncio.sleep(_AWAY_S)
        finally:
            await self.client.close()

    async def _look_now(self) -> None:
        self.heard_own = False
        try:
            status, body = await self.client.ask(
                "GET", "/v1/models", most_bytes=MOST_BYTES, within_s=_PATIENCE_S
            )
        except (EngineAbsent, EngineGone) as exc:
            self._become(PeerState.AWAY, reason_of(exc))
            return
        except TimeoutError:
            self._is_silent()
            return
        self._silent_since = None
        if self.heard_own:
            self.models = ()
            self._become(PeerState.AWAY, "this is this server itself")
            return
        if status in REFUSES_KEY:
            self._refuses_key(status)
            return
        if status >= _ANSWERED:
            self._become(PeerState.AWAY, _refused(status, strike(body, self.client.key)))
            return
        try:
            self.models = read_models(body)
        except ValueError:
            self._become(PeerState.AWAY, "what it answers at /v1/models is no list of models")
            return
        if self._paths is None and (found := await self._ask_for_paths()) is not None:
            statuses = set(found.values())
            if statuses and statuses <= REFUSES_KEY:  # though its list may ask for none
                self._refuses_key(min(statuses))
                return
            self._paths = frozenset(found)
        self._become(PeerState.READY, self.why if self.is_ready else "")

    def _refuses_key(self, status: int) -> None:
        self._become(PeerState.AWAY, key_words(status, has_key=self.client.key is not None))
        self.refusal_status = status

    def _is_silent(self) -> None:
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        if not self.running or now - self._silent_since >= _SILENT_S:
            self._become(PeerState.AWAY, "it does not answer")

    def _become(self, state: PeerState, why: str = "") -> None:
        if state is PeerState.AWAY:
            self._paths = None  # it may come back as another version
            self._away.set()
        else:
            self._away.clear()
        if state is not self.state:
            self.since = time.time()
            _LOG.info("the peer %s is %s%s", self.name, state.value, f": {why}" if why else "")
        self.state, self.why, self.refusal_status = state, why, None

    async def _ask_for_paths(self) -> dict[str, int] | None:
        """Find out which paths it answers, and with which status; None where that could not be found out."""
        found: dict[str, int] = {}
        try:
            for path in _ASKED_PATHS:
                status, _ = await self.client.ask(
                    "POST", peer_path(path), _NO_JSON, most_bytes=MOST_BYTES, within_s=_PATIENCE_S
                )
                if status not in _UNKNOWN_PATH:
                    found[path] = status
        except (EngineAbsent, EngineGone, TimeoutError):
            return None
        return found


def peer_path(target: str) -> str:
    """Return the address at which other servers have one of our paths: Anthropic's is at the root there."""
    return target.removeprefix("/anthropic")


def _refused(status: int, body: bytes) -> str:
    """Say why it does not list its models."""
    if 300 <= status < 400:
        return "it sends us elsewhere, which is not followed"
    said = said_in(body, "")
    return f"it answers {status} at /v1/models{f': {said}' if said else ''}"
