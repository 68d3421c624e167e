"""Kill the engine and the gateway under load, for some time: what was answered, refused, lost, given twice?

    uv run python benchmarks/soak.py [--minutes 10] [--clients 8] [--engine-s 20] [--gateway-s 60]

A real server with a tiny model; clients that ask both families, whole and streamed, each time something new,
and that try again as SDKs do where the answer says so or the connection broke. The engine and the gateway are
SIGKILLed in turns. Lost: a request that has no answer after two minutes of tries, or whose connection broke
although the gateway was not killed. Given twice: an answer with more than one end, or more text than it may
have, or more answers generated to their end than could be lost on their way. Exit code 1 if there was any.

With --gateway-s 0 the gateway is left alone, which shows its memory over a longer life.

The engine's own crash limit is raised for the run (engine.max_crashes): by default three within five minutes
stop it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from tests.server import Server, end, free_port
from tests.tiny_model import make_tiny_model

from local_ai.supervision.program import ENGINE, GATEWAY

_TOKENS = 24
_LOST_AFTER_S = 120.0
_TRY_PAUSE_S = 0.5
# A killed gateway answers again within this time; a connection lost at any other is one too many.
_GATEWAY_BACK_S = 20.0
_TIMEOUT_S = 120.0
_LOST_ON_ITS_WAY = "connection lost (the gateway was killed), asked again"


class _Broken(Exception):
    """The connection ended before the answer did: no error event, no end."""


class _Cut(Exception):
    """A stream that had begun ended with an error event."""


class _Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text[:200]}")
        self.status = status


@dataclass
class Tally:
    """What the clients met."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answered: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)  # of what was tried again, or ended a request
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    gateway_killed: list[float] = field(default_factory=list)  # time.monotonic()

    def broke(self, reason: str) -> None:
        """Note a connection that broke."""
        now = time.monotonic()
        if any(killed <= now <= killed + _GATEWAY_BACK_S for killed in self.gateway_killed):
            self.count(_LOST_ON_ITS_WAY)
        else:
            with self.lock:
                self.lost.append(f"connection lost although the gateway was not killed: {reason}")

    def count(self, kind: str) -> None:
        with self.lock:
            self.kinds[kind] += 1

    def end(self, name: str, began: float) -> None:
        with self.lock:
            self.answered[name] += 1
            self.longest_s = max(self.longest_s, time.monotonic() - began)


def main() -> None:
    """Run, print, and exit 1 if anything was lost or given twice."""
    options = _options()
    with _server() as server:
        tally = Tally()
        stop = threading.Event()
        memory = [_memory(server)]
        clients = [
            threading.Thread(target=_ask_until, args=(stop, server, tally, number))
            for number in range(options.clients)
        ]
        killers = [
            threading.Thread(target=_kill_every, args=(stop, server, tally, program, seconds))
            for program, seconds in ((ENGINE, options.engine_s), (GATEWAY, options.gateway_s))
            if seconds
        ]
        began = time.monotonic()
        for thread in (*clients, *killers):
            thread.start()
        for _ in range(2):
            stop.wait(options.minutes * 30)
            memory.append(_memory(server))
        stop.set()
        for thread in (*clients, *killers):
            thread.join()
        minutes = (time.monotonic() - began) / 60
        problems = _tracebacks(server)
        generated = _generated(server)
    # An engine that is killed may take one whole answer of each client along, not yet given out.
    killed = tally.kinds[f"{ENGINE} killed"] * options.clients
    if generated > (most := tally.answered.total() + tally.kinds[_LOST_ON_ITS_WAY] + killed):
        tally.twice.append(f"{generated} answers were generated, for {most} requests")
    _print(tally, memory, minutes, generated)
    wrong = [*tally.lost, *tally.twice, *problems]
    print("\n".join(wrong[:20]) or "nothing lost, nothing twice, no traceback")
    sys.exit(1 if wrong else 0)


def _ask_until(stop: threading.Event, server: Server, tally: Tally, client: int) -> None:
    ways = itertools.cycle((_chat, _chat_stream, _messages, _messages_stream))
    for _ in range(client):
        next(ways)
    with httpx.Client(base_url=server.url, timeout=_TIMEOUT_S) as http:
        for number in itertools.count():
            if stop.is_set():
                return
            way = next(ways)
            _ask(http, way, f"client {client} asks number {number}", tally)


def _ask(http: httpx.Client, way: Callable[[httpx.Client, str], None], text: str, tally: Tally) -> None:
    """Ask as an SDK does: again where the connection broke or the answer says so."""
    name, began = way.__name__.strip("_").replace("_", ", "), time.monotonic()
    last = ""
    while time.monotonic() - began < _LOST_AFTER_S:
        try:
            way(http, text)
        except AssertionError as exc:
            with tally.lock:
                tally.twice.append(f"{name}: {exc}")
            return
        except _Cut as exc:
            # It began and ended in words: the client knows, and nothing was promised beyond that.
            last = str(exc)
            tally.count("stream ended by an error event, asked again")
        except _Refused as exc:
            last = str(exc)
            if exc.status not in {429, 503}:
                break
            tally.count(f"refused with {exc.status} and Retry-After, asked again")
        except (_Broken, httpx.TransportError) as exc:
            last = repr(exc)
            tally.broke(last)
        else:
            tally.end(name, began)
            return
        time.sleep(_TRY_PAUSE_S)
    with tally.lock:
        tally.lost.append(f"{name}: {last}")


