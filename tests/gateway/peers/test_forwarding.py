"""Requests for `model@peer`, through two real gateways and a server of another kind."""

from __future__ import annotations

import json

import httpx
import pytest
from tests.gateway.peers.conftest import OWN_KEY, STUDIO_KEY, House, until

from local_ai.models.library import ModelLibrary
from local_ai.models.not_found import model_not_found

CHAT = "/v1/chat/completions"
MESSAGES = "/anthropic/v1/messages"


def ask(client: httpx.Client, model: str, path: str = CHAT, **more: object) -> httpx.Response:
    return client.post(path, json={"model": model, "messages": [{"role": "user", "content": "Hi"}], **more})


@pytest.mark.parametrize(
    "path", [CHAT, MESSAGES, "/v1/messages", "/v1/responses", "/api/chat", "/v1/embeddings"]
)
def test_a_request_reaches_the_peer_under_its_own_name_for_the_model(
    client: httpx.Client, house: House, path: str
) -> None:
    answer = ask(client, "tiny@studio", path, temperature=0.5)

    assert answer.status_code == 200
    (asked,) = house.studio.requests
    assert (asked["model"], asked["temperature"]) == ("tiny", 0.5)
    assert asked["path"] == path.replace("/v1/messages", "/anthropic/v1/messages").replace(
        "/anthropic" * 2, "/anthropic"
    )
    assert house.engine.requests == []


def test_only_the_peers_own_key_goes_to_a_peer(client: httpx.Client, house: House) -> None:
    ask(client, "tiny@studio")
    ask(client, "plain@other")

    seen = str(house.other.headers)
    assert OWN_KEY not in seen
    assert STUDIO_KEY not in seen
    assert "cookie" not in seen
    assert "'x-local-ai-forwarded': '" in seen
    assert OWN_KEY not in str(house.studio.headers)


def test_a_peers_headers_set_no_cookies_here(client: httpx.Client, house: House) -> None:
    answer = ask(client, "plain@other")

    assert answer.json() == {"answered": True}
    assert not {"set-cookie", "x-secret"} & set(answer.headers)


def test_the_request_id_is_the_same_there(client: httpx.Client, house: House) -> None:
    client.post(CHAT, json={"model": "plain@other"}, headers={"x-request-id": "mine-1"})

    assert house.other.headers[-1]["x-request-id"] == "mine-1"


@pytest.mark.parametrize("name", ["gpt-4o", "claude-opus-4", "tiny@studio:latest", "tiny@STUDIO"])
def test_aliases_lead_to_a_peers_models(client: httpx.Client, house: House, name: str) -> None:
    assert ask(client, name).status_code == 200

    asked = [each["model"] for each in (*house.studio.requests, *house.other.asked)]
    assert asked == [{"claude-opus-4": "plain"}.get(name, "tiny")]


def test_a_model_of_this_machine_by_that_name_wins(client: httpx.Client, house: House) -> None:
    ask(client, "pinned@studio")

    assert [each["model"] for each in house.engine.requests] == ["pinned@studio"]


def test_redirects_are_not_followed(client: httpx.Client, house: House) -> None:
    answer = ask(client, "redirect@other")

    assert answer.status_code == 502
    assert (
        "it sends the request to another address, which is not followed" in answer.json()["error"]["message"]
    )
    assert "location" not in answer.headers


def test_a_path_that_the_peer_does_not_have_is_refused_with_those_it_has(
    client: httpx.Client, house: House
) -> None:
    answer = ask(client, "plain@other", MESSAGES)

    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message.startswith(
        "the peer other does not answer /anthropic/v1/messages: the server at http://127.0.0.1:"
    )
    assert "To fix it: ask for plain@other at /v1/chat/completions" in message
    assert house.other.asked == []


def test_a_stream_passes_byte_for_byte_as_it_comes(client: httpx.Client, house: House) -> None:
    with client.stream("POST", CHAT, json={"model": "slow-stream@studio", "stream": True}) as answer:
        chunks = answer.iter_raw()

        assert next(chunks) == b"data: one\n\n"
        house.studio.release.set()
        assert b"".join(chunks) == b"data: two\n\ndata: [DONE]\n\n"


def test_a_client_that_leaves_cancels_the_peers_engine(client: httpx.Client, house: House) -> None:
    with client.stream("POST", CHAT, json={"model": "slow-stream@studio", "stream": True}) as answer:
        next(answer.iter_raw())

    assert house.studio.cancelled.wait(10)
    peer = next(iter(house.gateway.context.peers))
    until(lambda: peer.running == 0 and peer.queue.load == 0)


def test_a_peers_errors_are_passed_on_as_they_are(client: httpx.Client, house: House) -> None:
    answer = ask(client, "refuse@studio")

    assert (answer.status_code, answer.json()) == (400, {"error": {"message": "no"}})


