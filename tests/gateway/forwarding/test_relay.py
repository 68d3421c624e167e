"""Requests through a real gateway to a fake engine on a unix socket."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from openai.types.responses import ResponseErrorEvent
from tests.gateway.fakes import (
    FakeEngine,
    FakeSupervisord,
    make_model,
    make_patient_state,
    make_test_state,
    run_dying_engine,
    run_engine,
    run_gateway,
)
from tests.waits import scaled

from local_ai.gateway.context import GatewayContext, make_context
from local_ai.settings.state import State

CHAT = "/v1/chat/completions"
MESSAGES = "/anthropic/v1/messages"
RESPONSES = "/v1/responses"
OLLAMA = "/api/chat"


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, OLLAMA, "/v1/embeddings"])
def test_a_body_is_forwarded_byte_for_byte(client: httpx.Client, engine: FakeEngine, path: str) -> None:
    body = b' {"temperature" : 0.70, "x": "\\u00e9 \\ud83d", "messages": [], "temperature": null}\n'

    answer = client.post(path, content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 200
    assert engine.bodies == [body]


def test_keys_and_cookies_do_not_reach_the_engine(client: httpx.Client, engine: FakeEngine) -> None:
    secrets = {"Authorization": "Bearer secret", "x-api-key": "secret", "Cookie": "a=secret"}

    client.post(CHAT, json={"messages": []}, headers=secrets)

    assert "secret" not in str(engine.headers)


def test_stream_is_passed_on_event_by_event(client: httpx.Client, engine: FakeEngine) -> None:
    with client.stream("POST", CHAT, json={"model": "slow-stream", "stream": True}) as answer:
        lines = answer.iter_lines()

        first = next(lines)

        assert first == "data: one"
        assert answer.headers["content-type"].startswith("text/event-stream")
        engine.release.set()
        assert [line for line in lines if line] == ["data: two", "data: [DONE]"]


@pytest.mark.parametrize("model", ["slow", "slow-stream"])
def test_client_that_leaves_cancels_the_engine(gateway_url: str, engine: FakeEngine, model: str) -> None:
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.Client(base_url=gateway_url, timeout=0.5) as impatient,
        impatient.stream("POST", CHAT, json={"model": model, "stream": model != "slow"}) as answer,
    ):
        answer.read()

    assert engine.cancelled.wait(5)


def test_errors_of_the_engine_are_passed_on_as_they_are(client: httpx.Client, engine: FakeEngine) -> None:
    answer = client.post(CHAT, json={"model": "refuse"})

    assert (answer.status_code, answer.json()) == (400, {"error": {"message": "no"}})


def test_sound_is_passed_on_as_bytes(client: httpx.Client, engine: FakeEngine, state: State) -> None:
    make_model(state.paths.models_dir / "sound")

    answer = client.post("/v1/audio/speech", json={"model": "sound"})

    assert (answer.headers["content-type"], answer.content) == ("audio/wav", b"\x00RIFF")


def test_recordings_are_forwarded_as_multipart(
    client: httpx.Client, engine: FakeEngine, state: State
) -> None:
    make_model(state.paths.models_dir / "whisper")

    answer = client.post("/v1/audio/transcriptions", files={"file": b"sound"}, data={"model": "whisper"})

    assert answer.status_code == 200
    assert b"whisper" in engine.requests[0]["raw"]


def test_stream_cut_in_the_middle_ends_with_an_error_event(client: httpx.Client, engine: FakeEngine) -> None:
    openai = client.post(CHAT, json={"model": "broken-stream", "stream": True}).text
    answer = client.post(MESSAGES, json={"model": "broken-stream", "stream": True})
    anthropic = answer.text

    message = (
        "the engine ended before its answer was whole: its process stopped or crashed; supervisord starts "
        "it again. To fix it: send the request again; why it ended is in: "
        "local-ai server logs --program mlx-omni-server"
    )
    first, last = openai.strip().split("\n\n")
    assert first == "data: one"
    assert json.loads(last.removeprefix("data: ")) == {
        "error": {"message": message, "type": "server_error", "param": None, "code": "engine_lost"},
        "source": "gateway",
    }
    assert anthropic.split("\n\n")[1].splitlines()[0] == "event: error"
    assert json.loads(anthropic.strip().splitlines()[-1].removeprefix("data: ")) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": message},
        "request_id": answer.headers["request-id"],
        "source": "gateway",
    }


def test_cut_stream_of_the_responses_api_ends_with_its_own_error_event_which_is_counted(
    client: httpx.Client, engine: FakeEngine
) -> None:
    text = client.post(RESPONSES, json={"model": "broken-responses-stream", "stream": True}).text

    name, data = text.strip().split("\n\n")[-1].splitlines()
    assert name == "event: error"
    error = ResponseErrorEvent.model_validate_json(data.removeprefix("data: "), strict=True)
    assert (error.sequence_number, error.code, error.param) == (2, "engine_lost", None)
    assert error.message.startswith("the engine ended before its answer was whole")


def test_answer_cut_in_the_middle_is_asked_for_again_and_never_given_by_half(
    client: httpx.Client, engine: FakeEngine
) -> None:
    answer = client.post(CHAT, json={"model": "broken"})

    assert len(engine.requests) == 2
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "request_ends_engine"


def test_request_the_engine_died_on_is_sent_once_more(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=5)

    with run_dying_engine(state.paths.engine_socket, deaths=1), run_gateway(state) as gateway:
        answer = httpx.post(gateway.url + CHAT, json={"model": "x"}, timeout=scaled(10))

    assert answer.json() == {"answered": True}


def test_request_the_engine_died_on_twice_is_refused(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=5)

    with run_dying_engine(state.paths.engine_socket, deaths=2), run_gateway(state) as gateway:
        answer = httpx.post(gateway.url + CHAT, json={"model": "x"}, timeout=scaled(10))

    assert answer.status_code == 422
    assert answer.json()["error"] == {
        "message": "the request is not sent to the engine again: the engine ended on it twice before it "
        "answered. To fix it: send less, or name another model; why it ended is in: "
        "local-ai server logs --program mlx-omni-server",
        "type": "invalid_request_error",
        "param": None,
        "code": "request_ends_engine",
    }


def test_request_waits_for_an_engine_that_is_not_there_yet(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=20)
    answers: list[int] = []

    with run_gateway(state) as gateway:
        waiting = threading.Thread(
            target=lambda: answers.append(
                httpx.post(gateway.url + CHAT, json={}, timeout=scaled(30)).status_code
            )
        )
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        with run_engine(FakeEngine(), state.paths.engine_socket):
            waiting.join(10)

    assert answers == [200]


def test_waiting_stream_says_so_and_then_streams(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=20)
    context = quick_site(state)

    with (
        run_gateway(state, context=context) as gateway,
        httpx.stream("POST", gateway.url + CHAT, json={"model": "stream", "stream": True}) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == ": waiting"
        with run_engine(FakeEngine(), state.paths.engine_socket):
            said = [line for line in lines if line.startswith("data")]

    assert said == ["data: one", "data: two", "data: [DONE]"]


def test_waiting_stream_of_lines_is_kept_alive_by_spaces_and_then_streams(tmp_path: Path) -> None:
    """Ollama's clients read each line as JSON, which may begin with spaces. They say nothing of streaming."""
    state = make_patient_state(tmp_path, wait_s=20)
    context = quick_site(state)

    with (
        run_gateway(state, context=context) as gateway,
        httpx.stream("POST", gateway.url + OLLAMA, json={"model": "lines"}) as answer,
    ):
        parts = answer.iter_raw()
        assert next(parts).strip(b" ") == b""
        with run_engine(FakeEngine(), state.paths.engine_socket):
            text = b"".join(parts)

    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in text.splitlines()] == [{"n": 1}, {"n": 2}]


