"""Kill the engine and the gateway under load, for some time: what was answered, refused, lost, given twice?

    uv run python benchmarks/soak.py [--minutes 10] [--clients 8] [--engine-s 20] [--gateway-s 60]
    uv run python benchmarks/soak.py --chaos [--seed N] [--minutes 10] [--clients 8]
    uv run python benchmarks/soak.py --several [--engine-s 0 --gateway-s 0 | --chaos] [--clients 4] [--meddle]

A real server with a tiny model; clients that ask in all three dialects, whole and streamed, each time
something new, and that try again as SDKs do where the answer says so or the connection broke. The engine and
the gateway are SIGKILLed in turns. Lost: a request that has no answer after two minutes of tries, or whose
connection broke although the gateway was not killed. Given twice: an answer with more than one end, or more
text than it may have, or more answers generated to their end than could be lost on their way. Exit code 1 if
there was any.

With --chaos, one of these happens at random every 2 to 12 s: the engine gets SIGKILL or SIGTERM, the gateway
SIGKILL, supervisord SIGKILL and then a server.start, or one of the three is paused for 0.5 to 8 s. The
clients then ask what an undisturbed server has answered before, at temperature 0, so that each answer is
known. Mixed up: an answer that is not the one to its request. Innocent refused: any 422. Exit code 1 if there
was any of these. Waits are scaled to the machine.

With --several there are two models that generate text and one that sees, a small memory for prompts, and
the disk cache. Each client asks both models, some prompts are long enough for the disk, and one more client
shows pictures; each answer is known, as with --chaos. With --engine-s 0 --gateway-s 0 nothing is killed,
which shows the memory by its parts over the whole run.

With --meddle there are three models that generate text, and memory for two of them; every few seconds one is
pinned for a while, unloaded, kept no longer (Ollama's keep_alive 0), all are unloaded, remembered prompts on
disk are removed, texts are embedded, and a fourth model is asked, unloaded and removed.

With --gateway-s 0 the gateway is left alone, which shows its memory over a longer life.

The engine's own crash limit is raised for the run (engine.max_crashes): by default three within five minutes
stop it.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import io
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
import psutil
from tests.server import Server, end, free_port
from tests.tiny_model import make_tiny_model
from tests.waits import scaled

from benchmarks.chaos import DEEDS, Chaos, processes
from benchmarks.dialects import (
    CHAT,
    MODELS,
    TOKENS,
    WAYS,
    WHOLE,
    Broken,
    Cut,
    Innocent,
    Refused,
    Way,
    model_name,
    read_whole,
)
from benchmarks.meddling import Meddler
from local_ai.status.probe import probe_engine
from local_ai.supervision.program import ENGINE, GATEWAY, SUPERVISORD

_LOST_AFTER_S = 120.0
_TRY_PAUSE_S = 0.5
# A killed gateway answers again within this time; a connection lost at any other is one too many.
_GATEWAY_BACK_S = 20.0
_TIMEOUT_S = 120.0
_LOST_ON_ITS_WAY = "connection lost (the gateway was killed), asked again"
_ENDS_ENGINE = [str(deed) for deed in DEEDS if deed.ends and deed.program in {ENGINE, SUPERVISORD}]
# Parts of the memory beside the programs.
_BELOW, _ON_DISK = "processes below the engine", "prompts on disk"
# With --chaos and --several: prompts of each client.
_PROMPTS = 12
_TRAIN = (
    "import sys; from pathlib import Path; from tests.seeing_model import train_seeing_model; "
    "train_seeing_model(Path(sys.argv[1]))"
)
_LOOKS = 6  # at the memory, after the first
# With --several: as many tokens as the disk cache asks for, and some.
_LONG = "".join(f" Rule {n}: the red fox jumps over the lazy dog." for n in range(65))
_SEVERAL = {
    "LOCAL_AI_CACHE__DISK": "0.2",
    "LOCAL_AI_ENGINE__PROMPT_CACHE_MB": "4",
    "LOCAL_AI_MODEL__PATH": "one",
}

# With --meddle: three models of 84 MB; two of them, their conversations and what a step takes for a moment.
_WIDE = 1024
_MEDDLED = {"LOCAL_AI_MODELS__BUDGET": "0.235"}

# The answer to each prompt, by its dialect's path and itself.
Known = dict[tuple[str, str], str]


@dataclass
class Tally:
    """What the clients met."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answered: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)  # of what was tried again, or ended a request
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    innocent: list[str] = field(default_factory=list)  # refused with 422
    longest_s: float = 0.0
    longest: str = ""  # its tries
    began: float = field(default_factory=time.monotonic)
    gateway_killed: list[float] = field(default_factory=list)  # time.monotonic()
    deeds: list[str] = field(default_factory=list)  # with --chaos, in their order

    def broke(self, reason: str) -> None:
        """Note a connection that broke."""
        now = time.monotonic()
        if any(killed <= now <= killed + scaled(_GATEWAY_BACK_S) for killed in self.gateway_killed):
            self.count(_LOST_ON_ITS_WAY)
        else:
            self.fail(self.lost, f"connection lost although the gateway was not killed: {reason}")

    def fail(self, failures: list[str], reason: str) -> None:
        """Note a failure, and when it was."""
        with self.lock:
            failures.append(f"at {time.monotonic() - self.began:.1f} s: {reason}")

    def note(self, deed: str) -> None:
        """Note what was done to the server; more than the gateway's own end closes its connections."""
        self.count(deed)
        with self.lock:
            self.deeds.append(f"at {time.monotonic() - self.began:.1f} s: {deed}")
            if not deed.startswith(ENGINE):
                self.gateway_killed.append(time.monotonic())

    def count(self, kind: str) -> None:
        with self.lock:
            self.kinds[kind] += 1

    def end(self, name: str, began: float, tries: list[str]) -> None:
        """Note an answer, and how it came to it where no other took as long."""
        took_s = time.monotonic() - began
        with self.lock:
            self.answered[name] += 1
            if took_s > self.longest_s:
                self.longest_s = took_s
                self.longest = f"{name}, from {began - self.began:.1f} s on: {'; '.join(tries) or 'one try'}"


