"""Requests that wait for their model, their turn, or a place in a batch; see `turns` for the rule."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.tasks import Call, Item, Lease, LeaseId, Request, Reserve, Unload, Unloaded
from local_ai.engine.core.turns import may_leave, turn_ends

if TYPE_CHECKING:
    from local_ai.engine.core.model.loading import Need
    from local_ai.engine.core.resident import Resident
    from local_ai.engine.core.residents import Residents, Room

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Load:
    """A load under way."""

    call: Call
    left: tuple[ModelKey, ...]  # models that made way for it, and generate text


@dataclass(frozen=True)
class _Claim:
    """A request for a model that is not in memory, and the models that make way for it."""

    call: Call
    room: Room

    @property
    def in_its_way(self) -> tuple[Resident, ...]:
        """The models whose turn ends for it."""
        return self.room.leavers or self.room.answering


class Schedule:
    """The waiting requests; for the generating thread alone, but for `closed`."""

    def __init__(
        self,
        residents: Residents,
        *,
        refuse: Callable[[Call, Exception], None],
        on_change: Callable[[], None],
        give_back: Callable[[LeaseId], None],
    ) -> None:
        """Wait for nothing yet.

        Args:
            refuse: Ends a request with an error.
            on_change: Told that other models are in memory now.
            give_back: Told of leases that have ended.
        """
        self._residents = residents
        self._refuse = refuse
        self._on_change = on_change
        self._give_back = give_back
        self.waiting: list[Item] = []
        self.closed: frozenset[ModelKey] = frozenset()  # models whose turn is over for what comes now
        self._needs: dict[Call, Need] = {}  # of requests for models that were found loadable
        self._load: _Load | None = None  # under way

    def add(self, item: Item) -> None:
        """Have a request wait."""
        self.waiting.append(item)

    def take_all(self) -> list[Item]:
        """Take out everything that waits."""
        waiting, self.waiting = self.waiting, []
        return waiting

    def serve(self) -> None:
        """Serve all that can be served now."""
        self.waiting = [item for item in self.waiting if not item.is_given_up]
        while self._serve_once():
            pass
        self._needs = {call: need for call, need in self._needs.items() if call in self.waiting}
        for resident in self._residents.all():
            resident.waiting = sum(not isinstance(i, Unload) and i.key == resident.key for i in self.waiting)

    def _serve_once(self) -> bool:
        """Take one step; return whether another one may be possible."""
        now = time.monotonic()
        barred = self._unload_where_asked()
        calls = [item for item in self.waiting if not isinstance(item, Unload) and item not in barred]
        absent = [call for call in calls if self._residents.find(call.key) is None]
        if self._load is not None:  # another model's turn comes once it has ended
            absent = []
        claims, refused = self._claims(absent)
        first = claims[0] if claims else None
        self.closed = _closed(first, now) if first else frozenset()
        awaited = self._serve_residents(calls, first)
        for claim in claims:
            if claim.room.answering:
                continue
            beside = not claim.room.leavers
            if beside or (claim is first and self._all_may_leave(claim, awaited, now)):
                self._make_room(claim)
                return True
        return refused

    def _claims(self, absent: list[Call]) -> tuple[list[_Claim], bool]:
        """Find the oldest request for each model that is not there; also return whether any was refused."""
        oldest: dict[ModelKey, Call] = {}
        for call in sorted(absent, key=lambda call: call.arrived):
            oldest.setdefault(call.key, call)
        claims, refused = [], False
        for call in oldest.values():
            try:
                need = self._needs.get(call) or self._residents.need(call)
                if need is None:  # it waits for an import
                    continue
                self._needs[call] = need
                claims.append(_Claim(call, self._residents.plan(call.key, need)))
            except Exception as exc:
                self.waiting.remove(call)
                self._refuse(call, exc)
                refused = True
        return claims, refused

    def _serve_residents(self, calls: list[Call], claim: _Claim | None) -> set[ModelKey]:
        """Serve what waits for models in memory; return those for which some still wait in this turn."""
        awaited = set()
        for call in calls:
            resident = self._residents.find(call.key)
            if resident is None:
                continue
            leaves = claim is not None and resident in claim.in_its_way
            if leaves and claim and call.arrived > turn_ends(resident, claim.call.arrived):
                continue
            if self._grant(call, resident):
                self.waiting.remove(call)
            else:
                awaited.add(resident.key)
        return awaited

    def _grant(self, call: Call, resident: Resident) -> bool:
        """Let a request have its model; False where its batch is full."""
        if not isinstance(call, Request):
            lease = self._residents.lease(Lease(call.key, call.arrived, self._give_back))
            if lease and call.done.set_running_or_notify_cancel():
                call.done.set_result(lease)
            return True
        assert resident.batch is not None
        if len(resident.batch) >= resident.batch.most:
            return False
        try:
            resident.batch.add(call)
        except Exception as exc:
            self._refuse(call, exc)
        return True

    def _all_may_leave(self, claim: _Claim, awaited: set[ModelKey], now: float) -> bool:
        return all(
            each.key not in awaited and may_leave(each, claim.call.arrived, now)
            for each in claim.room.leavers
        )

    def _make_room(self, claim: _Claim) -> None:
        """Unload the models that make way, and begin to load the one that is asked for."""
        call, left = claim.call, []
        try:
            for resident in claim.room.leavers:
                is_text = resident.batch is not None
                freed = self._residents.unload(resident)
                if freed is None:
                    return
                log.info("unloaded %s for %s, %d MB", resident.key.id, call.key.id, freed // 1_000_000)
                left += [resident.key] if is_text else []
            if isinstance(call, Reserve):
                self._residents.reserve(call.model)
            else:
                self._load = _Load(call, tuple(left))
                self._residents.load(call.key)
        except Exception as exc:
            self._fail(call, left, exc)
        finally:
            self._on_change()

    def go_on_loading(self) -> None:
        """Take the next step of the load under way, if there is one."""
        if (load := self._load) is None:
            return
        try:
            self._residents.go_on()
        except Exception as exc:
            self._fail(load.call, load.left, exc)
        if self._residents.loading is None:
            self._load = None
            self.serve()  # before anybody is told: what it was loaded for does not wait any longer
            self._on_change()

    def _fail(self, call: Call, left: Iterable[ModelKey], exc: Exception) -> None:
        """Refuse a request whose model cannot be loaded; those that made way come back."""
        self._load = None
        for key in left:
            log.warning("%s cannot be loaded; %s comes back", call.key.id, key.id)
            self._residents.load(key)
            while self._residents.loading:
                self._residents.go_on()
        if call in self.waiting:
            self.waiting.remove(call)
        self._refuse(call, exc)

    def _unload_where_asked(self) -> set[Item]:
        """Unload what is asked for and at rest; return the requests that come after an unload that waits."""
        barred: set[Item] = set()
        for item in [item for item in self.waiting if isinstance(item, Unload)]:
            wanted = [each for each in self._residents.all() if item.folder in {None, each.key.path}]
            calls = [one for one in self.waiting if not isinstance(one, Unload)]
            ahead = {one.key for one in calls if one.arrived <= item.arrived}
            loading = self._residents.loading
            is_on_its_way = loading is not None and item.folder in {None, loading.path}
            if is_on_its_way or any(each.is_busy or each.key in ahead for each in wanted):
                after = [one for one in calls if one.arrived > item.arrived]
                barred |= {one for one in after if item.folder in {None, one.key.path}}
            else:
                self.waiting.remove(item)
                self._unload(item, wanted)
        return barred

    def _unload(self, item: Unload, wanted: list[Resident]) -> None:
        freed = [(each.key.id, self._residents.unload(each)) for each in wanted]
        done = [(name, count) for name, count in freed if count is not None]
        for name, count in done:
            log.info("unloaded %s as asked, %d MB", name, count // 1_000_000)
        self._on_change()
        if item.done.set_running_or_notify_cancel():
            item.done.set_result(Unloaded(tuple(name for name, _ in done), sum(n for _, n in done)))


def _closed(claim: _Claim, now: float) -> frozenset[ModelKey]:
    """Find the models whose turn is over for requests that come now."""
    return frozenset(each.key for each in claim.in_its_way if now > turn_ends(each, claim.call.arrived))
