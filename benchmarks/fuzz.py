"""Fuzz a real server through its gateway: odd bodies of every kind for some time, then a table.

    uv run python benchmarks/fuzz.py [--minutes 30] [--seed 0] [--rounds 20]

In turns: what docs/openapi.json allows and what it does not (schemathesis), valid bodies with broken fields,
raw bytes, conversations long enough for the disk, and what only a plain socket can send
(benchmarks/hostile.py); to a server of its own, with several tiny models in memory and remembered prompts on
disk too. What was wrong is printed under the table and makes the exit code 1. /healthz is asked all the time
beside it; its slowest answer tells how long a request can hold up other clients.

Memory is read six times on the way, each time after a rest in which what was freed goes back: as it is, and
once every model is unloaded, which takes out the models that happen to be loaded and their remembered
prompts. What is bounded is filled before: kept responses and remembered prompts (set to a few megabytes, in
memory and on disk). What grows after that is a leak. "Anonymous" leaves out pages of files, such as libraries
that are first used late. With --rounds, each of the six parts sends the same requests, so many rounds of
every kind, instead of new ones for its share of the minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import string
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
import psutil
import requests
from tests.engine.conftest import fill_with_tiny_models
from tests.engine.fuzzing import BODIES, EXPECTED, odd_request
from tests.engine.generated import Case, Operation, operations, read_document, send_cases, within_reach
from tests.server import Server, end, free_port

from benchmarks.hostile import KINDS, LARGE, WILDCARD, Hostile, exchange
from local_ai.engine.api.responses.store import MOST_RESPONSES

_TIMEOUT_S = 60.0  # an answer that takes longer counts as a hang
_ROUND = 40  # requests of a kind at a time
_HOSTILE_ROUND = 4  # the same, of a kind in benchmarks/hostile.py
_LARGE_ROUNDS = 4  # one of each large kind in so many rounds
_BESIDE_PAUSE_S = 0.02
_ALLOWED = EXPECTED | {409, 415}
_MANAGE = ("/models/pull", "/models/remove", "/models/default", "/settings")  # would change what is tried
_NO_ANSWER = -2  # instead of a status
_FAILURES = ('"internal_error"', '"message":"the answer was cut off')  # with a status of 200, in a stream
_PARTS = 6
_REMEMBERED_MB = 8
_ON_DISK_GB = 0.02
_CHATTING = ("plain", "other", "tools", "thinker")
_LONG_ROUND = 4  # long conversations of a round
_LONG = 40  # that go on at any time; a byte is a token to the tiny models, and 1,024 are worth a file
_LONG_TURN, _LONG_MOST = 1200, 3600  # bytes
_REST_S = 7.0  # longer than the engine keeps freed memory
_DEFAULT = "plain"
_PROGRAMS = {"mlx-omni-server": "engine", "welcome-page": "gateway"}
_UNLOADED = ", models unloaded"
_ANONYMOUS = ", anonymous"  # Linux tells it


@dataclass(frozen=True)
class Reply:
    """An answer; its status is below 1 where none came."""

    status: int
    text: str


@dataclass
class Tally:
    """What one kind of requests met."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""


