"""How much of the generator's own speed reaches a client: on a graphics card, or with a tiny model on a CPU.

The bare generator, our batch without a server, our engine, all of ours, and mlx_lm.server hold the same model
of random weights and are asked in turns. With a card it has the shape of Llama 3.1 8B, in bf16.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.blas import preloadable_blas
from benchmarks.clock import answers, clean_environment, free_port, say, timed, wait
from benchmarks.many_streams import Address, answer_all, begin, read
from benchmarks.options import Options
from benchmarks.ours import Ours, make_ours
from benchmarks.samples import OURS, Samples, What

_BARE = "bare generator"
_BATCH = "our batch, no server"
_ENGINE = "engine alone"
_MLX_LM = "mlx_lm.server"
_ROWS = (1, 16, 64)
_TOKENS, _QUICK_TOKENS = 256, 64  # of each answer
_SHORT_TOKENS = 32  # of those that only their time counts of
_START_S = 900
# All hold the model on one card: none may keep all that was ever free of it, as MLX does by itself.
_SERVE_SHARING = """\
import mlx.core as mx
mx.set_cache_limit(4_000_000_000)
from mlx_lm.server import main
main()
"""


@dataclass(frozen=True)
class _Server:
    name: str
    address: Address
    model: str

    def tokens_per_s(self, rows: int, tokens: int, mark: str) -> float:
        streams = answer_all(self.address, self.model, _texts(rows, mark), tokens)
        took = max(stream.ended or 0.0 for stream in streams) - min(stream.began for stream in streams)
        return sum(stream.tokens for stream in streams) / took

    def answer_s(self, rows: int, mark: str) -> float:
        return timed(lambda: answer_all(self.address, self.model, _texts(rows, mark), _SHORT_TOKENS))

    def first_token_beside(self, rows: int, mark: str) -> float:
        """Ask a short question while so many answers run; they are left afterwards."""
        running = [begin(self.address, self.model, text, 4096) for text in _texts(rows, mark)]
        read(running, until_first=True)
        asked = begin(self.address, self.model, f"{mark}: and 1?", 4)
        read([asked])
        for stream in running:
            stream.place.close()
        return asked.first_s


def run(samples: Samples, options: Options) -> None:
    """Ask each in turns."""
    has_card = _has_card()
    shape = "8b" if has_card else "tiny"
    model = options.folder / "models" / shape
    say(f"gpu: making a model of random weights, {shape}")
    environ = _environment(options.folder)
    subprocess.run([sys.executable, "-m", "benchmarks.random_model", shape, model], env=environ, check=True)
    with ExitStack() as stack:
        ours = stack.enter_context(_ours(options, model))
        served = _Server(OURS, ours.port, shape)
        engine = _Server(_ENGINE, ours.paths.engine_socket, shape)
        _first_answers(samples, served)
        say("gpu: starting the others")
        peer = _Server(_MLX_LM, stack.enter_context(_mlx_lm_server(model, environ)), str(model))
        bare = stack.enter_context(_Bare(model, environ))
        for number in range(-1, options.rounds):  # the first one, of short answers, warms all of them up
            tokens = _QUICK_TOKENS if options.quick or number < 0 else _TOKENS
            for rows in _ROWS:
                say(f"gpu {number + 1}/{options.rounds}: {rows}")
                text = f"tokens/s of {rows} stream{'s' if rows > 1 else ''}, {shape}"
                what = What("gpu", text, "tokens/s", _BARE, more_is_better=True)
                found = {
                    _BARE: bare.tokens_per_s("bare", rows, tokens, 2 * number + 3),
                    _BATCH: bare.tokens_per_s("ours", rows, tokens, 2 * number + 4),
                    _ENGINE: engine.tokens_per_s(rows, tokens, f"e{number}"),
                    OURS: served.tokens_per_s(rows, tokens, f"g{number}"),
                    _MLX_LM: peer.tokens_per_s(rows, tokens, f"m{number}"),
                }
                say("  " + ", ".join(f"{name} {value:.0f}" for name, value in found.items()))
                if number >= 0:
                    for name, value in found.items():
                        samples.add(what, name, value)
        beside = What(
            "gpu", f"first token of a short question beside {_ROWS[-1]} answers, {shape}", "s", _MLX_LM
        )
        for number in range(options.rounds):
            for server in (served, peer):
                samples.add(beside, server.name, server.first_token_beside(_ROWS[-1], f"b{number}"))


def _first_answers(samples: Samples, server: _Server) -> None:
    """Time the first answers after "ready" beside later ones of the same shape."""
    for rows in (1, 16):
        what = What(
            "gpu", f"{rows} short answer{'s' if rows > 1 else ''} right after ready", "s", "later ones"
        )
        first = server.answer_s(rows, f"first{rows}")
        later = [server.answer_s(rows, f"later{rows}.{number}") for number in range(5)]
        samples.add(what, "later ones", statistics.median(later))
        samples.add(what, OURS, first)


def _texts(rows: int, mark: str) -> list[str]:
    return [f"{mark}.{row}: write a long story of a fox." for row in range(rows)]


def _has_card() -> bool:
    code = "import mlx.core as mx; print(mx.default_device() == mx.gpu)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip() == "True"


def _environment(home: Path) -> dict[str, str]:
    """Return an environment in which packages are found where this process finds them, installed or not."""
    found = os.pathsep.join(path for path in sys.path if path)
    home.mkdir(parents=True, exist_ok=True)
    return clean_environment(home) | preloadable_blas(home) | {"PYTHONPATH": found, "HF_HUB_OFFLINE": "1"}


@contextmanager
def _ours(options: Options, model: Path) -> Iterator[Ours]:
    ours = make_ours(options.folder / "served", free_port(), model)
    environ = {**ours.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    most = str(_ROWS[-1] + 1)
    environ |= {"LOCAL_AI_ENGINE__MAX_BATCH": most, "LOCAL_AI_GATEWAY__MAX_CONCURRENCY": most}
    words = [sys.executable, "-m", "local_ai", "server"]
    try:
        start = [*words, "start", "--port", str(ours.port), "--timeout", str(_START_S)]
        say("gpu: starting local-ai")
        subprocess.run(start, env=environ, check=True, stdout=subprocess.DEVNULL)
        yield ours
    finally:
        subprocess.run([*words, "stop", "--force"], env=environ, stdout=subprocess.DEVNULL)


@contextmanager
def _mlx_lm_server(model: Path, environ: dict[str, str]) -> Iterator[int]:
    port, most = free_port(), str(_ROWS[-1])
    words: list[str | Path] = [sys.executable, "-c", _SERVE_SHARING, "--model", model]
    words += ["--port", str(port), "--decode-concurrency", most, "--log-level", "ERROR"]
    with _child(words, environ):
        wait(lambda: answers(port, "/v1/models"), timeout_s=_START_S)
        answer_all(port, str(model), ["hello"], 1)
        yield port


class _Bare:
    """A process that holds the model without a server; see `benchmarks/bare.py`."""

    def __init__(self, model: Path, environ: dict[str, str]) -> None:
        words = [sys.executable, "-m", "benchmarks.bare", str(model)]
        self._process = subprocess.Popen(
            words, env=environ, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._read()

    def __enter__(self) -> _Bare:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def tokens_per_s(self, who: str, rows: int, tokens: int, mark: int) -> float:
        assert self._process.stdin
        asked = {"who": who, "rows": rows, "tokens": tokens, "mark": mark}
        self._process.stdin.write(json.dumps(asked) + "\n")
        return float(self._read())

    def _read(self) -> str:
        assert self._process.stdout
        if not (line := self._process.stdout.readline()):
            raise RuntimeError("the bare generator's process ended")
        return line


@contextmanager
def _child(words: list[str | Path], environ: dict[str, str]) -> Iterator[None]:
    nowhere: int | IO[bytes] = subprocess.DEVNULL
    process = subprocess.Popen(words, env=environ, stdin=nowhere, stdout=nowhere, stderr=nowhere)
    try:
        yield
    finally:
        process.kill()
        process.wait()
