"""A rank's line to a launcher that has stopped."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from tests.waits import scaled

from local_ai.engine.cluster.plan import Hello

# Sends more than a pipe holds.
_RANK = """
from local_ai.engine.cluster.channel import Channel
channel = Channel()
channel.start(lambda message: None)
channel.send({"order": "x" * 1_000_000})
"""


def test_a_rank_ends_by_itself_where_the_launcher_has_stopped_and_takes_no_message_any_more(tmp_path: Path):
    hello = Hello(1, 2, "ring", ("127.0.0.1:1",) * 2, 0.1, 0.5)
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", _RANK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        ) as rank,
    ):
        assert rank.stdin is not None
        rank.stdin.write(json.dumps(asdict(hello)).encode() + b"\n")
        rank.stdin.flush()

        code = rank.wait(scaled(20))

    assert code == os.EX_UNAVAILABLE
    assert "the launcher has been silent for 0.5 s, so this rank ends" in log.read_text()
