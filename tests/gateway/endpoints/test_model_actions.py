"""What the page's buttons do to models, and what it is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.gateway.fakes import FakeEngine, Gateway, make_model, make_test_state, run_engine, run_gateway
from tests.server import wait_until
from tests.waits import NO_TLS, scaled


class ModelEngine(FakeEngine):
    """An engine that tells what models can do, and refuses to load "sick"."""

    async def _show(self, request: Request) -> Response:
        return JSONResponse({"capabilities": ["completion", "tools", "thinking"]})

    async def _answer(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        self.requests.append({"path": request.url.path, **body})
        if body["model"] == "sick":
            return JSONResponse({"error": "it has no layers"}, 400)
        if request.url.path == "/pin" and body["model"] == "next":
            return JSONResponse({"error": {"message": "it does not fit"}}, 409)
        if request.url.path == "/pin":
            return JSONResponse({"pinned": body["pinned"] or body["model"] == "spare"})
        return JSONResponse({"done": True})


@pytest.fixture(scope="module")
def engine() -> ModelEngine:
    return ModelEngine()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: ModelEngine) -> Iterator[Gateway]:
    state = make_test_state(tmp_path_factory.mktemp("g"), aliases={"short": "tiny"})
    make_model(state.paths.models_dir / "tiny", created=1_700_000_009)
    for name in ("sick", "spare", "next"):
        make_model(state.paths.models_dir / name)
    with run_engine(engine, state.paths.engine_socket), run_gateway(state) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=scaled(20), verify=NO_TLS) as client:
        yield client


def card(client: httpx.Client, name: str) -> dict[str, Any]:
    cards = client.get("/models.json").raise_for_status().json()["models"]
    found: dict[str, Any] = next(one for one in cards if one["id"] == name)
    return found


def test_cards_tell_what_a_model_is_and_can(client: httpx.Client) -> None:
    wait_until(lambda: card(client, "tiny")["can"])

    told = card(client, "tiny")

    assert told["can"] == ["tools", "thoughts"]
    assert (told["default"], told["fits"], told["own"], told["aliases"]) == (True, True, True, ["short"])
    assert (told["size_bytes"], told["context_tokens"]) == (7, 2048)


def test_load_and_unload_are_told_to_the_engine(client: httpx.Client, engine: ModelEngine) -> None:
    loaded = client.post("/models/load", json={"model": "tiny"})
    unloaded = client.post("/models/unload", json={"model": "tiny"})

    assert loaded.json() == {"done": "tiny is in memory."}
    assert unloaded.json() == {"done": "tiny is no longer in memory."}
    assert engine.requests[-2:] == [
        {"path": "/api/generate", "model": "tiny"},
        {"path": "/api/generate", "model": "tiny", "keep_alive": 0},
    ]


def test_pins_are_told_to_the_engine(client: httpx.Client, engine: ModelEngine) -> None:
    pinned = client.post("/models/pin", json={"model": "tiny"})
    unpinned = client.post("/models/unpin", json={"model": "tiny"})

    assert pinned.json() == {"done": "tiny stays in memory until it is unpinned, or the server ends."}
    assert unpinned.json() == {"done": "tiny is unloaded like any other again."}
    assert engine.requests[-2:] == [
        {"path": "/pin", "model": "tiny", "pinned": True},
        {"path": "/pin", "model": "tiny", "pinned": False},
    ]


def test_pins_that_fail_say_why(client: httpx.Client) -> None:
    unfit = client.post("/models/pin", json={"model": "next"})
    settled = client.post("/models/unpin", json={"model": "spare"})

    assert (unfit.status_code, settled.status_code) == (409, 409)
    assert unfit.json()["error"]["message"].startswith("next was not pinned: it does not fit.")
    assert settled.json()["error"]["message"].startswith("spare stays pinned: the settings pin it.")


def test_refusals_of_the_engine_are_passed_on(client: httpx.Client) -> None:
    refused = client.post("/models/load", json={"model": "sick"})

    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("sick was not loaded: it has no layers.")


def test_default_is_the_next_starts_and_cannot_be_removed(client: httpx.Client, gateway: Gateway) -> None:
    file = gateway.context.state.paths.config_file

    done = client.post("/models/default", json={"model": "next"})

    assert done.json() == {"done": f"next is the default from the next start on ({file})."}
    assert (card(client, "next")["default_next"], card(client, "tiny")["default"]) == (True, True)
    refused = client.post("/models/remove", json={"model": "next"})
    assert refused.status_code == 409
    assert "it is the default model of the settings" in refused.json()["error"]["message"]


def test_removed_model_is_gone(client: httpx.Client, gateway: Gateway) -> None:
    folder = make_model(gateway.context.state.paths.models_dir / "old")

    removed = client.post("/models/remove", json={"model": "old"})

    assert removed.json() == {"done": "old is removed: 0 MB given back."}
    assert not folder.exists()


@pytest.mark.parametrize("action", ["load", "unload", "default", "remove"])
def test_model_that_is_not_there_is_named_in_the_error(client: httpx.Client, action: str) -> None:
    refused = client.post(f"/models/{action}", json={"model": "tinny"})

    assert refused.status_code == 404
    assert "'tinny' is not there" in refused.json()["error"]["message"]


@pytest.mark.parametrize("action", ["load", "unload", "default", "remove", "pull", "pull/cancel"])
def test_nothing_is_changed_by_get_or_by_another_site(client: httpx.Client, action: str) -> None:
    got = client.get(f"/models/{action}")
    elsewhere = client.post(
        f"/models/{action}", json={"model": "tiny"}, headers={"Origin": "http://evil.example"}
    )

    assert got.status_code in {404, 405}
    assert elsewhere.status_code == 403
    assert card(client, "tiny")["default"]


def test_question_before_a_removal_names_the_folder(client: httpx.Client, gateway: Gateway) -> None:
    page = client.get("/models/remove", params={"model": "sick"})

    assert "Remove sick?" in page.text
    assert str(gateway.context.state.paths.models_dir / "sick") in page.text


def test_folder_of_another_program_is_not_removed(tmp_path: Path) -> None:
    lm_studio = make_model(tmp_path / "lm/org/theirs")
    state = make_test_state(tmp_path, models={"paths": [str(tmp_path / "lm")]})
    with run_gateway(state) as gateway:
        refused = httpx.post(f"{gateway.url}/models/remove", json={"model": "org/theirs"}, verify=NO_TLS)

    assert refused.status_code == 409
    assert "which local-ai only reads" in refused.json()["error"]["message"]
    assert lm_studio.exists()
