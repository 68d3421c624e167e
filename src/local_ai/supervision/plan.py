"""State → the programs to run. Pure."""

from dataclasses import replace

from local_ai.settings.state import State
from local_ai.supervision.omni import omni_python
from local_ai.supervision.program import ENGINE, GATEWAY, OMNI, Program

# A program that ends within start_s counts as a failed start and is retried with back-off; one that ends
# later is restarted at once, and stopped when it keeps ending (gateway/upstream/crash_loop.py). Until then
# supervisord calls it STARTING, and `supervisorctl restart` waits: longer than importing and binding take,
# and no more.
_ENGINE_START_S = 5
_GATEWAY_START_S = 2

# Longer than the programs' own grace for running answers (3 s), or supervisord would cut them short.
_STOP_WAIT_S = 10

# glibc gives each thread a heap of its own, keeps what is freed there, and takes ever larger blocks from it:
# both programs grew under odd requests for as long as they came (benchmarks/fuzz.py). So each has one heap,
# and the gateway gives blocks above 128 KB back at once. The engine needs such blocks in every step, and
# gives them back between its answers (engine/core/memory/release.py). Other systems do not read these.
# Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
_ENGINE_ENVIRONMENT = (("PYTHONUTF8", "1"), ("PYTHONUNBUFFERED", "1"), ("MALLOC_ARENA_MAX", "1"))
_GATEWAY_ENVIRONMENT = (
    *_ENGINE_ENVIRONMENT,
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
)


def plan(state: State) -> tuple[Program, ...]:
    """Decide which programs supervisord runs, in start order.

    The commands hold no user text but paths; programs read their settings from state.json.
    """
    engine = "local_ai.engine.cluster" if state.settings.cluster.is_on else "local_ai.engine"
    programs = [
        _program(state, ENGINE, engine, _ENGINE_ENVIRONMENT, priority=10, start_s=_ENGINE_START_S),
        _program(
            state, GATEWAY, "local_ai.gateway", _GATEWAY_ENVIRONMENT, priority=20, start_s=_GATEWAY_START_S
        ),
    ]
    if state.omni_parts:
        omni = _program(
            state, OMNI, "local_ai.engine.omni", _ENGINE_ENVIRONMENT, priority=30, start_s=_GATEWAY_START_S
        )
        python = str(omni_python(state.paths))
        programs.append(replace(omni, command=(python, *omni.command[1:])))
    return tuple(programs)


def _program(
    state: State,
    name: str,
    module: str,
    environment: tuple[tuple[str, str], ...],
    *,
    priority: int,
    start_s: int,
) -> Program:
    paths = state.paths
    return Program(
        name=name,
        # -P: a stray module in the state folder must not be imported instead of the real one.
        command=(str(state.python), "-P", "-m", module, "--state", str(paths.state_file)),
        directory=paths.state_dir,
        log=paths.log(name),
        environment=environment,
        priority=priority,
        start_s=start_s,
        stop_wait_s=_STOP_WAIT_S,
    )
