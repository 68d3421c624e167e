"""What a command costs beside Python's own start: ours, invoke's and supervisorctl's."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from tests.tiny_model import make_tiny_model

from benchmarks.clock import free_port, say, script, timed
from benchmarks.clock import run as run_command
from benchmarks.options import Options
from benchmarks.ours import make_ours, running
from benchmarks.samples import Samples, What

PASS = "python -c pass"
COMMAND = What("cli", "one command, whole process", "ms", PASS)
_CHECKOUT = Path(__file__).parents[2]


def run(samples: Samples, options: Options) -> None:
    """Run each command in turns, on a server that runs."""
    model = make_tiny_model(options.folder / "tiny")
    with running(make_ours(options.folder / "commanded", free_port(), model)) as ours:
        commands = {
            PASS: [sys.executable, "-c", "pass"],
            "local-ai server status": [script("local-ai"), "server", "status"],
            "local-ai server logs": [script("local-ai"), "server", "logs"],
            "supervisorctl status": [script("supervisorctl"), "-c", str(ours.paths.conf), "status"],
            "inv --list": [script("inv"), "--list"],
            "inv server.status": [script("inv"), "server.status"],
        }
        for number in range(5 * options.rounds + 1):
            if number % 5 == 1:
                say(f"cli {number // 5 + 1}/{options.rounds}")
            for name, command in commands.items():
                took = timed(partial(run_command, command, ours.environ, cwd=_CHECKOUT))
                if number:  # the first time, Python compiles what it imports
                    samples.add(COMMAND, name, 1000 * took)