def main() -> None:
    """Run, print, and exit 1 if anything was lost, mixed up, refused without reason or given twice."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the server ends with it
    models = MODELS[: 3 if options.meddle else 2] if options.several else ()
    with _server(models) as server:
        texts = [
            _several_prompts(client, models) if models else _own_prompts(client)
            for client in range(options.clients)
        ]
        known = _learn(server, texts, alike=options.several) if options.chaos or options.several else {}
        before = _generated(server)
        tally = Tally()
        chaos = Chaos(server, options.seed, tally.note)
        meddler = Meddler(server, models, options.seed, tally.count) if options.meddle else None
        stop, clients_stop = threading.Event(), threading.Event()
        memory = [_memory(server)]
        clients = [
            threading.Thread(
                target=_ask_until,
                args=(clients_stop, server, tally, number, known, texts[number]),
                daemon=True,
            )
            for number in range(options.clients)
        ]
        if options.several:
            clients.append(
                threading.Thread(target=_show_until, args=(clients_stop, server, tally), daemon=True)
            )
        killers = [
            threading.Thread(target=_kill_every, args=(stop, server, tally, program, seconds), daemon=True)
            for program, seconds in ((ENGINE, options.engine_s), (GATEWAY, options.gateway_s))
            if seconds and not options.chaos
        ] or [threading.Thread(target=chaos.run, args=(stop,), daemon=True)] * options.chaos
        if meddler:
            killers.append(threading.Thread(target=meddler.run, args=(stop,), daemon=True))
        for thread in (*clients, *killers):
            thread.start()
        try:
            for _ in range(_LOOKS):
                stop.wait(options.minutes * 60 / _LOOKS)
                memory.append(_memory(server))
        finally:
            # Nothing may start the server again once it is being ended. It is whole before the clients
            # end, so that none is left with a dead one.
            _join(stop, killers)
            if sys.exc_info()[0] is None:
                _join(clients_stop, clients)
        minutes = (time.monotonic() - tally.began) / 60
        problems = [*chaos.failed_starts, *(meddler.wrong if meddler else ()), *_tracebacks(server)]
        generated = _generated(server) - before
    # An engine that is killed may take one whole answer of each client along, not yet given out.
    killed = sum(tally.kinds[kind] for kind in (f"{ENGINE} killed", *_ENDS_ENGINE)) * options.clients
    if generated > (most := tally.answered.total() + tally.kinds[_LOST_ON_ITS_WAY] + killed):
        tally.twice.append(f"{generated} answers were generated, for {most} requests")
    _print(tally, memory, minutes, generated)
    wrong = [
        f"{kind}: {each}"
        for kind, failures in (
            ("lost", tally.lost),
            ("mixed up", tally.mixed),
            ("innocent refused", tally.innocent),
            ("twice", tally.twice),
            ("problem", problems),
        )
        for each in failures
    ]
    print("\n".join(wrong) or "nothing lost, nothing mixed up, nobody refused, nothing twice, no traceback")
    if tally.deeds:
        print(f"done to the server (seed {options.seed}):", *tally.deeds, sep="\n")
    sys.exit(1 if wrong else 0)


def _join(stop: threading.Event, threads: list[threading.Thread]) -> None:
    stop.set()
    for thread in threads:
        thread.join()


def _learn(server: Server, texts: list[list[str]], *, alike: bool) -> Known:
    """Ask each client's prompts one after another, then all at once; keep those with a sure answer.

    Args:
        alike: Two prompts may have the same one: what is mixed up is then seen in the others alone.
    """
    prompts = list(itertools.chain.from_iterable(texts))
    # By their models: of some, only two can be in memory.
    keys = [(path, text) for text in sorted(prompts, key=model_name) for path in WHOLE]
    with httpx.Client(base_url=server.url, timeout=scaled(_TIMEOUT_S)) as http:

        def ask(key: tuple[str, str]) -> str:
            path, text = key
            while True:
                try:
                    return WHOLE[path](http, text)
                except Refused as exc:
                    if exc.status != 503:
                        raise
                    time.sleep(_TRY_PAUSE_S)

        known = dict(zip(keys, map(ask, keys), strict=True))
        with ThreadPoolExecutor(len(texts)) as pool:
            beside = dict(zip(keys, pool.map(ask, keys), strict=True))
    shared = Counter(known[CHAT, text] for text in prompts)
    unlike = {text for path, text in keys if known[path, text] != beside[path, text]}
    same = {text for text in prompts if shared[known[CHAT, text]] > 1}
    unsure = unlike if alike else unlike | same
    print(f"{len(prompts)} prompts; left out: {len(unlike)} answered unlike, {len(same)} like another")
    assert len(unsure) < len(prompts) / 4
    return {key: answer for key, answer in known.items() if key[1] not in unsure}


def _prompt(client: int, number: int) -> str:
    return f"client {client} asks number {number}"


def _own_prompts(client: int) -> list[str]:
    return [_prompt(client, number) for number in range(_PROMPTS)]


def _several_prompts(client: int, models: tuple[str, ...]) -> list[str]:
    """Write a client's prompts for models in turns, every sixth of them long; see `model_name`."""
    lengths = itertools.cycle([_LONG, "", "", "", "", _LONG])
    return [
        f"{model}: {text}{more and more + text}"
        for model, text, more in zip(itertools.cycle(models), _own_prompts(client), lengths, strict=False)
    ]


