"""Room for a model: found, waited for, or refused with the figures."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.server import wait_until

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.schedule import Schedule
from local_ai.engine.core.tasks import Lease, Load
from local_ai.serving.errors import ApiError

pytestmark = pytest.mark.integration  # importing mlx takes seconds

SMALL, BIG = ModelKey("small", Path("/small")), ModelKey("big", Path("/big"))
GB = 10**9


@dataclass
class Limits:
    """The figures of a machine of 10 GB, of which other programs may hold a part."""

    held: int = 0  # by models and conversations
    free: int | None = None
    most_bytes: int = 10 * GB
    margin: int = 0
    is_set: bool = False

    def left(self) -> int:
        return self.most_bytes - self.held

    def free_now(self) -> int | None:
        return self.free


@dataclass
class Prompts:
    """Remembered prompts, which are forgotten where room is needed."""

    limits: Limits
    n_bytes: int = 0

    def forget(self, n_bytes: int) -> None:
        gone = min(n_bytes, self.n_bytes)
        self.n_bytes -= gone
        self.limits.held -= gone


@dataclass(eq=False)
class Model:
    """A model in memory."""

    key: ModelKey
    n_bytes: int
    is_busy: bool = False
    is_pinned: bool = False
    batch: Any = None

    @property
    def weight_bytes(self) -> int:
        return self.n_bytes

    loaded_at: float = 0.0
    last_used: float = 0.0
    waiting: int = 0
    leases: dict[int, float] = field(default_factory=dict)


def residents(
    limits: Limits, models: Iterable[Model] = (), *, prompts: int = 0, fit_check: bool = True
) -> Any:
    """Hold these models on such a machine."""
    from local_ai.engine.core.residents import Residents
    from local_ai.engine.core.worker import WorkerSettings

    settings = WorkerSettings(False, 0, lambda _: 0.0, fit_check=lambda: fit_check)
    made: Any = Residents(settings, on_loading=lambda _key: None)
    made._limits, made._prompts = limits, Prompts(limits, prompts)
    made._residents = {model.key: model for model in models}
    return made


def need(n_bytes: int) -> Any:
    from local_ai.engine.core.model.loading import Need

    return Need(n_bytes)


def test_memory_that_other_programs_hold_is_told_with_the_figures():
    with pytest.raises(ApiError) as refused:
        residents(Limits(free=3 * GB)).plan(BIG, need(5 * GB))

    error = refused.value
    assert str(error) == (
        "error: the model 'big' cannot be loaded now\n"
        "  why: its weights need 5.0 GB of memory, and 3.0 GB are free on this machine\n"
        "  fix: close other programs, or set models.fit_check = false to load it all the same"
    )
    assert (error.status, error.code, error.retry_after_s) == (503, "out_of_memory", 5)


def test_a_model_is_unloaded_where_other_programs_leave_too_little_for_both():
    small = Model(SMALL, 3 * GB)

    room = residents(Limits(held=3 * GB, free=3 * GB), [small]).plan(BIG, need(5 * GB))

    assert room.leavers == (small,)


def test_what_conversations_hold_is_waited_for_and_not_taken_for_other_programs():
    small = Model(SMALL, 1 * GB, is_busy=True)
    held = residents(Limits(held=6 * GB), [small])

    waits = held.plan(BIG, need(8 * GB))
    small.is_busy, held._limits.held = False, 1 * GB
    room = held.plan(BIG, need(8 * GB))

    assert (waits.leavers, waits.answering) == ((), (small,))
    assert (room.leavers, room.answering) == ((), ())


def test_what_a_pinned_model_remembers_is_forgotten_before_a_request_is_refused():
    models = [Model(SMALL, 1 * GB), Model(ModelKey("pinned", Path("/pinned")), 3 * GB, is_pinned=True)]
    held = residents(Limits(held=4 * GB), models, prompts=2 * GB)

    room = held.plan(BIG, need(17 * GB // 2))

    assert room.leavers == tuple(models[:1])
    assert held._prompts.n_bytes == 0


def test_a_model_that_was_pinned_while_a_request_waited_is_named_as_what_takes_its_room():
    pinned = Model(SMALL, 7 * GB, is_pinned=True)

    with pytest.raises(ApiError) as refused:
        residents(Limits(held=7 * GB), [pinned]).plan(BIG, need(5 * GB))

    assert refused.value.status == 422
    assert "models can have 3.0 GB here, for pinned ones take 7.0 GB" in str(refused.value)


def test_a_model_is_loaded_beside_what_cannot_make_way_where_the_check_is_off():
    pinned = Model(SMALL, 3 * GB, is_pinned=True)

    room = residents(Limits(held=3 * GB, free=GB), [pinned], fit_check=False).plan(BIG, need(5 * GB))

    assert room.leavers == ()


class Machine:
    """A stand-in for the models in memory: there is room for a second one once the first is at rest."""

    def __init__(self, first: Model) -> None:
        self.first = first
        self.loaded: list[ModelKey] = []
        self.loading: ModelKey | None = None

    def find(self, key: ModelKey) -> Model | None:
        return self.first if key == self.first.key else None

    def all(self) -> list[Model]:
        return [self.first]

    def need(self, call: Load) -> Any:
        return need(1)

    def plan(self, _key: ModelKey, _need: Any) -> Any:
        from local_ai.engine.core.residents import Room

        return Room(answering=(self.first,) if self.first.is_busy else ())

    def lease(self, lease: Lease) -> Lease:
        return lease

    def load(self, key: ModelKey) -> None:
        self.loaded.append(key)


def test_a_request_waits_while_answers_hold_its_room_and_no_later_one_prolongs_that():
    busy = Model(SMALL, 1, is_busy=True, is_pinned=True)
    machine: Any = Machine(busy)
    refused: list[Exception] = []
    schedule = Schedule(
        machine,
        refuse=lambda _call, exc: refused.append(exc),
        on_change=lambda: None,
        give_back=lambda _lease: None,
    )
    schedule.add(Load(Future(), BIG, 0, arrived=-1000.0))
    later = Load(Future(), SMALL, 0)
    schedule.add(later)

    schedule.serve()
    waits = machine.loaded.copy(), later.done.done(), schedule.closed
    busy.is_busy = False
    schedule.serve()

    assert waits == ([], False, frozenset({SMALL}))
    assert machine.loaded == [BIG]
    assert not refused


def test_what_a_model_sees_with_is_imported_on_another_thread_while_other_models_load(
    monkeypatch: pytest.MonkeyPatch,
):
    from local_ai.engine.core import residents as module
    from local_ai.engine.core.vision.background_import import BackgroundImport

    held, may_end = residents(Limits()), threading.Event()
    held._vision = BackgroundImport(may_end.wait)
    monkeypatch.setattr(module, "sees", lambda key: key == BIG)
    monkeypatch.setattr(module, "check_model", lambda *_words, **_options: need(1))
    sees, reads = Load(Future(), BIG, 0), Load(Future(), SMALL, 0)

    meanwhile = held.need(sees), held.need(reads)
    may_end.set()

    assert meanwhile == (None, need(1))
    assert wait_until(lambda: held.need(sees)) == need(1)


def test_a_request_waits_for_an_import_and_is_not_refused():
    machine: Any = Machine(Model(SMALL, 1))
    refused: list[Exception] = []
    schedule = Schedule(
        machine,
        refuse=lambda _call, exc: refused.append(exc),
        on_change=lambda: None,
        give_back=lambda _lease: None,
    )
    sees, beside = Load(Future(), BIG, 0), Load(Future(), SMALL, 0)
    schedule.add(sees)
    schedule.add(beside)
    machine.need = lambda _call: None

    schedule.serve()
    meanwhile = machine.loaded.copy(), schedule.waiting.copy(), beside.done.done()
    machine.need = lambda _call: need(1)
    schedule.serve()

    assert meanwhile == ([], [sees], True)
    assert machine.loaded == [BIG]
    assert not refused
