"""One model on several machines, asked for by its plain name; machines end while they are asked."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from dataclasses import dataclass, replace

import httpx
import pytest
from tests.gateway.fakes import FakeEngine, Gateway, make_model, make_test_state, run_engine, run_gateway
from tests.gateway.peers.conftest import states_of, until
from tests.gateway.peers.replica import Replica
from tests.waits import NO_TLS, scaled

from local_ai.settings.schema import PeerSettings

CHAT = "/v1/chat/completions"


@dataclass
class Three:
    """A gateway with a model that two peers have, too."""

    gateway: Gateway
    engine: FakeEngine
    first: Replica
    second: Replica

    def asked(self) -> list[int]:
        """Count the requests at each."""
        return [len(self.engine.requests), len(self.first.asked), len(self.second.asked)]

    def reset(self) -> None:
        """Have all answer, with nothing asked of them yet."""
        self.engine.reset()
        self.first.reset()
        self.second.reset()
        until(lambda: set(states_of(self.gateway).values()) == {"ready"})
        until(lambda: all(peer.paths for peer in self.gateway.context.peers))


@pytest.fixture(scope="module")
def _three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    with pytest.MonkeyPatch.context() as patch, Replica().run() as first, Replica().run() as second:
        patch.setattr("local_ai.gateway.peers.peer._AWAY_S", 0.05)
        patch.setattr("local_ai.gateway.peers.peer._READY_S", 0.2)
        peers = [
            {"name": name, "url": f"http://127.0.0.1:{replica.port}"}
            for name, replica in (("first", first), ("second", second))
        ]
        state = make_test_state(tmp_path_factory.mktemp("three"), peers=peers, routing={"replicas": True})
        make_model(state.paths.models_dir / "shared")
        with run_engine(FakeEngine(), state.paths.engine_socket) as engine, run_gateway(state) as gateway:
            yield Three(gateway, engine, first, second)


@pytest.fixture
def three(_three: Three) -> Three:
    _three.reset()
    return _three


@pytest.fixture
def client(three: Three) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=three.gateway.url, timeout=scaled(20), verify=NO_TLS) as client:
        yield client


def ask(
    client: httpx.Client, text: str, *more: str, model: str = "shared", stream: bool = False
) -> httpx.Response:
    texts = [{"role": ("user", "assistant")[n % 2], "content": each} for n, each in enumerate((text, *more))]
    return client.post(CHAT, json={"model": model, "messages": texts, "stream": stream})


def place_of(client: httpx.Client, three: Three, *texts: str) -> int:
    """Ask, and return which of the three was asked."""
    before = three.asked()
    assert ask(client, *texts).status_code == 200
    (place,) = (n for n, (was, now) in enumerate(zip(before, three.asked(), strict=True)) if now > was)
    return place


def test_conversations_are_spread_and_each_stays_where_it_began(client: httpx.Client, three: Three) -> None:
    first = [place_of(client, three, f"spread {n}") for n in range(6)]
    second = [place_of(client, three, f"spread {n}", "yes", "more") for n in range(6)]

    assert sorted(first) == [0, 0, 1, 1, 2, 2]
    assert second == first


def test_a_request_whose_machine_ends_before_it_answers_goes_to_another(
    client: httpx.Client, three: Three
) -> None:
    three.first.mode = "dies"

    answers = [ask(client, f"dies {n}").status_code for n in range(6)]

    assert answers == [200] * 6
    assert three.first.asked
    assert sum(three.asked()) - len(three.first.asked) == 6  # each was answered once


def test_a_machine_that_refuses_for_now_is_passed_over(client: httpx.Client, three: Three) -> None:
    three.first.mode = three.second.mode = "refuses"

    answers = [ask(client, f"refused {n}").status_code for n in range(6)]

    assert answers == [200] * 6
    assert len(three.engine.requests) == 6


@pytest.mark.parametrize("status", [b"401 X", b"999 X", b"200 OK"])
def test_a_machine_whose_answer_is_none_is_passed_over(
    client: httpx.Client, three: Three, status: bytes
) -> None:
    page = b"HTTP/1.1 " + status + b"\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<h1>"
    three.first.mode = three.second.mode = "says"
    three.first.says = three.second.says = page

    answers = [ask(client, f"{status!r} {n}").status_code for n in range(6)]

    assert answers == [200] * 6
    assert len(three.engine.requests) == 6


def test_a_stream_that_has_begun_is_sent_to_no_other(client: httpx.Client, three: Three) -> None:
    three.first.mode = three.second.mode = "breaks"

    for number in range(6):
        before = three.asked()
        answer = ask(client, f"broken {number}", model="shared", stream=True)
        if "data: one" in answer.text:
            assert '"code":"peer_lost"' in answer.text
            assert 'data: {"h' not in answer.text
        assert sum(three.asked()) == sum(before) + 1
        until(lambda: set(states_of(three.gateway).values()) == {"ready"})


def test_a_request_that_ends_each_machine_ends_no_more_than_two(client: httpx.Client, three: Three) -> None:
    three.first.mode = three.second.mode = "dies"
    for number in range(6):
        ask(client, f"poison {number}")

    assert len(three.first.asked) <= 12  # at most twice each: once more after a connection that was kept
    answer = ask(client, "poison", model="shared@first")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "peer_lost")
    assert "the peer first was lost before it answered" in answer.json()["error"]["message"]


def test_a_machine_that_falls_silent_is_left_before_another_is_asked(
    client: httpx.Client, three: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_ai.gateway.peers.peer._PATIENCE_S", 0.2)
    monkeypatch.setattr("local_ai.gateway.peers.peer._SILENT_S", 0.2)
    three.first.mode = three.second.mode = "hangs"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = [pool.submit(ask, client, f"silent {n}") for n in range(3)]
        until(lambda: three.first.open + three.second.open >= 1)
        three.first.is_silent = three.second.is_silent = True

        assert [each.result().status_code for each in answers] == [200] * 3

    assert three.first.open + three.second.open == 0


def test_one_of_several_machines_ends_under_load_and_no_request_fails(
    client: httpx.Client, three: Three
) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, client, f"load {n}") for n in range(120)]
        until(lambda: len(three.first.asked) > 5)
        three.first.kill()
        statuses = [each.result().status_code for each in answers]
        asked = len(three.first.asked)
        statuses += [ask(client, f"after {n}").status_code for n in range(6)]

    assert statuses == [200] * 126
    assert len(three.first.asked) == asked
    assert states_of(three.gateway)["first"] == "away"
    refused = ask(client, "x", model="shared@first").json()["error"]
    assert refused["message"].startswith("the peer first is away: it refuses the connection")
    three.first.start()
    until(lambda: ask(client, "back", model="shared@first").status_code == 200)


def test_other_dialects_go_where_they_are_answered(client: httpx.Client, three: Three) -> None:
    for number in range(4):
        body = {"model": "shared", "messages": [{"role": "user", "content": f"m {number}"}], "max_tokens": 1}
        assert client.post("/anthropic/v1/messages", json=body).status_code == 200

    assert three.asked() == [4, 0, 0]


def test_what_another_gateway_sent_stays_here(client: httpx.Client, three: Three) -> None:
    for number in range(4):
        body = {"model": "shared", "messages": [{"role": "user", "content": f"f {number}"}]}
        client.post(CHAT, json=body, headers={"x-local-ai-forwarded": "1"})

    assert three.asked() == [4, 0, 0]


def test_changed_settings_take_peers_away_and_bring_them_back(client: httpx.Client, three: Three) -> None:
    context, loop = three.gateway.context, three.gateway.loop
    state = context.state
    (first, second) = state.settings.peers
    renamed = first.model_copy(update={"name": "renamed"})

    def take(*peers: PeerSettings) -> None:
        settings = state.settings.model_copy(update={"peers": peers})
        loop.call_soon_threadsafe(context.take, replace(state, settings=settings))

    kept = {peer.name: peer for peer in context.peers}["second"]
    take(renamed, second)

    until(lambda: states_of(three.gateway) == {"renamed": "ready", "second": "ready"})
    assert kept in list(context.peers)  # one that has not changed goes on as it was
    assert ask(client, "moved", model="shared@renamed").status_code == 200
    ask(client, "moved", model="shared@first")
    assert (
        three.engine.requests[-1]["model"] == "shared@first"
    )  # no peer's name any more: the engine's to judge
    take(first, second)
    until(lambda: states_of(three.gateway) == {"first": "ready", "second": "ready"})
