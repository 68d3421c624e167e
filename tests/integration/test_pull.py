"""Models from the hub: whole, in parts, and not at all."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.fake_hub import COMMIT, FakeHub, run_hub
from tests.server import SCRIPT, Server, wait_until
from tests.tiny_model import make_tiny_model
from tests.waits import scaled

pytestmark = pytest.mark.integration

NAME = "org/tiny"
AGAIN = "local-ai models pull org/tiny"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    """A hub with one model, and files beside it that nobody needs."""
    folder = make_tiny_model(tmp_path / "hub/tiny", seed=3)
    for name in ("model.gguf", "pytorch_model.bin", "consolidated.safetensors", "README.md"):
        (folder / name).write_bytes(b"x" * 30_000)
    with run_hub() as hub:
        hub.models[NAME] = folder
        yield hub


@pytest.fixture
def server(make_server: Callable[..., Server], hub: FakeHub) -> Server:
    return make_server(model=None, HF_ENDPOINT=hub.url)


def snapshot(server: Server) -> Path:
    return server.paths.hub_cache / "models--org--tiny/snapshots" / COMMIT


def test_pull_brings_what_is_needed_and_the_running_server_answers_with_it(running: Server, hub: FakeHub):
    pulled = running.run("models", "pull", NAME, HF_ENDPOINT=hub.url)

    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout == (
        f"org/tiny is here: 1 MB, {snapshot(running)}\n"
        "Clients name it org/tiny.\n"
        "To make it the default: local-ai models use org/tiny\n"
    )
    assert {file.name for file in snapshot(running).iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    body = {"model": NAME, "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}
    answer = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=scaled(60)).json()
    assert answer["choices"][0]["message"]["content"]
    assert answer["model"] == NAME


def test_pull_again_transfers_nothing_and_other_tools_find_the_files(server: Server, hub: FakeHub):
    first = json.loads(server.run("models.pull", NAME, "--json").stdout)
    hub.transfers.clear()

    again = server.run("models.pull", NAME, "--json")

    assert json.loads(again.stdout) | {"seconds": 0} == first | {"downloaded_bytes": 0, "seconds": 0}
    assert first["downloaded_bytes"] == first["size_bytes"] > 0
    assert (first["id"], first["path"], first["commit"]) == (NAME, str(snapshot(server)), COMMIT)
    assert again.stderr == "org/tiny: all 1 MB are here already\n1 MB of 1 MB (100%)\n"
    assert hub.transfers == []
    from huggingface_hub import scan_cache_dir, snapshot_download

    (found,) = scan_cache_dir(server.paths.hub_cache).repos
    assert (found.repo_id, list(found.refs)) == (NAME, ["main"])
    there = snapshot_download(NAME, cache_dir=server.paths.hub_cache, local_files_only=True)
    assert there == str(snapshot(server))


def test_broken_transfer_goes_on_by_itself_where_it_broke_off(server: Server, hub: FakeHub):
    hub.cut_after = [50_000, 70_000]

    pulled = server.run("models.pull", NAME)

    assert pulled.returncode == 0, pulled.stderr
    assert [asked for file, asked in hub.transfers if file == "model.safetensors"] == [
        None,
        "bytes=50000-",
        "bytes=120000-",
    ]
    original = (hub.models[NAME] / "model.safetensors").read_bytes()
    assert (snapshot(server) / "model.safetensors").read_bytes() == original


def test_ctrl_c_keeps_what_is_here_and_the_same_command_goes_on(server: Server, hub: FakeHub):
    hub.cut_after, hub.stall = [50_000], threading.Event()
    pull = server.popen("models.pull", NAME)
    assert hub.stalled.wait(60)
    blobs = server.paths.hub_cache / "models--org--tiny/blobs"
    wait_until(lambda: [file for file in blobs.glob("*.incomplete") if file.stat().st_size])

    os.kill(pull.pid, signal.SIGINT)
    said, _ = pull.communicate(timeout=scaled(30))

    assert pull.returncode == 130
    assert re.search(
        r"error: interrupted\n  why: Ctrl-C; \d+ MB of 1 MB are kept\n"
        r"  fix: to continue, run the same command again: local-ai models pull org/tiny\n$",
        said,
    ), said
    listed = json.loads(server.run("models.list", "--json").stdout)
    assert [(one["id"], one["reason"]) for one in listed["incomplete"]] == [
        (NAME, "its download is not finished")
    ]
    assert f". To fix it: {AGAIN}\n" in server.run("models.list").stderr
    hub.stall.set()
    hub.transfers.clear()

    again = server.run("models.pull", NAME)

    assert again.returncode == 0, again.stderr
    ((file, asked),) = hub.transfers
    assert file == "model.safetensors"
    assert asked is not None
    assert 0 < int(asked.removeprefix("bytes=").removesuffix("-")) <= 50_000
    assert "are still to be downloaded" in again.stderr
    original = (hub.models[NAME] / "model.safetensors").read_bytes()
    assert (snapshot(server) / "model.safetensors").read_bytes() == original


def test_hub_that_sends_all_again_is_taken_at_its_word(server: Server, hub: FakeHub):
    hub.cut_after, hub.ignores_ranges = [50_000], True

    assert server.run("models.pull", NAME).returncode == 0

    original = (hub.models[NAME] / "model.safetensors").read_bytes()
    assert (snapshot(server) / "model.safetensors").read_bytes() == original


def test_damaged_file_is_told_and_not_kept(server: Server, hub: FakeHub):
    hub.spoils = True

    refused = server.run("models.pull", NAME)

    assert refused.returncode == 1
    assert "was damaged during the download: its checksum is not the one the hub names" in refused.stderr
    assert json.loads(server.run("models.list", "--json").stdout)["models"] == []
    hub.spoils = False
    assert server.run("models.pull", NAME).returncode == 0


def test_another_revision_has_a_name_of_its_own_beside_main(server: Server, hub: FakeHub):
    server.run("models.pull", NAME)
    hub.revisions["v2"] = "d" * 40

    pulled = server.run("models.pull", NAME, "--revision", "v2")

    assert pulled.stdout.splitlines()[1:] == [
        "Clients name it org/tiny@v2.",
        "To make it the default: local-ai models use org/tiny@v2",
    ]


def test_too_large_for_memory_is_refused_before_the_first_byte(server: Server, hub: FakeHub):
    hub.sizes["model.safetensors"] = 10**15

    refused = server.run("models.pull", NAME)
    insisted = server.run("models.pull", NAME, "--even-if-too-large")

    assert refused.returncode == 1
    assert re.fullmatch(
        r"error: the model was not downloaded\n"
        r"  why: org/tiny does not fit: its weights need 1000000\.0 GB of memory, and models can have "
        r"\d+\.\d GB here\n"
        r"  fix: take a smaller one, or one with fewer bits; to download it anyway: local-ai models pull "
        r"org/tiny --even-if-too-large\n",
        refused.stderr,
    ), refused.stderr
    assert insisted.returncode == 1
    assert "it is downloaded anyway" in insisted.stderr
    assert re.search(
        r"why: 1000000\.0 GB are still to be downloaded \(and 500 MB should stay free\), and the disk of .* "
        r"has \d+\.\d GB free",
        insisted.stderr,
    ), insisted.stderr
    assert hub.transfers == []
    assert not server.paths.hub_cache.exists()


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (
            ("org/nothing",),
            1,
            "  why: the hub shows no model named 'org/nothing': there is none, or it is private\n"
            "  fix: look for the name at {hub}/models; for a private one: hf auth login\n",
        ),
        (
            ("org/tiny", "--revision", "v9"),
            1,
            "  why: org/tiny has no revision 'v9'\n"
            "  fix: take a branch, tag or commit listed at {hub}/org/tiny/commits/main\n",
        ),
        (
            ("not a name",),
            2,
            "  why: 'not a name' cannot be a model's name on the hub\n"
            "  fix: write it as ORG/NAME: local-ai models pull mlx-community/Llama-3.2-3B-Instruct-4bit\n",
        ),
        (
            ("org/gated",),
            1,
            "  why: the owner of org/gated asks for an agreement first, or this machine is not signed in\n"
            "  fix: agree at {hub}/org/gated, then sign in with: hf auth login (or set HF_TOKEN)\n",
        ),
        (
            ("org/gguf",),
            1,
            "  why: MLX needs a config.json and weights in *.safetensors, and org/gguf has only weights in "
            ".gguf\n"
            "  fix: look for it at https://huggingface.co/mlx-community?search_models=gguf\n",
        ),
    ],
    ids=["unknown", "revision", "nonsense", "gated", "not-for-mlx"],
)
def test_what_the_hub_refuses_is_told(
    server: Server, hub: FakeHub, tmp_path: Path, words: tuple[str, ...], code: int, error: str
):
    hub.models["org/gated"] = hub.models[NAME]
    hub.gated.add("org/gated")
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf/model.gguf").write_bytes(b"x")
    hub.models["org/gguf"] = tmp_path / "gguf"

    refused = server.run("models.pull", *words)

    told = re.sub(r"^org/.*\n", "", refused.stderr)  # the line that says how large it is
    assert (refused.returncode, told) == (
        code,
        "error: the model was not downloaded\n" + error.format(hub=hub.url),
    )
    assert hub.transfers == []


def test_no_network_and_a_wish_for_none_are_told(make_server: Callable[..., Server]):
    server = make_server(model=None, HF_ENDPOINT="http://127.0.0.1:9")

    unreachable = server.run("models.pull", NAME)
    offline = server.run("models.pull", NAME, HF_HUB_OFFLINE="1")

    assert unreachable.returncode == offline.returncode == 1
    assert (
        "  why: http://127.0.0.1:9 cannot be reached: [Errno 111] Connection refused\n" in unreachable.stderr
    )
    assert offline.stderr == (
        "error: the model was not downloaded\n"
        "  why: HF_HUB_OFFLINE is set: nothing is downloaded\n"
        "  fix: unset HF_HUB_OFFLINE\n"
    )


def test_terminal_shows_one_line_that_changes(server: Server, hub: FakeHub):
    main, other = pty.openpty()
    environment = os.environ | {
        "HOME": str(server.home),
        "HF_ENDPOINT": hub.url,
        "TERM": "xterm",
        "COLUMNS": "80",
    }
    for name in ("NO_COLOR", "HF_HOME", "HF_HUB_CACHE"):
        environment.pop(name, None)
    hub.cut_after = [100_000]
    subprocess.run(
        [str(SCRIPT), "models.pull", NAME],
        env=environment,
        stdin=other,
        stdout=other,
        stderr=other,
        timeout=scaled(60),
    )
    os.close(other)

    shown = b""
    try:
        while part := os.read(main, 65536):
            shown += part
    except OSError:  # how Linux says that nobody holds the other end any more
        pass
    os.close(main)

    text = shown.decode()
    assert "\r\x1b[K1 MB of 1 MB (100%)\r\n" in text, text
    assert "org/tiny is here" in text
