"""A stop waits for the answers that run."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.fakes import FakeSupervisord, make_test_state

from local_ai.lifecycle.stop import Drained, drain
from local_ai.settings.state import target_of
from local_ai.status.health import Queue


def queue(running: int) -> Queue:
    return Queue(running=running, waiting=0, max_concurrency=4, max_queue=4, longest_wait_s=0)


def test_answers_of_a_gateway_that_is_too_busy_to_tell_of_them_still_run(tmp_path: Path):
    state = make_test_state(tmp_path, server={"drain_s": 60})
    looks: Iterator[Queue | None] = iter([queue(2), None, queue(1), None, queue(0)])

    with FakeSupervisord(state.paths.supervisor_socket).run():
        drained = drain(
            target_of(state.settings), state.paths, queue(2), lambda _: None, ask=lambda: next(looks)
        )

    assert drained == Drained(finished=2, cut=0)
    assert list(looks) == []


@pytest.mark.parametrize("listens", [True, False])
def test_gateway_that_does_not_answer_the_first_look_is_asked_again_where_it_listens(
    tmp_path: Path, listens: bool
):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not listens:
            server.close()
        state = make_test_state(tmp_path, server={"drain_s": 60, "port": port})
        looks: Iterator[Queue | None] = iter([None, queue(2), queue(1), queue(0)])
        with FakeSupervisord(state.paths.supervisor_socket).run():
            drained = drain(
                target_of(state.settings), state.paths, None, lambda _: None, ask=lambda: next(looks)
            )

    assert drained == (Drained(finished=2, cut=0) if listens else Drained())