@pytest.mark.parametrize(
    ("path", "read"),
    [
        (CHAT, lambda body: (body["error"]["code"], body["error"]["message"])),
        ("/v1/responses", lambda body: (body["error"]["code"], body["error"]["message"])),
        (MESSAGES, lambda body: ("peer_away", body["error"]["message"])),
        ("/api/chat", lambda body: ("peer_away", body["error"])),
    ],
)
def test_a_peer_that_is_away_is_named_in_each_dialect(client: httpx.Client, path: str, read: object) -> None:
    answer = ask(client, "any@gone", path)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    code, message = read(answer.json())
    assert code == "peer_away"
    assert message.startswith("the peer gone is away: it refuses the connection (http://127.0.0.1:")


def test_a_model_that_the_peer_has_not_is_not_found_there(client: httpx.Client) -> None:
    answer = ask(client, "tinny@studio")

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == (
        "the model 'tinny' is not at studio: the peer studio does not list it. "
        "To fix it: did you mean tiny@studio?"
    )


@pytest.mark.parametrize("name", ["tiny@studio", "tiny@Studio"])
@pytest.mark.parametrize("verb", ["load", "pin", "unpin", "unload", "default", "remove", "pull"])
def test_a_peers_model_is_only_asked_here(client: httpx.Client, house: House, verb: str, name: str) -> None:
    answer = client.post(f"/models/{verb}", json={"model": name})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_of_peer")
    assert answer.json()["error"]["message"] == (
        f"the model {name!r} is not on this machine: it is a model of the peer studio: answers are all that "
        "can be asked of it here. To fix it: do it on the machine of studio, or take the name of a model of "
        "this one"
    )
    assert house.engine.requests == []


def test_an_alias_of_a_peers_model_is_only_asked_here(client: httpx.Client) -> None:
    assert client.post("/models/load", json={"model": "gpt-4o"}).json()["error"]["code"] == "model_of_peer"


def test_a_name_of_no_peer_is_not_found_with_the_peers_there_are() -> None:
    error = model_not_found("tiny@nope", ModelLibrary((), None, {}, peers=("studio", "other")))

    assert (error.status, error.why) == (
        404,
        "no model on this machine has that name; the peers are studio, other",
    )


@pytest.mark.parametrize("model", ["tiny@studio", "gpt-4o"])
def test_what_another_gateway_sent_is_sent_to_no_third(
    client: httpx.Client, house: House, model: str
) -> None:
    answer = client.post(CHAT, json={"model": model}, headers={"x-local-ai-forwarded": "1"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "forwarded_already")
    assert house.studio.requests == []


def test_a_request_at_a_peer_takes_no_place_of_the_engine(client: httpx.Client, house: House) -> None:
    with client.stream("POST", CHAT, json={"model": "slow-stream@studio", "stream": True}) as answer:
        next(answer.iter_raw())
        queue = client.get("/queue.json").json()

    assert (queue["running"], house.gateway.context.forwarding.request_queue.load) == (0, 0)
    assert [(one["model"], one["peer"], one["state"]) for one in queue["requests"]] == [
        ("slow-stream@studio", "studio", "running")
    ]
    (studio, *_) = queue["peers"]
    assert (studio["name"], studio["state"], studio["running"]) == ("studio", "ready", 1)


def test_lists_have_the_peers_models_with_their_state(client: httpx.Client) -> None:
    models = {each["id"]: each for each in client.get("/v1/models").json()["data"]}

    assert models["local"]["peer"] is None
    assert (models["plain@other"]["peer"]["state"], models["plain@other"]["context_length"]) == ("ready", 512)
    assert {"tiny@studio", "gpt-4o", "pinned@studio"} <= set(models)
    assert not [name for name in models if name.count("@") > 1 or "bad" in name or "third" in name]
    assert client.get("/v1/models/tiny@studio").json()["owned_by"] == "studio"
    for path in ("/anthropic/v1/models", "/api/tags", "/models.json"):
        assert "plain@other" in client.get(path).text


def test_another_gateway_is_told_of_own_models_alone(client: httpx.Client) -> None:
    for path in ("/v1/models", "/anthropic/v1/models", "/api/tags"):
        told = client.get(path, headers={"x-local-ai-forwarded": "1"}).text
        assert "local" in told
        assert "plain@other" not in told


def test_the_activity_and_the_metrics_name_the_peer(client: httpx.Client, house: House) -> None:
    ask(client, "tiny@studio")

    newest = client.get("/activity.json").json()["requests"][0]
    assert (newest["model"], newest["outcome"]) == ("tiny@studio", "answered")
    until(lambda: 'local_ai_peer_ready{peer="studio"} 1.0' in client.get("/metrics").text)
    assert 'local_ai_peer_ready{peer="gone"} 0.0' in client.get("/metrics").text


def test_a_large_body_comes_whole(client: httpx.Client, house: House) -> None:
    long = "é" * 200_000

    client.post(
        CHAT,
        content=json.dumps({"model": "tiny@studio", "x": long}),
        headers={"content-type": "application/json"},
    )

    assert house.studio.requests[0]["x"] == long
