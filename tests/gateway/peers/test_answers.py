"""Answers of a peer that are errors, lies, or no answers at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import httpx
import pytest
from tests.gateway.fakes import Gateway, make_test_state, run_gateway
from tests.gateway.peers.conftest import states_of, until
from tests.gateway.peers.replica import Replica
from tests.waits import NO_TLS, scaled

from local_ai.gateway.peers.answer import PeerEvents, is_error, strike
from local_ai.serving.dialects import Dialect
from local_ai.settings.schema import PeerSettings

KEY = "sk-of-the-peer"
CHAT, RESPONSES, MESSAGES, OLLAMA = (
    "/v1/chat/completions",
    "/v1/responses",
    "/anthropic/v1/messages",
    "/api/chat",
)
PATHS = [CHAT, RESPONSES, MESSAGES, OLLAMA]
SSE, JSON = "text/event-stream", "application/json"


@dataclass
class Pair:
    """A gateway, and the peer `b` that says what it is told to."""

    gateway: Gateway
    liar: Replica


@pytest.fixture(scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    has = (b"/v1/chat", b"/v1/responses", b"/v1/messages", b"/api/chat")
    with pytest.MonkeyPatch.context() as patch, Replica(paths=has).run() as liar:
        patch.setattr("local_ai.gateway.peers.peer._AWAY_S", 0.05)
        patch.setattr("local_ai.gateway.peers.peer._READY_S", 0.2)
        peers = [{"name": "b", "url": f"http://127.0.0.1:{liar.port}", "api_key": KEY}]
        with run_gateway(make_test_state(tmp_path_factory.mktemp("here"), peers=peers)) as gateway:
            yield Pair(gateway, liar)


@pytest.fixture
def pair(_pair: Pair) -> Pair:
    _pair.liar.reset()
    until(lambda: states_of(_pair.gateway) == {"b": "ready"})
    until(lambda: all(peer.paths for peer in _pair.gateway.context.peers))
    return _pair


@pytest.fixture
def client(pair: Pair) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pair.gateway.url, timeout=scaled(20), verify=NO_TLS) as client:
        yield client


def ask(
    client: httpx.Client, pair: Pair, says: bytes, *, path: str = CHAT, stream: bool = False
) -> httpx.Response:
    """Ask the peer's model, which answers so."""
    pair.liar.mode, pair.liar.says = "says", says
    body = {"model": "shared@b", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    return client.post(path, json=body)


def answer(status: int, kind: str, body: str | bytes, **headers: str) -> bytes:
    """Write an answer, whose end is the connection's."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + (body.encode() if isinstance(body, str) else body)


def message_of(said: httpx.Response) -> str:
    """Return the words of an error, in whichever dialect."""
    error = said.json()["error"]
    return str(error if isinstance(error, str) else error["message"])


def url_of(pair: Pair) -> str:
    return f"http://127.0.0.1:{pair.liar.port}"


@pytest.mark.parametrize("path", PATHS)
def test_a_peer_that_refuses_its_key_does_not_blame_the_clients(
    client: httpx.Client, pair: Pair, path: str
) -> None:
    refusal = json.dumps({"error": {"message": f"no such key: {KEY}"}})

    said = ask(client, pair, answer(401, JSON, refusal), path=path)

    assert said.status_code == 502
    assert message_of(said) == (
        f"the peer b refuses its api_key: it answered with the status 401 ({url_of(pair)}). To fix it: "
        "set api_key under [[peers]] in config.toml to a key that it takes, then run: local-ai config reload"
    )
    assert KEY not in said.text
    if path in (CHAT, RESPONSES):
        assert said.json()["error"]["code"] == "peer_refused_key"


def test_a_refused_key_is_told_in_the_peers_state_until_it_is_taken(client: httpx.Client, pair: Pair) -> None:
    def why() -> str:
        return str(client.get("/queue.json").json()["peers"][0]["why"])

    ask(client, pair, answer(403, "text/plain", KEY))
    assert why() == "it refuses its api_key (status 403)"

    ask(client, pair, answer(200, JSON, "{}"))
    assert why() == ""


@pytest.mark.parametrize("where", ["list", "others"])
def test_a_peer_that_refuses_its_key_everywhere_is_away_with_that_reason(
    client: httpx.Client, pair: Pair, where: str
) -> None:
    pair.liar.refuses_key = where
    (peer,) = pair.gateway.context.peers
    peer.refused_key(401)

    until(lambda: peer.refusal_status == 401)

    assert (peer.state.value, peer.why) == ("away", "it refuses its api_key (status 401)")
    refused = client.post(CHAT, json={"model": "shared@b", "messages": []})
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "peer_refused_key")
    assert KEY not in client.get("/queue.json").text


@pytest.mark.parametrize(
    "body",
    [f"Bearer {KEY} at /", json.dumps({"error": {"message": KEY}}), '{"detail": "sk-of-the\\u002dpeer"}'],
    ids=["text", "json", "escaped"],
)
def test_the_peers_key_is_struck_out_of_its_errors(client: httpx.Client, pair: Pair, body: str) -> None:
    said = ask(client, pair, answer(500, JSON if body[0] == "{" else "text/plain", body, Cache_Control=KEY))

    assert said.status_code == 500
    assert KEY not in said.text + json.dumps(said.json()) + str(said.headers)
    assert "***" in said.text


def test_the_peers_key_is_struck_out_of_an_error_within_a_stream(client: httpx.Client, pair: Pair) -> None:
    event = f'data: {{"delta": "{KEY}"}}\n\ndata: {{"error": {{"message": "{KEY}"}}}}\n\n'

    said = ask(client, pair, answer(200, SSE, event), stream=True)

    assert said.text == f'data: {{"delta": "{KEY}"}}\n\ndata: {{"error":{{"message":"***"}}}}\n\n'


@pytest.mark.parametrize("status", [600, 799, 999])
def test_a_status_that_http_does_not_have_is_told_in_words(
    client: httpx.Client, pair: Pair, status: int
) -> None:
    said = ask(client, pair, answer(status, JSON, "{}"))

    assert (said.status_code, said.json()["error"]["code"]) == (502, "peer_answer_unusable")
    assert f"it answered with the status {status}, which is none of HTTP's" in message_of(said)


def test_a_peer_that_wants_to_speak_something_else_than_http_is_lost(
    client: httpx.Client, pair: Pair
) -> None:
    said = ask(client, pair, answer(101, JSON, "{}"))

    assert (said.status_code, said.json()["error"]["code"]) == (503, "peer_lost")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("<h1>Oops</h1>", "text/html", "it gave the status 418 without a reason"),
        ("no tea", "text/plain", "no tea"),
        ('{"detail": "no tea"}', JSON, "no tea"),
        ('{"error": ["no tea"]}', JSON, "it gave the status 418 without a reason"),
        ("{", JSON, "it gave the status 418 without a reason"),
        ("", "", "it gave the status 418 without a reason"),
        ("x" * (1024 * 1024 + 1), "text/plain", "it gave the status 418 without a reason"),
    ],
    ids=["page", "text", "other-json", "list", "broken", "empty", "long"],
)
def test_an_error_of_another_shape_gets_the_dialects(
    client: httpx.Client, pair: Pair, path: str, body: str, kind: str, words: str
) -> None:
    said = ask(client, pair, answer(418, kind, body), path=path)

    assert said.status_code == 418
    assert message_of(said) == (
        f"the peer b answered with an error: {words} ({url_of(pair)}). To fix it: send what that server takes"
    )


def test_an_error_says_when_to_try_again_as_the_peer_did(client: httpx.Client, pair: Pair) -> None:
    said = ask(client, pair, answer(503, "text/plain", "busy", Retry_After="17"))

    assert (said.status_code, said.headers["retry-after"]) == (503, "17")


@pytest.mark.parametrize(
    ("status", "kind"), [(200, "text/html"), (200, ""), (204, ""), (200, "application/x-ndjson")]
)
def test_an_answer_that_is_neither_json_nor_a_stream_is_told_in_words(
    client: httpx.Client, pair: Pair, status: int, kind: str
) -> None:
    said = ask(client, pair, answer(status, kind, "" if status == 204 else "<h1>Welcome</h1>"))

    assert (said.status_code, said.json()["error"]["code"]) == (502, "peer_answer_unusable")
    assert "the peer b gave no answer that can be used: it answered with " in message_of(said)


def test_a_compressed_answer_is_told_in_words(client: httpx.Client, pair: Pair) -> None:
    said = ask(client, pair, answer(200, JSON, b"\x1f\x8b", Content_Encoding="gzip"))

    assert said.status_code == 502
    assert "its answer is compressed, which was not asked for" in message_of(said)


def test_a_whole_answer_is_bounded(client: httpx.Client, pair: Pair) -> None:
    said = ask(client, pair, answer(200, JSON, b" " * (64 * 1024 * 1024 + 1)))

    assert said.status_code == 502
    assert "its answer is longer than 64 MB" in message_of(said)
    assert states_of(pair.gateway) == {"b": "ready"}


BEGUN = {
    CHAT: 'data: {"choices": []}\n\n',
    RESPONSES: 'event: response.created\ndata: {"type": "response.created", "sequence_number": 0}\n\n',
    MESSAGES: 'event: message_start\ndata: {"type": "message_start"}\n\n',
    OLLAMA: '{"done": false}\n',
}
ENDS = {
    CHAT: "data: [DONE]\n\n",
    RESPONSES: 'event: response.completed\ndata: {"type": "response.completed", "sequence_number": 1}\n\n',
    MESSAGES: 'event: message_stop\ndata: {"type": "message_stop"}\n\n',
    OLLAMA: '{"done": true}\n',
}


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_without_its_end_is_lost(client: httpx.Client, pair: Pair, path: str) -> None:
    kind = "application/x-ndjson" if path == OLLAMA else SSE

    said = ask(client, pair, answer(200, kind, f'{BEGUN[path]}data: {{"h'), path=path, stream=True)

    assert said.text.startswith(BEGUN[path])
    assert "the peer b was lost before its answer was whole: its stream ended without" in said.text
    assert '{"h' not in said.text
    ended = client.get("/activity.json").json()["requests"][0]
    assert (ended["outcome"], ended["text"]) == (
        "cut",
        "cut, the peer b was lost before its answer was whole",
    )


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_that_closes_after_its_end_is_whole(client: httpx.Client, pair: Pair, path: str) -> None:
    kind = "application/x-ndjson" if path == OLLAMA else SSE

    said = ask(client, pair, answer(200, kind, BEGUN[path] + ENDS[path]), path=path, stream=True)

    assert said.text == BEGUN[path] + ENDS[path]
    assert client.get("/activity.json").json()["requests"][0]["outcome"] == "answered"


def test_a_stream_of_nothing_is_an_error_with_its_status(client: httpx.Client, pair: Pair) -> None:
    said = ask(client, pair, answer(200, SSE, ""), stream=True)

    assert (said.status_code, said.json()["error"]["code"]) == (503, "peer_lost")


def test_events_between_windows_line_ends_come_as_they_are_whole() -> None:
    events = PeerEvents(Dialect.OPENAI, KEY)

    assert events.feed(b'data: {"n": 1}\r\n\r\ndata: [DO') == b'data: {"n": 1}\r\n\r\n'
    assert not events.have_ended
    assert events.feed(b"NE]\r\n\r\n: bye\r\n\r\n") == b"data: [DONE]\r\n\r\n: bye\r\n\r\n"
    assert events.have_ended


def test_a_key_that_is_a_word_of_errors_leaves_them_errors() -> None:
    assert is_error(Dialect.OPENAI, strike(b'{"error": {"message": "an error"}}', "error"))


def test_a_server_that_is_its_own_peer_says_so_and_lists_nothing_of_it(
    client: httpx.Client, pair: Pair
) -> None:
    context, loop = pair.gateway.context, pair.gateway.loop
    state, peers = context.state, context.state.settings.peers
    itself = PeerSettings(name="me", url=pair.gateway.url)
    settings = state.settings.model_copy(update={"peers": (*peers, itself)})
    loop.call_soon_threadsafe(context.take, replace(state, settings=settings))

    try:
        until(lambda: states_of(pair.gateway).get("me") == "away")
        why = {peer.name: peer.why for peer in context.peers}["me"]
        listed = client.get("/v1/models").text
        refused = client.post(CHAT, json={"model": "tiny@me", "messages": []})
    finally:
        loop.call_soon_threadsafe(context.take, state)
        until(lambda: set(states_of(pair.gateway)) == {"b"})

    assert why == "this is this server itself"
    assert "@me" not in listed
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "peer_is_itself")
