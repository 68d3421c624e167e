"""First token and tokens per second, for one and for several clients, in both APIs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.clock import say
from benchmarks.options import Options
from benchmarks.samples import Samples, What
from benchmarks.servers import MLX_LM, Server, servers

FIRST = What("chat", "first token of a short question", "s", MLX_LM)
_CLIENTS = (1, 4, 8, 16)
_TOKENS, _QUICK_TOKENS = 32, 8  # of each answer
_WORDS, _QUICK_WORDS = 2000, 500  # of a long prompt; each is one token of the starter model
_SUBJECTS = ("fox", "river", "clock", "castle", "robot", "garden", "ship", "mountain")


def run(samples: Samples, options: Options) -> None:
    """Ask each question of each server in turns, so that all meet the same load."""
    with servers(options) as (asked, _):
        for number in range(options.rounds):
            for what, measure in _questions(quick=options.quick).items():
                say(f"chat {number + 1}/{options.rounds}: {what.text}")
                for place, server in enumerate(asked):
                    # Two of the names lead to one engine, which remembers prompts: each gets its own.
                    samples.add(what, server.name, measure(server, f"{number}{place}"))
        for server in asked:
            if server.lost:
                samples.absent[server.name] = (
                    f"{len(server.lost)} requests lost their connection, were sent again ({server.lost[0]})"
                )


def _questions(*, quick: bool) -> dict[What, Callable[[Server, str], float]]:
    words, tokens = (_QUICK_WORDS, _QUICK_TOKENS) if quick else (_WORDS, _TOKENS)
    beside = What("chat", f"the same, while a {words:,}-token prompt is read", "s", MLX_LM)
    questions: dict[What, Callable[[Server, str], float]] = {
        FIRST: lambda server, mark: server.first_token_s(f"{mark}: what is 1 and 1?"),
        beside: partial(_beside_a_long_prompt, words=words),
    }
    for clients in _CLIENTS:
        text = f"tokens/s for {clients} client{'s' if clients > 1 else ''}"
        what = What("chat", text, "tokens/s", MLX_LM, more_is_better=True)
        questions[what] = partial(_tokens_per_s, clients=clients, most=tokens)
    return questions


def _tokens_per_s(server: Server, mark: str, *, clients: int, most: int) -> float:
    def ask(client: int) -> int:
        subject = _SUBJECTS[client % len(_SUBJECTS)]
        return server.chat(f"{mark}.{client}: write a long story about a {subject}.", most)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        tokens = sum(pool.map(ask, range(clients)))
    return tokens / (time.perf_counter() - began)


def _beside_a_long_prompt(server: Server, mark: str, *, words: int) -> float:
    """Ask a short question 100 ms after a long one; the long one is waited for afterwards."""
    text = f"{mark}: " + " ".join(_SUBJECTS[i % len(_SUBJECTS)] for i in range(words))
    long = threading.Thread(target=server.first_token_s, args=(text,))
    long.start()
    time.sleep(0.1)
    took = server.first_token_s(f"{mark}: what is 1 and 2?")
    long.join()
    return took