def test_lines_cut_in_the_middle_end_with_an_error_on_a_line(
    client: httpx.Client, engine: FakeEngine
) -> None:
    first, last = client.post(OLLAMA, json={"model": "broken-lines"}).text.splitlines()

    assert first == '{"n":1}'
    assert json.loads(last)["error"].startswith("the engine ended before its answer was whole")


def test_answer_without_a_stream_is_not_begun_while_it_waits(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=0.3)

    with run_gateway(state, context=quick_site(state)) as gateway:
        refused = httpx.post(gateway.url + OLLAMA, json={"model": "lines", "stream": False})

    assert refused.status_code == 503
    assert set(refused.json()) == {"error", "source"}


def test_wait_ends_with_a_503_that_says_how_far_it_is(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=0.3)

    with (
        FakeSupervisord(state.paths.supervisor_socket).run(),
        run_engine(FakeEngine(state="importing"), state.paths.engine_socket) as engine,
        run_gateway(state) as gateway,
    ):
        answer = httpx.post(gateway.url + CHAT, json={})

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["error"] == {
        "message": "the engine was not ready within 0.3 s: starting: the engine is importing, 0 s. "
        "To fix it: try again in a moment; local-ai server status shows its progress",
        "type": "server_error",
        "param": None,
        "code": "engine_not_ready",
    }
    assert engine.requests == []


