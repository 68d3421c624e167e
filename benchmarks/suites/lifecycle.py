"""Start, status, crash, stop and rest: process managers with a trivial child, and ours with its engine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import psutil

from benchmarks.clock import (
    answers,
    clean_environment,
    free_port,
    is_free,
    listener_of,
    memory_mb,
    say,
    timed,
    wait,
)
from benchmarks.installed import cache_dir, install_peers
from benchmarks.managers import PEERS, Manager, Place, ended
from benchmarks.options import Options
from benchmarks.ours import Ours, bare_engine_s, idle_engine_mb, make_ours, starter_model
from benchmarks.samples import OURS, Samples, What
from local_ai.supervision.program import ENGINE, GATEWAY

_BARE = "bare subprocess"
START = What("lifecycle", "start to first HTTP 200", "s", _BARE)
STATUS = What("lifecycle", "status command", "s", "supervisord")
CRASH = What("lifecycle", "crash to HTTP again", "s", "supervisord")
STOP = What("lifecycle", "stop to port free", "s", _BARE)
MEMORY = What("lifecycle", "manager's memory at rest", "MB", "supervisord")

_ALONE = "engine alone"
READY = What("lifecycle", "start to model ready", "s", _ALONE)
CRASH_READY = What("lifecycle", "engine's crash to ready again", "s", _ALONE)
CPU = What("lifecycle", "processor at rest, of one core", "%", "")
_BEFORE = "before its first model"
IDLE_MEMORY = What("lifecycle", "engine's memory, its model idle and unloaded", "MB", _BEFORE)
PROGRAM_MEMORY = What("lifecycle", "memory at rest", "MB", "")

_SETTLE_S = 1.5  # supervisord calls a child that crashes within its first second a failed start


def run(samples: Samples, options: Options) -> None:
    """Measure every manager once per round, in turns."""
    installed = install_peers(cache_dir() / "peers")
    samples.absent |= installed.absent
    samples.absent["honcho"] = "it neither restarts a child nor has a status command: not in those rows"
    model = starter_model()
    for number in range(options.rounds):
        for make, needs in PEERS:
            if needs and needs not in installed.commands:
                continue
            say(f"lifecycle {number + 1}/{options.rounds}: {make.name}")
            folder = options.folder / f"{make.name.split()[0]}{number}"
            folder.mkdir()
            place = Place(folder, free_port(), clean_environment(folder), installed.commands)
            _measure_peer(make(place), place.port, samples)
        say(f"lifecycle {number + 1}/{options.rounds}: {OURS}")
        ours = make_ours(options.folder / f"o{number}", free_port(), model)
        _measure_ours(ours, samples, rest_s=_rest_s(options) if number == options.rounds - 1 else 0)


def _rest_s(options: Options) -> float:
    return 15 if options.quick else 60


def _measure_peer(manager: Manager, port: int, samples: Samples) -> None:
    with ended(manager):
        began = time.perf_counter()
        manager.start()
        wait(lambda: answers(port))
        samples.add(START, manager.name, time.perf_counter() - began)
        time.sleep(_SETTLE_S)
        if manager.status():
            samples.add(STATUS, manager.name, statistics.median(timed(manager.status) for _ in range(3)))
        if processes := manager.processes():
            samples.add(MEMORY, manager.name, memory_mb(*processes))
        if manager.restarts:
            samples.add(CRASH, manager.name, _crash(port))
    samples.add(STOP, manager.name, _stop(manager.stop, port))


def _measure_ours(ours: Ours, samples: Samples, *, rest_s: float) -> None:
    alone = bare_engine_s(ours)
    for what in (READY, CRASH_READY):
        samples.add(what, _ALONE, alone)
    before, after = idle_engine_mb(ours)
    samples.add(IDLE_MEMORY, _BEFORE, before)
    samples.add(IDLE_MEMORY, OURS, after)
    try:
        began = time.perf_counter()
        with ours.spawn_start() as starting:
            wait(lambda: answers(ours.port))
            samples.add(START, OURS, time.perf_counter() - began)
            if starting.wait() != 0:
                raise RuntimeError("server start failed")
        samples.add(READY, OURS, time.perf_counter() - began)
        time.sleep(_SETTLE_S)
        samples.add(
            STATUS, OURS, statistics.median(timed(lambda: ours.command("server", "status")) for _ in range(3))
        )
        processes = ours.processes()
        samples.add(MEMORY, OURS, memory_mb(processes["supervisord"]))
        if rest_s:
            _rest(ours, samples, rest_s)
        wait(ours.is_settled)
        samples.add(CRASH, OURS, _crash(ours.port))
        wait(ours.is_settled)
        samples.add(CRASH_READY, OURS, _crash_engine(ours))
        samples.add(STOP, OURS, _stop(ours.stop, ours.port))
    except BaseException:
        ours.command("server", "stop", "--force")
        raise


def _stop(stop: Callable[[], None], port: int) -> float:
    began = time.perf_counter()
    stop()
    wait(lambda: is_free(port))
    return time.perf_counter() - began


def _crash(port: int) -> float:
    """Kill the child and return how long it takes until another one answers."""
    child = listener_of(port)
    began = time.perf_counter()
    child.kill()
    wait(lambda: _has_ended(child))
    wait(lambda: answers(port))
    return time.perf_counter() - began


def _crash_engine(ours: Ours) -> float:
    engine = ours.processes()[ENGINE]
    began = time.perf_counter()
    engine.kill()
    wait(lambda: not engine.is_running() or engine.status() == "zombie")
    wait(ours.is_ready)
    return time.perf_counter() - began


def _rest(ours: Ours, samples: Samples, rest_s: float) -> None:
    """Ask nothing for a while and see what that costs."""
    say(f"lifecycle: {OURS} at rest for {rest_s:.0f} s")
    processes = ours.processes()
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    time.sleep(rest_s)
    used = {name: sum(process.cpu_times()[:2]) - before[name] for name, process in processes.items()}
    for name, seconds in used.items():
        samples.add(CPU, name, 100 * seconds / rest_s)
    samples.add(CPU, "all three", 100 * sum(used.values()) / rest_s)
    for name in (GATEWAY, ENGINE):
        samples.add(PROGRAM_MEMORY, name, memory_mb(processes[name]))


def _has_ended(child: psutil.Process) -> bool:
    try:
        return child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