@dataclass
class Run:
    """A fuzz and what it saw."""

    client: httpx.Client
    deadline: float
    kinds: dict[str, Tally] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    conversations: dict[int, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.deadline

    def post(self, kind: str, path: str, content: bytes) -> None:
        """Post a body and note how it was answered."""

        def ask() -> Reply:
            answer = self.client.post(path, content=content, headers={"Content-Type": "application/json"})
            return Reply(answer.status_code, answer.text)

        self._note(kind, f"POST {path} {content[:500]!r}", ask)

    def send(self, kind: str, case: Case) -> None:
        """Send a generated request and note how it was answered."""

        def ask() -> Reply:
            answer = case.call(base_url=str(self.client.base_url), timeout=_TIMEOUT_S)
            return Reply(answer.status_code, answer.text)

        self._note(kind, f"{case.method} {case.formatted_path} {str(case.body)[:500]}", ask)

    def exchange(self, kind: str, hostile: Hostile) -> None:
        """Send bytes by a plain socket and note how they were answered."""

        def ask() -> Reply:
            answer = exchange(self.client.base_url.port or 80, hostile, _TIMEOUT_S)
            return Reply(answer.status, answer.text)

        self._note(kind, f"{kind}: {hostile.content[:500]!r}", ask, hostile.allowed)

    def _note(
        self, kind: str, asked: str, ask: Callable[[], Reply], allowed: Set[int] = frozenset(_ALLOWED)
    ) -> None:
        tally = self.kinds.setdefault(kind, Tally())
        began = time.monotonic()
        try:
            reply = ask()
        except (httpx.HTTPError, requests.RequestException, OSError) as exc:
            reply = Reply(_NO_ANSWER, f"no answer: {exc!r}")
        tally.statuses[reply.status] += 1
        if (took := time.monotonic() - began) > tally.slowest_s:
            tally.slowest_s, tally.slowest = took, asked[:200]
        if reply.status not in allowed or any(words in reply.text for words in _FAILURES):
            self.wrong.append(f"{asked}: {reply.status} {reply.text[:300]}")
            print(self.wrong[-1], file=sys.stderr)


def main() -> None:
    """Fuzz and print; exit 1 if anything was wrong."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the server ends with it
    with _server() as server, httpx.Client(base_url=server.url, timeout=_TIMEOUT_S) as client:
        pids = {name: server.pid_of(name) for name in _PROGRAMS}
        _fuzz(Run(client, time.monotonic() + 600), options.seed, rounds=9)  # imports come first
        _fill_what_is_bounded(client, random.Random(options.seed))
        started = time.monotonic()
        run = Run(client, started)
        memory = [_memory(server)]
        beside = _Beside(server.url)
        beside.start()
        for part in range(1, _PARTS + 1):
            run.deadline = float("inf") if options.rounds else started + options.minutes * 60 / _PARTS * part
            new = 0 if options.rounds else part * 1_000_000
            _fuzz(run, options.seed + new, rounds=options.rounds)
            memory.append(_memory(server))
            print(f"part {part} of {_PARTS}: {_words(memory[-1])}", file=sys.stderr)
        run.wrong += beside.failed
        _print(run, memory, minutes=(time.monotonic() - started) / 60)
        print(f"slowest /healthz beside it: {beside.slowest_s:.2f} s")
        for name in _PROGRAMS:
            run.wrong += _tracebacks(name, (server.paths.logs_dir / f"{name}.log").read_text())
        for name, pid in pids.items():
            if server.pid_of(name) != pid:
                log = (server.paths.logs_dir / f"{name}.log").read_text()
                run.wrong.append(f"{name} ended and was started again; its log ends:\n{log[-3000:]}")
    print("\n".join(run.wrong[:20]) or "nothing wrong")
    sys.exit(1 if run.wrong else 0)


def _fill_what_is_bounded(client: httpx.Client, luck: random.Random) -> None:
    for _ in range(MOST_RESPONSES):
        asked = {"model": _DEFAULT, "input": _word(luck), "max_output_tokens": 1}
        client.post("/v1/responses", json=asked).raise_for_status()


def _word(luck: random.Random) -> str:
    return "".join(luck.choices(string.ascii_letters + "äöü漢字🙂", k=luck.randint(3, 200)))


def _tracebacks(program: str, log: str) -> list[str]:
    """Find what failed without any client hearing of it, such as one that had left."""
    _, *parts = log.split("Traceback (most recent call last):")
    return [f"{program} wrote a traceback: {part[:3000]}" for part in parts[:5]]


def _fuzz(run: Run, seed: int, *, rounds: int | None = None) -> None:
    """Send requests of every kind in turn, until the time is over."""
    luck = random.Random(seed)
    all_known = operations(within_reach(read_document()))
    known = [operation for operation in all_known if not operation.path.startswith(_MANAGE)]
    done = 0
    while not run.is_over and done != rounds:
        _send_generated(run, known[done % len(known)], seed + done)
        for _ in range(_ROUND):
            run.post("broken fields", *odd_request(luck))
            run.post("raw bytes", luck.choice(list(BODIES)), _raw(luck))
        for _ in range(_LONG_ROUND):
            _go_on(run, luck)
        for kind, make in KINDS.items():
            count = _HOSTILE_ROUND if kind not in LARGE else done % _LARGE_ROUNDS == 0
            for _ in range(count):
                run.exchange(kind, make(luck))
        done += 1


def _go_on(run: Run, luck: random.Random) -> None:
    """Ask on in one of the long conversations, or begin it anew where it is too long."""
    which = luck.randrange(_LONG)
    said = run.conversations.get(which, "")
    said = said if len(said.encode()) < _LONG_MOST - _LONG_TURN else ""
    while len(said.encode()) < _LONG_TURN or luck.random() < 0.5:
        said += " " + _word(luck)
    run.conversations[which] = said
    body = {
        "model": _CHATTING[which % len(_CHATTING)],
        "messages": [{"role": "user", "content": said}],
        "max_tokens": 4,
        "stream": luck.random() < 0.3,
    }
    run.post("long conversations", "/v1/chat/completions", json.dumps(body).encode())


class _Beside(threading.Thread):
    """Another client, that asks /healthz all the time."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.slowest_s = 0.0
        self.failed: list[str] = []
        self._url = url

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=_TIMEOUT_S) as client:
            while True:
                began = time.monotonic()
                try:
                    client.get("/healthz").raise_for_status()
                except httpx.HTTPError as exc:
                    self.failed.append(f"GET /healthz, beside the others: {exc!r}")
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                time.sleep(_BESIDE_PAUSE_S)


