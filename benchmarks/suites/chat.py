"""First token and tokens per second, for one and for several clients, in both APIs."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.clock import say
from benchmarks.options import Options
from benchmarks.samples import Samples, What
from benchmarks.servers import MLX_LM, Server, servers

FIRST = What("chat", "first token of a short question", "s", MLX_LM)
BESIDE = What("chat", "the same, while a 2,000-token prompt is read", "s", MLX_LM)
_CLIENTS = (1, 4, 8, 16)
_TOKENS = 32
_WORDS = 1800  # about 2,000 tokens of the starter model
_SUBJECTS = ("fox", "river", "clock", "castle", "robot", "garden", "ship", "mountain")


def run(samples: Samples, options: Options) -> None:
    """Ask each server in turns, so that all meet the same load."""
    with servers(options) as (asked, _):
        for number in range(options.rounds):
            for server in asked:
                say(f"chat {number + 1}/{options.rounds}: {server.name}")
                _measure(server, number, samples)


def _measure(server: Server, number: int, samples: Samples) -> None:
    samples.add(FIRST, server.name, server.first_token_s(f"What is {number} and 1?"))
    samples.add(BESIDE, server.name, _beside_a_long_prompt(server, number))
    for clients in _CLIENTS:
        text = f"tokens/s for {clients} client{'s' if clients > 1 else ''}"
        what = What("chat", text, "tokens/s", MLX_LM, more_is_better=True)
        samples.add(what, server.name, _tokens_per_s(server, clients, number))


def _tokens_per_s(server: Server, clients: int, number: int) -> float:
    def ask(client: int) -> int:
        subject = _SUBJECTS[(client + number) % len(_SUBJECTS)]
        return server.chat(f"Story {number}.{client}: write a long story about a {subject}.", _TOKENS)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        tokens = sum(pool.map(ask, range(clients)))
    return tokens / (time.perf_counter() - began)


def _beside_a_long_prompt(server: Server, number: int) -> float:
    """Ask a short question 100 ms after a long one; the long one is waited for afterwards."""
    text = f"{number} " + " ".join(f"{_SUBJECTS[i % 8]} {i}" for i in range(_WORDS // 3))
    long = threading.Thread(target=server.first_token_s, args=(text,))
    long.start()
    time.sleep(0.1)
    took = server.first_token_s(f"What is {number} and 2?")
    long.join()
    return took
