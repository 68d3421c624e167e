"""How much of the generator's own speed reaches a client: on a graphics card, or with a tiny model on a CPU.

The bare generator, our batch without a server, our engine and all of ours hold the same model of random
weights and are asked by turns; mlx_lm.server then comes alone. With a card it has the shape of Llama 3.1 8B,
in bf16. The bare generator gets the environment that our engine sets for MLX; mlx_lm.server is as it comes.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from benchmarks.blas import preloadable_blas
from benchmarks.clock import answers, clean_environment, free_port, say, timed, wait
from benchmarks.many_streams import Address, answer_all, begin, read
from benchmarks.options import Options
from benchmarks.ours import Ours, make_ours
from benchmarks.samples import OURS, Samples, What
from local_ai.engine.process.environment import tell_libraries

_BARE = "bare generator"
_BATCH = "our batch, no server"
_ENGINE = "engine alone"
_MLX_LM = "mlx_lm.server"
_ROWS = (1, 16, 64)
_TURNS = 3  # of a round
_TOKENS, _QUICK_TOKENS = 256, 64  # of each answer
_SHORT_TOKENS = 32  # of those that only their time counts of
_START_S = 900


@dataclass(frozen=True)
class _Server:
    name: str
    address: Address
    model: str

    def tokens_per_s(self, rows: int, tokens: int, mark: int) -> float:
        streams = answer_all(self.address, self.model, _texts(rows, f"{self.name}{mark}"), tokens)
        took = max(stream.ended or 0.0 for stream in streams) - min(stream.began for stream in streams)
        return sum(stream.tokens for stream in streams) / took

    def answer_s(self, rows: int, mark: str) -> float:
        return timed(lambda: answer_all(self.address, self.model, _texts(rows, mark), _SHORT_TOKENS))

    def first_token_beside(self, rows: int, mark: str) -> float:
        """Ask a short question while so many answers run; they are left afterwards."""
        running = [begin(self.address, self.model, text, 1024) for text in _texts(rows, mark)]
        read(running, until_first=True)
        asked = begin(self.address, self.model, f"{mark}: and 1?", 4)
        read([asked])
        for stream in running:
            stream.place.close()
        return asked.first_s


def run(samples: Samples, options: Options) -> None:
    """Ask them by turns; a card has no room for all of them at once."""
    shape = "8b" if _has_card() else "tiny"
    model = options.folder / "models" / shape
    say(f"gpu: making a model of random weights, {shape}")
    environ = _environment(options.folder)
    subprocess.run([sys.executable, "-m", "benchmarks.random_model", shape, model], env=environ, check=True)
    tokens = _QUICK_TOKENS if options.quick else _TOKENS
    told = dict(environ)
    tell_libraries(told, options.folder)
    for number in range(options.rounds):
        say(f"gpu {number + 1}/{options.rounds}")
        with _ours(options.folder / f"served{number}", model) as ours, _Bare(model, told) as bare:
            served = _Server(OURS, ours.port, shape)
            engine = _Server(_ENGINE, ours.paths.engine_socket, shape)
            _first_answers(samples, served)
            by_name: dict[str, Callable[[int, int, int], float]] = {
                _BARE: partial(bare.tokens_per_s, "bare"),
                _BATCH: partial(bare.tokens_per_s, "ours"),
                _ENGINE: engine.tokens_per_s,
                OURS: served.tokens_per_s,
            }
            _measure(samples, shape, by_name, tokens)
            _short_question(samples, served)
        with _mlx_lm_server(model, environ) as port:
            peer = _Server(_MLX_LM, port, str(model))
            _measure(samples, shape, {_MLX_LM: peer.tokens_per_s}, tokens)
            _short_question(samples, peer)


def _measure(
    samples: Samples, shape: str, by_name: Mapping[str, Callable[[int, int, int], float]], tokens: int
) -> None:
    """Take the tokens per second of each number of streams, by turns; a round of short answers goes before.

    The machine's own pace changes between two minutes, so all are asked within one, several times.
    """
    marks = itertools.count()
    for turn in range(_TURNS + 1):
        for rows in _ROWS:
            text = f"tokens/s of {rows} stream{'s' if rows > 1 else ''}, {shape}"
            what = What("gpu", text, "tokens/s", _BARE, more_is_better=True)
            for name, tokens_per_s in by_name.items():
                found = tokens_per_s(rows, tokens if turn else _QUICK_TOKENS, next(marks))
                if turn:
                    say(f"  {name}, {rows}: {found:.0f} tokens/s")
                    samples.add(what, name, found)


def _short_question(samples: Samples, server: _Server) -> None:
    what = What("gpu", f"first token of a short question beside {_ROWS[-1]} answers", "s", _MLX_LM)
    samples.add(what, server.name, server.first_token_beside(_ROWS[-1], "beside"))


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
def _ours(folder: Path, model: Path) -> Iterator[Ours]:
    ours = make_ours(folder, free_port(), model)
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
    words: list[str | Path] = [sys.executable, "-m", "mlx_lm", "server", "--model", model]
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
