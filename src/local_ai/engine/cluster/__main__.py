"""python -m local_ai.engine.cluster --state FILE: the supervised program of several ranks."""

import argparse
import asyncio
import logging
import secrets
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from local_ai.engine.cluster.addresses import find_backend, find_devices, rank_addresses
from local_ai.engine.cluster.launch import run_group
from local_ai.engine.cluster.plan import Hello, Rank, plan_ranks
from local_ai.entry import set_entry
from local_ai.errors import LocalAIError
from local_ai.serving.nonblocking_log import log_without_blocking
from local_ai.serving.signals import ignore_signals
from local_ai.settings.state import State, read_state

_BEATS = 5  # within the time after which a silent rank counts as lost
_SLOWEST_BEAT_S = 1.0


def main() -> int:
    """Run all ranks until told to stop, or until one is lost; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_ai.engine.cluster", description="All ranks.")
    parser.add_argument("--state", type=Path, required=True, help="the state.json that a start wrote")
    arguments = parser.parse_args()
    try:
        state = read_state(arguments.state)
        set_entry(state.entry)
        settings = state.settings
        log_without_blocking(settings.server.log_level)
        ignore_signals()  # as the engine
        return asyncio.run(run_group(settings.cluster.hosts[1:], partial(_plan, state, arguments.state)))
    except LocalAIError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code


def _plan(state: State, state_file: Path) -> Sequence[Rank]:
    settings = state.settings
    cluster, backend = settings.cluster, find_backend(settings.cluster)
    hello = Hello(
        rank=0,
        size=cluster.size,
        backend=backend,
        addresses=tuple(rank_addresses(cluster)),
        beat_s=min(_SLOWEST_BEAT_S, cluster.silence_s / _BEATS),
        silence_s=cluster.silence_s,
        device=settings.engine.device,
        blas=settings.engine.blas,
        log_level=settings.server.log_level,
        group=secrets.randbits(32),
        devices=find_devices(cluster) if backend == "jaccl" else (),
    )
    return plan_ranks(cluster, hello, python=state.python, state_file=state_file)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.exit(code)
