"""Transcription from its installation to an answer, in a program of its own whose end is its own."""

from __future__ import annotations

import array
import json
import math
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from tests.server import Server, end, free_port, wait_until
from tests.tiny_model import make_tiny_model
from tests.waits import scaled

from local_ai.supervision.omni import omni_python
from local_ai.supervision.program import ENGINE, OMNI

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]  # an installation downloads 300 MB

# In the environment that has mlx_whisper; small weights, so that nothing overflows.
_MAKE_WHISPER = """
import json, pathlib, sys
import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_whisper.whisper import ModelDimensions, Whisper

shape = {"n_mels": 80, "n_audio_ctx": 1500, "n_vocab": 51865, "n_text_ctx": 448}
for kind in ("audio", "text"):
    shape |= {f"n_{kind}_state": 32, f"n_{kind}_head": 2, f"n_{kind}_layer": 1}
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
weights = tree_flatten(Whisper(ModelDimensions(**shape)).parameters())
weights = {name: (value * 0.1).astype(mx.float16) for name, value in weights}
mx.save_safetensors(str(folder / "weights.safetensors"), weights)
(folder / "config.json").write_text(json.dumps({"model_type": "whisper", **shape}))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that was started before transcription was installed, and again after it."""
    server = Server(tmp_path_factory.mktemp("s"), free_port())
    server.paths.models_dir.mkdir(parents=True)
    make_tiny_model(server.paths.models_dir / "tiny")
    try:
        yield server
    finally:
        end(server)


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def _installed(server: Server, client: openai.OpenAI, sound: Path) -> Server:
    server.start()
    with pytest.raises(openai.NotFoundError, match="local-ai omni install transcription"):
        client.audio.transcriptions.create(model="whisper", file=sound)
    done = server.run("omni.install", "transcription", "--json", timeout_s=170)
    assert done.returncode == 0, done.stderr
    states = {row["name"]: row["state"] for row in json.loads(done.stdout)}
    assert states["transcription"] == "installed"
    assert states["images"] == "not installed"
    with pytest.raises(openai.InternalServerError, match="To fix it: local-ai server restart"):
        client.audio.transcriptions.create(model="tiny", file=sound)
    make = [str(omni_python(server.paths)), "-c", _MAKE_WHISPER, str(server.paths.models_dir / "whisper")]
    subprocess.run(make, check=True, timeout=scaled(120))
    assert server.run("server.restart").returncode == 0
    return server


@pytest.fixture
def installed(_installed: Server) -> Server:
    """That server, running."""
    if not _installed.processes():
        _installed.start()
    return _installed


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a tone."""
    file = tmp_path_factory.mktemp("sound") / "tone.wav"
    samples = array.array("h", (int(8000 * math.sin(0.2 * index)) for index in range(32_000)))
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(samples.tobytes())
    return file


def test_a_recording_is_transcribed(installed: Server, client: openai.OpenAI, sound: Path):
    answer = client.audio.transcriptions.create(model="whisper", file=sound, timeout=scaled(150))

    assert isinstance(answer.text, str)
    assert client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "hello"}], max_tokens=2
    ).choices


def test_an_unknown_model_is_refused_by_its_name(installed: Server, client: openai.OpenAI, sound: Path):
    with pytest.raises(openai.NotFoundError) as caught:
        client.audio.transcriptions.create(model="whispr", file=sound)

    assert caught.value.code == "model_not_found"
    assert "did you mean whisper?" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="a Mac can speak")
def test_what_can_never_work_here_is_not_implemented(installed: Server, client: openai.OpenAI):
    with pytest.raises(openai.InternalServerError) as caught:
        client.audio.speech.create(model="whisper", voice="any", input="hello")

    assert caught.value.status_code == 501
    refused = installed.run("omni.install", "speech")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: speech cannot be installed\n  why: it cannot work here: ")


def test_its_end_is_its_own(installed: Server, client: openai.OpenAI):
    engine, omni = installed.pid_of(ENGINE), installed.pid_of(OMNI)

    os.kill(omni, signal.SIGKILL)
    back = wait_until(lambda: row_of(installed, pid_not=omni))

    assert back["restarts"] == 1
    assert installed.pid_of(ENGINE) == engine
    assert client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "hello"}], max_tokens=2
    ).choices


def row_of(server: Server, *, pid_not: int) -> dict[str, object] | None:
    """The program's row once it is ready as another process."""
    row = next(row for row in server.status()["programs"] if row["name"] == OMNI)
    return row if row["readiness"] == "ready" and row["pid"] not in (pid_not, None) else None


def test_status_and_list_name_it_and_a_stop_ends_it(installed: Server):
    shown = installed.run("server.status").stdout
    listed = installed.run("omni.parts").stdout

    row = next(line.split() for line in shown.splitlines() if line.split()[:1] == [OMNI])
    assert row[1] in {"STARTING", "RUNNING"}  # for some seconds after its restart, the first
    assert row[3] == "ready"
    assert any(line.split()[:2] == ["transcription", "installed"] for line in listed.splitlines())
    installed.stop()
    assert installed.processes() == []
    assert not installed.paths.omni_socket.exists()


def test_packages_that_cannot_be_had_are_told_and_nothing_counts_as_installed(tmp_path: Path):
    server = Server(tmp_path, free_port())
    nowhere = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty"), "PIP_NO_INDEX": "1"}

    done = server.run("omni.install", "images", **nowhere)

    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "error: images could not be installed" in lines
    assert any(line.startswith("  why: installing packages failed ") for line in lines)
    assert json.loads(server.run("omni.parts", "--json").stdout)[2]["state"] == "not installed"