def _send_generated(run: Run, operation: Operation, number: int) -> None:
    send_cases(
        operation, lambda case: run.send("allowed by schema", case), count=_ROUND, number=number, valid=True
    )
    if operation.method == "post":
        send_cases(
            operation,
            lambda case: run.send("against schema", case),
            count=_ROUND,
            number=number,
            valid=False,
        )


def _raw(luck: random.Random) -> bytes:
    """Make bytes: of any kind, or of those that JSON is made of."""
    length = luck.choice((0, 1, 7, 60, 400, 5000))
    if luck.random() < 0.5:
        return luck.randbytes(length)
    return bytes(luck.choice(b'{}[]",:\\u0d8 1e9-.ntf\xff\x00') for _ in range(length))


@contextmanager
def _server() -> Iterator[Server]:
    """Run a server on folders and a port of its own, with every kind of tiny model."""
    with tempfile.TemporaryDirectory(prefix="lai-") as home:
        settings = {
            "LOCAL_AI_MODEL__PATH": _DEFAULT,
            "LOCAL_AI_ENGINE__PROMPT_CACHE_MB": str(_REMEMBERED_MB),
            "LOCAL_AI_CACHE__DISK": str(_ON_DISK_GB),
            "LOCAL_AI_ALIASES": f"{WILDCARD} = {_DEFAULT}",
        }
        server = Server(Path(home), free_port(), settings)
        server.paths.models_dir.mkdir(parents=True)
        fill_with_tiny_models(server.paths.models_dir)
        try:
            server.start()
            yield server
        finally:
            end(server)


def _memory(server: Server) -> dict[str, float]:
    """Resident memory by program, in MB: as it is, and once every model is unloaded."""
    found = _at_rest(server)
    done = server.run("models.unload")
    assert done.returncode == 0, done.stderr
    return found | {name + _UNLOADED: taken for name, taken in _at_rest(server).items()}


def _at_rest(server: Server) -> dict[str, float]:
    time.sleep(_REST_S)
    found = {}
    for name, title in _PROGRAMS.items():
        taken = psutil.Process(server.pid_of(name)).memory_info()
        found[title] = taken.rss / 1e6
        if hasattr(taken, "shared"):
            found[title + _ANONYMOUS] = (taken.rss - taken.shared) / 1e6
    return found


def _words(memory: dict[str, float]) -> str:
    return "; ".join(f"{what} {taken:.1f} MB" for what, taken in memory.items())


def _print(run: Run, memory: Sequence[dict[str, float]], *, minutes: float) -> None:
    statuses = sorted({status for tally in run.kinds.values() for status in tally.statuses})
    print(f"{minutes:.1f} minutes, {sum(t.statuses.total() for t in run.kinds.values())} requests\n")
    print(f"| requests | all | {' | '.join(map(str, statuses))} | slowest |")
    print("|---" * (len(statuses) + 3) + "|")
    for kind, tally in run.kinds.items():
        counts = " | ".join(str(tally.statuses[status]) for status in statuses)
        print(f"| {kind} | {tally.statuses.total()} | {counts} | {tally.slowest_s:.2f} s |")
    print(f"\n| memory, MB | start | {' | '.join(f'{n}/{_PARTS}' for n in range(1, _PARTS + 1))} |")
    print("|---" * (_PARTS + 2) + "|")
    for what in memory[0]:
        print(f"| {what} | {' | '.join(f'{each[what]:.0f}' for each in memory)} |")
    slowest = max(run.kinds.values(), key=lambda tally: tally.slowest_s)
    print(f"\nslowest: {slowest.slowest}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, help="send the same so many rounds in each part")
    return parser.parse_args()


if __name__ == "__main__":
    main()