def _show_until(stop: threading.Event, server: Server, tally: Tally) -> None:
    """Show pictures, one after the other; the model names their colours."""
    seeing: Any = importlib.import_module("tests.seeing_model")
    colours = itertools.cycle(seeing.COLOURS)

    def picture(http: httpx.Client, url: str) -> str:
        return _picture(http, url, question=seeing.QUESTION)

    with httpx.Client(base_url=server.url, timeout=scaled(_TIMEOUT_S)) as http:
        for seed, colour in enumerate(colours):
            if stop.is_set():
                return
            file = io.BytesIO()
            seeing.colour_picture(colour, seed=seed).save(file, "PNG")
            url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
            answer = _ask(http, picture, url, tally)
            if answer is not None and answer.strip() != seeing.names(colour):
                tally.fail(tally.mixed, f"a picture of {colour}: {answer!r}")


def _picture(http: httpx.Client, url: str, *, question: str) -> str:
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
    body = {
        "model": "seeing",
        "messages": [{"role": "user", "content": parts}],
        "max_tokens": TOKENS,
        "temperature": 0,
    }
    return str(read_whole(http.post(CHAT, json=body))["choices"][0]["message"]["content"])


def _ask_until(
    stop: threading.Event, server: Server, tally: Tally, client: int, known: Known, own: list[str]
) -> None:
    ways = itertools.cycle(WAYS)
    for _ in range(client):
        next(ways)
    texts: Iterator[str] = (_prompt(client, number) for number in itertools.count())
    if known:
        texts = itertools.cycle([text for text in own if (CHAT, text) in known])
    with httpx.Client(base_url=server.url, timeout=scaled(_TIMEOUT_S)) as http:
        for text, (path, way) in zip(texts, ways, strict=False):
            if stop.is_set():
                return
            answer = _ask(http, way, text, tally)
            if known and answer is not None and answer != known[path, text]:
                others = [key[1] for key, other in known.items() if other == answer]
                whose = f"the answer to {others[0]!r}" if others else f"nobody's: {answer!r}"
                reason = f"{_name(way)}: {text!r} got {whose}, not {known[path, text]!r}"
                tally.fail(tally.mixed, reason)


def _name(way: Way) -> str:
    return way.__name__.strip("_").replace("_", ", ")


