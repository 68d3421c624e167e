"""A long conversation goes on after its engine is killed, restarted or unloaded, without being read again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.server import Server, end, free_port, wait_until
from tests.tiny_families import make_tiny_family
from tests.waits import NO_TLS, scaled

from local_ai.models.prompt_files import prompts_dir
from local_ai.supervision.program import ENGINE

pytestmark = pytest.mark.integration

FAMILIES = ("llama", "gemma3_text", "qwen3_5")
RULES = "".join(f"Rule {n}: the red fox jumps over the lazy dog. " for n in range(110))


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one model of each class of cache."""
    server = Server(
        tmp_path_factory.mktemp("s"),
        free_port(),
        {"LOCAL_AI_CACHE__DISK": "0.5", "LOCAL_AI_ENGINE__MAX_CRASHES": "99"},
    )
    for family in FAMILIES:
        make_tiny_family(server.paths.models_dir / family, family, endless=True)
    server.start("--model", "llama")
    yield server
    end(server)


@dataclass(frozen=True)
class Told:
    """One answer, and how much of its prompt was not read."""

    text: str
    prompt: int  # tokens
    cached: int  # of them


def ask(server: Server, family: str, messages: list[dict[str, str]]) -> Told:
    body = {"model": family, "messages": messages, "max_tokens": 8, "temperature": 0}
    url = f"{server.url}/v1/chat/completions"
    answer = httpx.post(url, json=body, timeout=scaled(120), verify=NO_TLS).raise_for_status().json()
    usage = answer["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return Told(answer["choices"][0]["message"]["content"], usage["prompt_tokens"], cached)


def kill(server: Server) -> None:
    os.kill(server.pid_of(ENGINE), signal.SIGKILL)


def restart(server: Server) -> None:
    assert server.run("restart").returncode == 0


def unload(server: Server) -> None:
    assert server.run("models", "unload").returncode == 0


def shown(server: Server) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(server.run("cache", "show", "--json").stdout)
    return result


def wait_until_written(server: Server) -> None:
    """Wait for the thread that writes: the last files are there when nothing is added any more."""
    written: list[int] = []

    def is_over() -> bool:
        written.append(shown(server)["written_bytes"])
        return len(written) > 1 and written[-1] == written[-2] > 0

    wait_until(is_over)


@pytest.mark.parametrize("ends", [kill, restart, unload], ids=lambda ends: ends.__name__)
def test_a_long_conversation_is_not_read_again(remembering: Server, ends: Callable[[Server], None]):
    """The request that follows is sent at once: to a killed engine it is sent again once there is another."""
    first = {}
    for family in FAMILIES:
        begun = [{"role": "user", "content": f"{ends.__name__} {RULES} What is red?"}]
        answer = ask(remembering, family, begun)
        assert answer.prompt >= 1024
        later = [*begun, {"role": "assistant", "content": answer.text}, {"role": "user", "content": "And?"}]
        first[family] = answer, later, ask(remembering, family, later)
    if ends is not restart:  # an orderly stop waits for that by itself
        wait_until_written(remembering)

    ends(remembering)

    for family, (before, later, unbroken) in first.items():
        again = ask(remembering, family, later)

        assert again.text == unbroken.text
        assert again.cached >= before.prompt - 256, family


def test_damaged_files_are_dropped_and_said_and_nobody_else_may_read_them(remembering: Server):
    messages = [{"role": "user", "content": f"damaged {RULES}"}]
    first = ask(remembering, "llama", messages)
    wait_until_written(remembering)
    files = list(prompts_dir(remembering.paths).rglob("b-*.safetensors"))
    modes = {file.stat().st_mode & 0o777 for file in files}
    for file in files:
        with file.open("r+b") as damaged:
            damaged.seek(-1, os.SEEK_END)
            last = damaged.read(1)
            damaged.seek(-1, os.SEEK_END)
            damaged.write(bytes([last[0] ^ 1]))
    kill(remembering)

    again = ask(remembering, "llama", messages)

    assert modes == {0o600}
    assert (again.text, again.cached) == (first.text, 0)
    assert "dropped a damaged file" in remembering.paths.log(ENGINE).read_text()


def test_the_cache_is_shown_and_cleared_by_model(remembering: Server):
    messages = [{"role": "user", "content": f"shown {RULES}"}]
    for family in ("llama", "gemma3_text"):
        ask(remembering, family, messages)
    wait_until(lambda: {one["model"] for one in shown(remembering)["models"]} >= {"llama", "gemma3_text"})

    before = shown(remembering)
    cleared = remembering.run("cache", "clear", "--model", "llama")
    after = shown(remembering)

    assert before["limit_bytes"] == 500_000_000
    assert before["written_bytes"] >= before["size_bytes"] > after["size_bytes"] > 0
    assert cleared.stdout.startswith("Removed the remembered prompts of llama from the disk: ")
    assert "llama" not in {one["model"] for one in after["models"]}
    assert "can be recovered from these files" in remembering.run("cache", "show").stderr
    unknown = remembering.run("cache.clear", "--model", "llama")
    assert unknown.returncode == 2
    assert "no prompts of 'llama' are remembered on disk" in unknown.stderr
    everything = remembering.run("cache", "clear")
    assert everything.returncode == 0
    assert shown(remembering)["size_bytes"] == 0


def test_removing_a_model_removes_its_prompts(remembering: Server):
    folder = remembering.paths.cache_dir / "prompts" / "of-a-model"
    folder.mkdir(parents=True, exist_ok=True)
    model = remembering.paths.models_dir / "leaves"
    make_tiny_family(model, "llama")
    (folder / "model.json").write_text(json.dumps({"model": "leaves", "folder": str(model)}))
    (folder / "b-1.safetensors").write_bytes(b"12345")

    removed = remembering.run("models", "remove", "leaves", "--yes")

    assert removed.returncode == 0, removed.stderr
    assert not folder.exists()