def test_waiting_stream_that_was_begun_ends_with_an_error_event(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=0.3)

    with run_gateway(state, context=quick_site(state)) as gateway:
        text = httpx.post(gateway.url + MESSAGES, json={"model": "x", "stream": True}).text

    assert text.startswith(": waiting\n\n")
    assert "event: error\n" in text


def test_engine_that_failed_for_good_is_answered_at_once(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=60)
    (state.paths.logs_dir / "supervisord.log").write_text(
        "2026-01-01 10:00:00,000 INFO supervisord started with pid 1\n"
        "2026-01-01 10:00:01,000 WARN exited: mlx-omni-server (exit status 7; not expected)\n"
    )

    with FakeSupervisord(state.paths.supervisor_socket).run() as supervisord, run_gateway(state) as gateway:
        supervisord.states["mlx-omni-server"] = "FATAL"
        answer = httpx.post(gateway.url + MESSAGES, json={"model": "x"}, timeout=scaled(5))

    assert answer.status_code == 503
    assert answer.json() == {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "message": "the engine cannot answer: exit status 7, and it is not restarted by itself. "
            "To fix it: read the log, then run: local-ai server restart",
        },
        "request_id": answer.headers["request-id"],
        "source": "gateway",
    }


def test_stopping_gateway_refuses_what_waits(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=60)
    answers: list[httpx.Response] = []

    with run_gateway(state) as gateway:
        waiting = threading.Thread(
            target=lambda: answers.append(
                httpx.post(gateway.url + CHAT, json={"model": "x"}, timeout=scaled(30))
            )
        )
        waiting.start()
        waiting.join(0.3)
        gateway.context.forwarding.shutdown.stop()
        waiting.join(10)

    assert answers[0].status_code == 503
    assert answers[0].json()["error"]["code"] == "stopping"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nonsense", 404),
        ("GET", CHAT, 405),
        ("DELETE", "/v1/models/tiny", 405),
        ("POST", "/v1/internal", 404),
        ("GET", "/health", 404),
    ],
)
def test_only_listed_routes_are_forwarded(
    client: httpx.Client, engine: FakeEngine, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)

    assert answer.status_code == status
    assert engine.requests == []


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b"[1]", "application/json", 400, "invalid_json"),
        (b'{"temperature": NaN}', "application/json", 400, "invalid_json"),
        (b'{"a": "\xff"}', "application/json", 400, "invalid_json"),
        (b"[" * 200_000, "application/json", 400, "invalid_json"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
    ids=["cut", "array", "nan", "latin-1", "deep", "text", "untyped", "form"],
)
def test_bodies_that_are_not_json_objects_are_refused(
    client: httpx.Client, engine: FakeEngine, body: bytes, content_type: str, status: int, code: str
) -> None:
    answer = client.post(CHAT, content=body, headers={"Content-Type": content_type} if content_type else {})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["source"] == "gateway"
    assert engine.requests == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Sec-Fetch-Site": "same-origin"}, 415),
        ({"Origin": "http://evil.example"}, 403),
    ],
    ids=["none", "curl", "text", "browser", "page"],
)
def test_ollamas_clients_need_not_say_that_they_send_json(
    client: httpx.Client, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/api/show", content=b'{"model": "m"}', headers=headers)

    assert answer.status_code == status


def test_body_beyond_the_bound_is_refused(tmp_path: Path) -> None:
    state = make_test_state(tmp_path, gateway={"max_body_mb": 1})

    with run_gateway(state) as gateway:
        known = httpx.post(gateway.url + CHAT, json={"model": "x" * 1_100_000})
        chunked = httpx.post(
            gateway.url + CHAT,
            content=iter([b"x" * 600_000] * 2),
            headers={"Content-Type": "application/json"},
        )

    assert (known.status_code, chunked.status_code) == (413, 413)
    assert known.json()["error"]["message"] == (
        "the request is too large: its body has more than 1 MB (gateway.max_body_mb). "
        "To fix it: send less, or raise gateway.max_body_mb in config.toml"
    )


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "192.168.1.9", ""])
def test_foreign_hosts_are_refused(client: httpx.Client, engine: FakeEngine, host: str) -> None:
    answer = client.post(CHAT, json={}, headers={"Host": host})

    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == (
        f'the request was refused: its Host header is "{host}", which is not a name of this server. '
        "To fix it: use the address that local-ai server status prints, or add the name to "
        "server.allowed_hosts"
    )
    assert engine.requests == []