def _ask(http: httpx.Client, way: Way, text: str, tally: Tally) -> str | None:
    """Ask as an SDK does: again where the connection broke or the answer says so."""
    name, began = _name(way), time.monotonic()
    last = ""
    tries: list[str] = []
    while time.monotonic() - began < scaled(_LOST_AFTER_S):
        try:
            answer = way(http, text)
        except AssertionError as exc:
            tally.fail(tally.twice, f"{name}: {exc}")
            return None
        except Innocent as exc:
            tally.fail(tally.innocent, f"{name}, {text!r}: {exc}")
            return None
        except Cut as exc:
            # It began and ended in words: the client knows, and nothing was promised beyond that.
            last = str(exc)
            tally.count("stream ended by an error event, asked again")
        except Refused as exc:
            last = str(exc)
            if exc.status not in {429, 503}:
                break
            tally.count(f"refused with {exc.status} and Retry-After, asked again")
        except (Broken, httpx.TransportError) as exc:
            last = repr(exc)
            tally.broke(last)
        else:
            tally.end(name, began, tries)
            return answer
        tries.append(f"until {time.monotonic() - began:.1f} s {last}")
        time.sleep(_TRY_PAUSE_S)
    tally.fail(tally.lost, f"{name}, {text!r}, asked for {time.monotonic() - began:.1f} s: {last}")
    return None


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
    """Resident memory by program, models with what they remember, and prompts on disk, in MB."""
    found = {}
    for program, process in processes(server).items():
        with suppress(psutil.NoSuchProcess):  # it ends just now
            found[program] = process.memory_info().rss / 1e6
            below = sum(child.memory_info().rss for child in process.children(recursive=True))
            if program == ENGINE:
                found[_BELOW] = below / 1e6
    health = probe_engine(server.paths.engine_socket)
    for each in health.models if health else ():
        found[f"  of these: {each.id}"] = each.size_bytes / 1e6
    files = server.paths.cache_dir.rglob("*.safetensors")
    found[_ON_DISK] = sum(file.stat().st_size for file in files) / 1e6
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
    return sum(len(re.findall(r" outcome=(?:stop|length)\b", log.read_text())) for log in logs)


@contextmanager
def _server(models: tuple[str, ...]) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="lai-") as home:
        is_meddled = len(models) == len(MODELS)
        more = (_SEVERAL if models else {}) | (_MEDDLED if is_meddled else {})
        server = Server(Path(home), free_port(), {"LOCAL_AI_ENGINE__MAX_CRASHES": "10000"} | more)
        folder = server.paths.models_dir
        folder.mkdir(parents=True)
        if models:
            # In a process of its own: it imports what this one does without.
            subprocess.run(
                [sys.executable, "-c", _TRAIN, str(folder / "seeing")],
                check=True,
                cwd=Path(__file__).parents[1],
            )
            for seed, name in enumerate(models):
                hidden = _WIDE if is_meddled else 64
                make_tiny_model(folder / name, endless=True, seed=seed, hidden=hidden)
        else:
            make_tiny_model(folder / "tiny", endless=True)
        try:
            server.start()
            yield server
        finally:
            end(server)


def _print(tally: Tally, memory: list[dict[str, float]], minutes: float, generated: int) -> None:
    answered = tally.answered.total()
    print(f"{minutes:.1f} minutes\n\n| what | how many |\n|---|---|")
    failed = len(tally.lost) + len(tally.innocent) + len(tally.twice)
    print(f"| requests | {answered + failed} |\n| answered | {answered} |")
    for name, count in sorted(tally.answered.items()):
        print(f"| of these: {name} | {count} |")
    for kind, count in sorted(tally.kinds.items()):
        print(f"| {kind} | {count} |")
    print(f"| answers that the engine generated to their end | {generated} |")
    print(f"| lost | {len(tally.lost)} |\n| mixed up | {len(tally.mixed)} |")
    print(f"| innocent refused | {len(tally.innocent)} |\n| answered twice | {len(tally.twice)} |")
    print(f"| longest wait | {tally.longest_s:.1f} s |\n\nlongest wait: {tally.longest}")
    print(f"\n| memory, MB | {' | '.join(f'{n}/{_LOOKS}' for n in range(len(memory)))} |")
    print(f"|---{'|---' * len(memory)}|")
    for name in dict.fromkeys(name for each in memory for name in each):
        row = " | ".join(f"{each[name]:.1f}" if name in each else "–" for each in memory)
        print(f"| {name} | {row} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--engine-s", type=float, default=20, help="seconds between two kills; 0: never")
    parser.add_argument("--gateway-s", type=float, default=60, help="0: never")
    parser.add_argument("--chaos", action="store_true", help="kill and pause at random, check each answer")
    parser.add_argument("--several", action="store_true", help="two models, one that sees, the disk cache")
    parser.add_argument("--meddle", action="store_true", help="with --several: three models, memory for two")
    parser.add_argument("--seed", type=int, default=1, help="of --chaos and --meddle")
    options = parser.parse_args()
    if options.meddle and not options.several:
        parser.error("--meddle goes with --several")
    return options


if __name__ == "__main__":
    main()