def _chat(http: httpx.Client, text: str) -> None:
    answer = http.post("/v1/chat/completions", json=_body(text))
    body = _whole(answer)
    assert len(body["choices"]) == 1
    assert body["usage"]["completion_tokens"] <= _TOKENS, body


def _messages(http: httpx.Client, text: str) -> None:
    answer = http.post("/anthropic/v1/messages", json=_body(text))
    body = _whole(answer)
    assert body["usage"]["output_tokens"] <= _TOKENS, body


def _chat_stream(http: httpx.Client, text: str) -> None:
    body = _body(text) | {"stream": True, "stream_options": {"include_usage": True}}
    events = list(_events(http, "/v1/chat/completions", body))
    if "[DONE]" not in events:
        raise _Broken("no [DONE]")
    assert events.count("[DONE]") == 1
    parsed = [json.loads(event) for event in events if event != "[DONE]"]
    ids = {event["id"] for event in parsed}
    ends = sum(choice["finish_reason"] is not None for event in parsed for choice in event["choices"])
    assert (len(ids), ends) == (1, 1), f"ids {ids}, ends {ends}"


def _messages_stream(http: httpx.Client, text: str) -> None:
    parsed = [
        json.loads(event) for event in _events(http, "/anthropic/v1/messages", _body(text) | {"stream": True})
    ]
    kinds = Counter(event["type"] for event in parsed)
    if not kinds["message_stop"]:
        raise _Broken("no message_stop")
    assert (kinds["message_start"], kinds["message_stop"]) == (1, 1), kinds


def _whole(answer: httpx.Response) -> Any:
    if answer.status_code != 200:
        raise _Refused(answer.status_code, answer.text)
    return answer.json()


def _events(http: httpx.Client, path: str, body: dict[str, Any]) -> Iterator[str]:
    with http.stream("POST", path, json=body) as answer:
        if answer.status_code != 200:
            answer.read()
            raise _Refused(answer.status_code, answer.text)
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                continue
            event = line.removeprefix("data: ")
            if '"error"' in event and "source" in event:
                raise _Cut(event)
            yield event


def _body(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": _TOKENS}


def _kill_every(stop: threading.Event, server: Server, tally: Tally, program: str, seconds: float) -> None:
    while not stop.wait(seconds):
        pid = _pid(server, program)
        if pid:
            if program == GATEWAY:
                tally.gateway_killed.append(time.monotonic())
            os.kill(pid, signal.SIGKILL)
            tally.count(f"{program} killed")


def _pid(server: Server, program: str) -> int | None:
    line = server.supervisorctl("pid", program).stdout.strip()
    return int(line) if line.isdigit() and line != "0" else None


def _memory(server: Server) -> dict[str, float]:
    """ModelSlot memory, in MB; the gateway's is that of the process that runs just now."""
    found = {}
    for process in server.processes():
        words = " ".join(process.cmdline())
        kind = next(
            (kind for kind in ("supervisord", "gateway", "engine") if f"local_ai.{kind}" in words),
            "supervisord",
        )
        found[kind] = process.memory_info().rss / 1e6
    return found


def _tracebacks(server: Server) -> list[str]:
    return [
        f"a traceback in {log.name}"
        for log in server.paths.logs_dir.iterdir()
        if "Traceback" in log.read_text(errors="replace")
    ]


def _generated(server: Server) -> int:
    """Count the answers that the engine generated to their end, by its log."""
    logs = server.paths.logs_dir.glob(f"{ENGINE}.log*")
    return sum(len(re.findall(r" outcome=(?:stop|length)$", log.read_text(), re.MULTILINE)) for log in logs)


@contextmanager
def _server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="lai-") as home:
        server = Server(Path(home), free_port(), {"LOCAL_AI_ENGINE__MAX_CRASHES": "10000"})
        server.paths.models_dir.mkdir(parents=True)
        make_tiny_model(server.paths.models_dir / "tiny")
        try:
            server.start()
            yield server
        finally:
            end(server)


def _print(tally: Tally, memory: list[dict[str, float]], minutes: float, generated: int) -> None:
    answered = tally.answered.total()
    print(f"{minutes:.1f} minutes\n\n| what | how many |\n|---|---|")
    print(f"| requests | {answered + len(tally.lost) + len(tally.twice)} |\n| answered | {answered} |")
    for name, count in sorted(tally.answered.items()):
        print(f"| of these: {name} | {count} |")
    for kind, count in sorted(tally.kinds.items()):
        print(f"| {kind} | {count} |")
    print(f"| answers that the engine generated to their end | {generated} |")
    print(f"| lost | {len(tally.lost)} |\n| answered twice | {len(tally.twice)} |")
    print(f"| longest wait | {tally.longest_s:.1f} s |")
    print("\n| memory, MB | start | middle | end |\n|---|---|---|---|")
    for name in ("gateway", "supervisord", "engine"):
        row = " | ".join(f"{each[name]:.0f}" if name in each else "–" for each in memory)
        print(f"| {name} | {row} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--engine-s", type=float, default=20, help="seconds from one kill to the next")
    parser.add_argument("--gateway-s", type=float, default=60, help="0: never")
    return parser.parse_args()


if __name__ == "__main__":
    main()
