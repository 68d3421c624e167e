"""python -m local_ai.engine.cluster --state FILE: the supervised program of several ranks."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
from pathlib import Path

from local_ai.engine.cluster.addresses import find_backend, find_devices, rank_addresses
from local_ai.engine.cluster.launch import run_group
from local_ai.engine.cluster.plan import plan_ranks
from local_ai.entry import set_entry
from local_ai.errors import LocalAIError
from local_ai.serving.nonblocking_log import log_without_blocking
from local_ai.serving.signals import ignore_signals
from local_ai.settings.state import read_state


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
        backend = find_backend(settings.cluster)
        ranks = plan_ranks(
            settings.cluster,
            python=state.python,
            state_file=arguments.state,
            backend=backend,
            addresses=rank_addresses(settings.cluster),
            devices=find_devices(settings.cluster) if backend == "jaccl" else (),
            device=settings.engine.device,
            blas=settings.engine.blas,
            log_level=settings.server.log_level,
            group=secrets.randbits(32),
        )
    except LocalAIError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    return asyncio.run(run_group(ranks))


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.exit(code)