def test_pages_of_other_sites_are_refused(client: httpx.Client, engine: FakeEngine) -> None:
    form = client.post(
        "/v1/audio/transcriptions", files={"file": b"x"}, headers={"Origin": "https://evil.example"}
    )
    own = client.post(CHAT, json={}, headers={"Origin": str(client.base_url).rstrip("/")})

    assert form.status_code == 403
    assert "access-control-allow-origin" not in form.headers
    assert own.status_code == 200


def quick_site(state: State) -> GatewayContext:
    """A site whose waiting streams speak up ten times a second."""
    context = make_context(state)
    return replace(context, forwarding=replace(context.forwarding, comment_s=0.1))


@pytest.fixture
def gateway_url(client: httpx.Client) -> str:
    return str(client.base_url)


def test_request_has_the_id_that_its_client_gave_it(client: httpx.Client, engine: FakeEngine) -> None:
    answer = client.post(CHAT, json={"model": "tiny"}, headers={"x-request-id": "my-own.1"})

    assert answer.headers.get_list("x-request-id") == ["my-own.1"]
    assert engine.headers[0]["x-request-id"] == "my-own.1"


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 129, "\u00e9"], ids=str)
def test_request_without_a_sane_id_gets_one(
    client: httpx.Client, engine: FakeEngine, given: str | None
) -> None:
    headers = {} if given is None else {"x-request-id": given.encode("latin-1")}

    answer = client.post(CHAT, json={"model": "tiny"}, headers=headers)  # type: ignore[arg-type]

    assert re.fullmatch("req_[0-9a-f]{32}", answer.headers["x-request-id"])
    assert engine.headers[0]["x-request-id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("GET", "/v1/models"), ("GET", "/nothing"), ("PUT", "/v1/models"),
        ("GET", "/assets/page.css"),
        ("POST", CHAT), ("GET", "/v1/models/" + "x" * 9000), ("GET", "/v1/models/none"),
    ],
)  # fmt: skip
def test_every_answer_and_error_has_an_id(client: httpx.Client, method: str, path: str) -> None:
    one, other = client.request(method, path), client.request(method, path)

    assert one.headers["x-request-id"] != other.headers["x-request-id"]
    assert "request-id" not in one.headers


def test_answers_to_anthropics_clients_have_the_id_as_they_read_it(
    client: httpx.Client, engine: FakeEngine
) -> None:
    answer = client.post(MESSAGES, json={"model": "tiny"})
    error = client.post(MESSAGES, content="no json", headers={"content-type": "application/json"})

    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert error.json()["request_id"] == error.headers["request-id"]


def test_stream_that_is_cut_names_its_request(client: httpx.Client, engine: FakeEngine) -> None:
    with client.stream("POST", MESSAGES, json={"model": "broken-stream", "stream": True}) as answer:
        last = json.loads([line for line in answer.iter_lines() if line][-1].removeprefix("data: "))

    assert last["request_id"] == answer.headers["request-id"]
