"""Pulls over HTTP: a real gateway, the real program that pulls, and a hub of our own."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import psutil
import pytest
from tests.coroutines import run
from tests.fake_hub import COMMIT, FakeHub, run_hub
from tests.gateway.fakes import Gateway, make_test_state, run_gateway
from tests.gateway.running import running_gateway, wait_for_answer
from tests.server import wait_until
from tests.tiny_model import make_tiny_model
from tests.waits import NO_TLS, scaled

from local_ai.gateway.downloads.download import Download
from local_ai.gateway.downloads.downloads import Downloads

NAME = "org/tiny"
KEY = "k" * 32


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    """A hub that the programs started here ask."""
    with run_hub() as hub, pytest.MonkeyPatch.context() as patch:
        hub.models[NAME] = make_tiny_model(tmp_path_factory.mktemp("hub") / "tiny", seed=3)
        patch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def hub(shared: FakeHub) -> Iterator[FakeHub]:
    """The hub, which does as it should until a test changes that."""
    yield shared
    if shared.stall:
        shared.stall.set()
    shared.cut_after, shared.stall, shared.sizes = [], None, {}
    shared.stalled.clear()
    shared.transfers.clear()


@pytest.fixture(scope="module")
def gateway(shared: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(make_test_state(tmp_path_factory.mktemp("g"))) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway, hub: FakeHub) -> Iterator[httpx.Client]:
    """A client of a gateway that has not pulled anything yet, as far as can be seen."""
    with httpx.Client(base_url=gateway.url, timeout=scaled(20), verify=NO_TLS) as client:
        yield client
        for each in client.get("/downloads.json").json()["downloads"]:
            client.post("/models/pull/cancel", json={"model": each["id"]})
    for folder in (gateway.context.state.paths.hub_cache, gateway.context.state.paths.models_dir):
        shutil.rmtree(folder, ignore_errors=True)


def pull(client: httpx.Client, name: str = NAME, **fields: Any) -> httpx.Response:
    return client.post("/models/pull", json={"model": name, **fields})


def newest(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/downloads.json").json()["downloads"][0]
    return found


def ended(client: httpx.Client) -> dict[str, Any]:
    """Return how the newest pull has ended."""
    return wait_until(lambda: (now := newest(client))["ended_at"] and now)


def stalled(client: httpx.Client, hub: FakeHub) -> dict[str, Any]:
    """Start a pull, and return how it is once its transfer stands still."""
    hub.cut_after, hub.stall = [50_000], threading.Event()
    pull(client)
    return wait_until(lambda: (now := newest(client))["done_bytes"] >= 50_000 and now)


def pullers() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children(recursive=True) if "local_ai.pull" in child.cmdline()
    ]


def test_pull_is_started_followed_and_listed(client: httpx.Client, gateway: Gateway) -> None:
    started = pull(client)

    assert started.status_code == 202
    assert (started.json()["id"], started.json()["state"]) == (NAME, "asking")
    done = ended(client)
    assert done | {"started_at": 0, "ended_at": 0} == {
        "id": NAME,
        "name": NAME,
        "revision": None,
        "state": "done",
        "started_at": 0,
        "ended_at": 0,
        "commit": COMMIT,
        "files": 4,
        "files_done": 4,
        "total_bytes": done["done_bytes"],
        "done_bytes": done["done_bytes"],
        "bytes_per_s": None,
        "path": str(gateway.context.state.paths.hub_cache / "models--org--tiny/snapshots" / COMMIT),
        "warning": "",
        "error": None,
    }
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == [NAME]


def test_cancelled_pull_keeps_what_came_and_the_next_one_goes_on(client: httpx.Client, hub: FakeHub) -> None:
    before = stalled(client, hub)
    again = pull(client).json()
    assert (again["state"], again["started_at"]) == ("downloading", before["started_at"])

    cancelled = client.post("/models/pull/cancel", json={"model": NAME}).json()

    assert (cancelled["state"], cancelled["error"]) == ("cancelled", None)
    assert pullers() == []
    assert hub.stall is not None
    hub.stall.set()
    hub.transfers.clear()
    pull(client)
    assert ended(client)["state"] == "done"
    assert hub.transfers == [("model.safetensors", "bytes=50000-")]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_gateway_that_ends_takes_its_pulls_along(tmp_path: Path, hub: FakeHub, how: str) -> None:
    state = make_test_state(tmp_path)
    url = f"http://127.0.0.1:{state.settings.server.port}"
    with running_gateway(state) as process:
        wait_for_answer(f"{url}/healthz")
        with httpx.Client(base_url=url, timeout=scaled(20), verify=NO_TLS) as client:
            stalled(client, hub)
        (puller,) = pullers()

        process.terminate() if how == "stop" else process.kill()

        assert process.wait(scaled(20)) == (-15 if how == "stop" else -9)
        wait_until(lambda: not puller.is_running() or puller.status() == psutil.STATUS_ZOMBIE)
    (partial,) = state.paths.hub_cache.rglob("*.incomplete")
    assert partial.stat().st_size == 50_000


def test_what_the_hub_refuses_is_told_in_words(client: httpx.Client, hub: FakeHub) -> None:
    pull(client, "org/nothing")

    failed = ended(client)

    assert failed["state"] == "failed"
    assert failed["error"] == {
        "what": "the model was not downloaded",
        "why": "the hub shows no model named 'org/nothing': there is none, or it is private",
        "fix": f"look for the name at {hub.url}/models; for a private one: hf auth login",
    }


def test_too_large_a_model_is_refused_unless_insisted_upon(client: httpx.Client, hub: FakeHub) -> None:
    hub.sizes["model.safetensors"] = 10**15

    pull(client)
    refused = ended(client)
    pull(client, even_if_too_large=True)
    insisted = ended(client)

    assert "org/tiny does not fit: its weights need 1000000.0 GB of memory" in refused["error"]["why"]
    assert "1000000.0 GB are still to be downloaded" in insisted["error"]["why"]
    assert hub.transfers == []


def test_program_that_dies_is_told(client: httpx.Client, hub: FakeHub) -> None:
    stalled(client, hub)

    pullers()[0].kill()

    assert ended(client)["error"]["why"] == "its process ended with status -9"


def test_address_of_another_host_is_asked_of_the_configured_hub(client: httpx.Client, hub: FakeHub) -> None:
    pull(client, "http://127.0.0.1:9/org/tiny/tree/main")

    assert ended(client)["state"] == "done"


def test_third_pull_at_once_waits_for_its_turn(client: httpx.Client, hub: FakeHub) -> None:
    hub.models["org/other"] = hub.models[NAME]
    stalled(client, hub)
    pull(client, "org/other")

    refused = pull(client, "org/third")

    assert refused.status_code == 429
    assert "2 are running already: org/tiny, org/other" in refused.text
    assert refused.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "model"),
        ({"model": ""}, 400, "model"),
        ({"model": 7}, 400, "model"),
        ({"model": "x" * 301}, 400, "model"),
        ({"model": NAME, "host": "http://127.0.0.1:9"}, 400, "host"),
        ({"model": NAME, "even_if_too_large": "yes"}, 400, "even_if_too_large"),
    ],
)
def test_body_that_is_not_valid_names_its_field(
    client: httpx.Client, body: dict[str, Any], status: int, field: str
) -> None:
    refused = client.post("/models/pull", json=body)

    assert (refused.status_code, refused.json()["error"]["param"]) == (status, field)
    assert not any(one["ended_at"] is None for one in client.get("/downloads.json").json()["downloads"])


def test_revision_never_leads_out_of_the_cache(client: httpx.Client) -> None:
    pull(client, revision="../../../evil")

    assert "'../../../evil' cannot be a revision on the hub" in ended(client)["error"]["why"]


def test_unknown_download_cannot_be_cancelled(client: httpx.Client) -> None:
    refused = client.post("/models/pull/cancel", json={"model": "org/none"})

    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "download_not_found")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_pages_of_other_sites_cannot_start_a_pull(
    client: httpx.Client, headers: dict[str, str], status: int
) -> None:
    content = {"Content-Type": "application/x-www-form-urlencoded"} | headers

    refused = client.post("/models/pull", content="model=org/tiny", headers=content)

    assert refused.status_code == status
    assert not any(one["ended_at"] is None for one in client.get("/downloads.json").json()["downloads"])


def test_pull_needs_the_key_where_there_are_keys(tmp_path: Path, hub: FakeHub) -> None:
    with run_gateway(make_test_state(tmp_path, server={"api_keys": [KEY]})) as gateway:
        asked = [
            httpx.post(f"{gateway.url}/models/pull", json={"model": NAME}, headers=headers, verify=NO_TLS)
            for headers in ({}, {"Authorization": f"Bearer {KEY}"})
        ]

    assert [answer.status_code for answer in asked] == [401, 202]


def test_form_leads_back_to_the_page_or_says_what_is_wrong(client: httpx.Client) -> None:
    good = client.post("/models/pull", data={"model": NAME, "revision": ""})
    bad = client.post("/models/pull", data={"model": ""})

    assert (good.status_code, good.headers["location"]) == (303, "/#models")
    assert (bad.status_code, bad.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "model is not valid" in bad.text
    assert "Back to the models" in bad.text


def test_pull_is_followed_to_its_end(tmp_path: Path, hub: FakeHub) -> None:
    async def follow() -> list[Download]:
        downloads = Downloads(tmp_path)
        started = downloads.start(NAME)
        seen = [now async for now in downloads.follow(started.id)]
        await downloads.close()
        return seen

    seen = run(follow())

    assert (seen[0].state, seen[-1].state) == ("asking", "done")
    sizes = [now.done_bytes for now in seen]
    assert sizes == sorted(sizes)


def test_ollama_s_client_follows_a_pull_to_its_success(client: httpx.Client) -> None:
    told = list(ollama.Client(str(client.base_url)).pull(f"{NAME}:latest", stream=True))

    assert [told[0].status, *(one.status for one in told[-3:])] == [
        "pulling manifest",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    progress = told[1:-3]
    assert {(one.status, one.digest) for one in progress} == {(f"pulling {COMMIT[:12]}", COMMIT)}
    sizes = [one.completed or 0 for one in progress]
    assert sizes == sorted(sizes)
    assert sizes[-1] == progress[-1].total == newest(client)["total_bytes"]
    assert ollama.Client(str(client.base_url)).pull(NAME).status == "success"


def test_what_the_hub_refuses_is_an_error_of_ollama_s(client: httpx.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="the hub shows no model named 'org/nothing'"):
        list(ollama.Client(str(client.base_url)).pull("org/nothing", stream=True))
    with pytest.raises(ollama.ResponseError, match="'tiny:8b' cannot be a model's name") as whole:
        ollama.Client(str(client.base_url)).pull("tiny:8b")

    assert whole.value.status_code == 502


def test_client_of_ollama_that_leaves_ends_the_pull_that_it_began(client: httpx.Client, hub: FakeHub) -> None:
    hub.cut_after, hub.stall = [50_000], threading.Event()

    with client.stream("POST", "/api/pull", json={"model": NAME}) as answer:
        next(one for one in answer.iter_lines() if json.loads(one).get("completed", 0) >= 50_000)

    assert ended(client)["state"] == "cancelled"
    wait_until(lambda: pullers() == [])


def test_client_of_ollama_that_leaves_lets_the_pull_of_somebody_else_go_on(
    client: httpx.Client, hub: FakeHub
) -> None:
    stalled(client, hub)
    with client.stream("POST", "/api/pull", json={"model": NAME}) as answer:
        assert next(answer.iter_lines()) == '{"status":"pulling manifest"}'

    assert hub.stall is not None
    hub.stall.set()

    assert ended(client)["state"] == "done"


def test_model_that_is_here_is_a_success_without_the_hub(client: httpx.Client, gateway: Gateway) -> None:
    make_tiny_model(gateway.context.state.paths.models_dir / "mine", seed=4)

    told = list(ollama.Client(str(client.base_url)).pull("mine", stream=True))

    assert [one.status for one in told] == ["pulling manifest", "success"]
    assert "mine" not in {one["id"] for one in client.get("/downloads.json").json()["downloads"]}


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "the body is not valid: it must name a model. "),
        ({"model": NAME, "insecure": True}, "insecure is not valid: "),
        ({"model": NAME, "username": "me"}, "username is not valid: there is no such field here. "),
        ({"model": "x" * 301}, "model is not valid: "),
    ],
)
def test_pull_of_ollama_s_that_is_not_valid_says_so_in_its_shape(
    client: httpx.Client, body: dict[str, Any], what: str
) -> None:
    refused = client.post("/api/pull", json=body)

    assert refused.status_code == 400
    assert refused.json()["error"].startswith(what)


def test_pull_of_ollama_s_takes_the_bodies_that_its_other_addresses_take(client: httpx.Client) -> None:
    """Some of its clients name no media type, curl -d a form's; a page of another site could send both."""
    body = json.dumps({"model": "x" * 301})
    kinds: list[dict[str, str]] = [{}, {"content-type": "application/x-www-form-urlencoded"}]
    for kind in kinds:
        page = {**kind, "sec-fetch-site": "same-origin"}
        assert client.post("/api/pull", content=body, headers=kind).status_code == 400
        assert client.post("/api/pull", content=body, headers=page).status_code == 415
    assert client.post("/api/pull", content=body, headers={"content-type": "text/plain"}).status_code == 415


def test_pull_of_ollama_s_needs_the_key_where_there_are_keys(tmp_path: Path) -> None:
    with run_gateway(make_test_state(tmp_path, server={"api_keys": [KEY]})) as gateway:
        refused = httpx.post(f"{gateway.url}/api/pull", json={"model": NAME}, verify=NO_TLS)

    assert refused.status_code == 401
