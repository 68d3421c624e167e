"""Agents' conversations over 2 to 1,000 machines that have one model: a simulation of where they go.

    uv run python benchmarks/replicas.py [--machines 2,8,64,1000] [--turns 10000] [--svg FILE] [--json]

Routes with the gateway's own code (`local_ai.gateway.peers.affinity`), beside the least busy machine and one
by chance. Each machine reads one prompt at a time, remembers what it read, and generates several answers at
once. Printed for each: the share of prompt tokens that were read although some machine had read them before,
and the time to the first token. The shape of the conversations is `SHAPE`; no machine is measured here.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import random
import statistics
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clock import say
from benchmarks.plot import as_svg
from benchmarks.report import as_markdown
from benchmarks.samples import Samples, What
from local_ai.gateway.peers.affinity import Affinity, Place, beginnings_of

AFFINITY, LEAST_BUSY, BY_CHANCE = "local-ai: by its beginning", "least busy", "by chance"
_ROUTES = (AFFINITY, LEAST_BUSY, BY_CHANCE)


@dataclass(frozen=True)
class Shape:
    """Conversations of coding agents, and the machines that answer them."""

    kinds: int = 5  # of agents, each with a system prompt of its own
    head_tokens: int = 12_000  # of system prompt and tools
    turns: int = 24  # of a conversation, on the average
    turn_tokens: int = 700  # that each adds, on the average: results of tools and the answer
    answer_tokens: int = 150
    tool_s: float = 6.0  # between an answer and the next turn, on the average
    conversations: int = 4  # open at once, for each machine
    read_per_s: float = 1_000.0  # tokens of prompts that a machine reads
    generated_per_s: float = 40.0  # tokens of one answer
    remembered: int = 400_000  # tokens that a machine remembers
    at_once: int = 16  # answers


SHAPE = Shape()


@dataclass
class Conversation:
    """One conversation, as far as it has come."""

    number: int
    kind: int
    left: int  # turns
    tokens: int  # of its prompt
    texts: list[dict[str, str]] = field(default_factory=list)


class Machine:
    """One machine: the beginnings that it has read, and the time until which it reads."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._remembered: OrderedDict[str, int] = OrderedDict()
        self._held = 0
        self.reads_until = 0.0
        self.load = 0

    def read(self, now: float, conversation: Conversation) -> tuple[int, float]:
        """Read a prompt; returns how many tokens of it were read, and when its first token comes."""
        own, kind = f"c{conversation.number}", f"k{conversation.kind}"
        known = max(self._remembered.get(own, 0), self._remembered.get(kind, 0))
        read = conversation.tokens - known
        self._remember(kind, self._shape.head_tokens)
        self._remember(own, conversation.tokens)
        self.reads_until = max(now, self.reads_until) + read / self._shape.read_per_s
        return read, self.reads_until + 1 / self._shape.generated_per_s

    def _remember(self, key: str, tokens: int) -> None:
        self._held += tokens - self._remembered.pop(key, 0)
        self._remembered[key] = tokens
        while self._held > self._shape.remembered:
            self._held -= self._remembered.popitem(last=False)[1]


@dataclass(frozen=True)
class Result:
    """One run."""

    read_twice: float  # share of all prompt tokens that some machine had read before, and one read again
    first_s: tuple[float, ...]  # to the first token of each turn


class Fleet:
    """Machines with one model, and the conversations that are open."""

    def __init__(self, machines: int, route: str, shape: Shape, *, seed: int) -> None:
        self._chance = random.Random(seed)  # of the conversations
        self._pick = random.Random(seed + 1)  # of the way
        self._route, self._shape = route, shape
        self._machines = [Machine(shape) for _ in range(machines)]
        self._places = [Place(str(number), 0) for number in range(machines)]
        self._affinity = Affinity()
        self._numbers = itertools.count()
        self._seen: dict[int, int] = {}  # tokens of each conversation that some machine has read
        self._heads: dict[int, int] = {}  # and of each kind's beginning

    def run(self, turns: int) -> Result:
        """Answer so many turns."""
        shape, order = self._shape, itertools.count()
        events: list[tuple[float, int, Conversation | None, int]] = []
        for _ in range(shape.conversations * len(self._machines)):
            began = self._chance.uniform(0, shape.tool_s + 20)
            heapq.heappush(events, (began, next(order), self._new(), -1))
        sent = again = 0
        first: list[float] = []
        while len(first) < turns:
            now, _, conversation, done_at = heapq.heappop(events)
            if done_at >= 0:
                self._change(done_at, -1)
            if conversation is None:
                continue
            at = self._choose(conversation)
            read, first_at = self._machines[at].read(now, conversation)
            sent += conversation.tokens
            again += max(0, read - self._unseen(conversation))
            first.append(first_at - now)
            self._change(at, 1)
            ends = first_at + shape.answer_tokens / shape.generated_per_s
            heapq.heappush(events, (ends, next(order), None, at))
            pause = self._chance.expovariate(1 / shape.tool_s)
            heapq.heappush(events, (ends + pause, next(order), self._next(conversation), -1))
        warm = len(first) // 4  # until the first system prompts have been read
        return Result(again / sent, tuple(first[warm:]))

    def _new(self) -> Conversation:
        shape, number = self._shape, next(self._numbers)
        kind = self._chance.randrange(shape.kinds)
        turns = max(1, round(self._chance.expovariate(1 / shape.turns)))
        tokens = shape.head_tokens + self._added()
        texts = [{"role": "system", "content": str(kind)}, {"role": "user", "content": str(number)}]
        return Conversation(number, kind, turns, tokens, texts)

    def _next(self, before: Conversation) -> Conversation:
        if before.left <= 1:
            return self._new()
        texts = [*before.texts, {"role": "assistant", "content": str(before.left)}]
        return Conversation(before.number, before.kind, before.left - 1, before.tokens + self._added(), texts)

    def _added(self) -> int:
        """Draw how much a turn adds: most add little, a few a whole file."""
        return round(self._chance.lognormvariate(0, 1) * self._shape.turn_tokens / 1.65)

    def _unseen(self, conversation: Conversation) -> int:
        """Return how many tokens of a prompt no machine has read."""
        known = self._seen.get(conversation.number, self._heads.get(conversation.kind, 0))
        self._seen[conversation.number] = conversation.tokens
        self._heads[conversation.kind] = self._shape.head_tokens
        return conversation.tokens - known

    def _choose(self, conversation: Conversation) -> int:
        if self._route == BY_CHANCE:
            return self._pick.randrange(len(self._machines))
        if self._route == LEAST_BUSY:
            return int(self._affinity.choose((), self._places).name)
        beginnings = beginnings_of("m", {"messages": conversation.texts})
        place = self._affinity.choose(beginnings, self._places)
        self._affinity.note(beginnings, place.name)
        return int(place.name)

    def _change(self, at: int, by: int) -> None:
        machine = self._machines[at]
        machine.load += by
        self._places[at] = Place(str(at), machine.load, is_full=machine.load >= self._shape.at_once)


def simulate(machines: list[int], turns: int) -> Iterator[tuple[int, str, Result]]:
    """Run each number of machines with each way to choose one; the conversations are drawn alike."""
    for count in machines:
        for route in _ROUTES:
            say(f"{count} machines, {route}")
            yield count, route, Fleet(count, route, SHAPE, seed=count).run(max(turns, 20 * count))


def main() -> None:
    """Simulate, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--machines", default="2,8,64,1000", help="how many, of each run")
    parser.add_argument("--turns", type=int, default=10_000, help="at least, of each run")
    parser.add_argument("--svg", type=Path, help="file of the picture")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    samples, found = Samples(), []
    for count, route, result in simulate([int(each) for each in words.machines.split(",")], words.turns):
        suite = f"{count} machines"
        twice = What(suite, f"prompt tokens read twice, {suite}", "%", AFFINITY)
        samples.add(twice, route, 100 * result.read_twice)
        samples.add(
            What(suite, f"time to the first token, {suite}", "s", AFFINITY), route, *_quartered(result)
        )
        found.append(_as_json(count, route, result))
    facts = {"date": "simulated", "processor": f"{SHAPE.conversations} conversations a machine"}
    if words.svg:
        words.svg.write_text(as_svg(samples.rows(), facts, title="One model on several machines"))
    print(json.dumps(found, indent=2) if words.json else as_markdown(samples.rows(), facts, {}))


def _quartered(result: Result) -> list[float]:
    """Return quartiles, which have the same spread as all."""
    return [min(result.first_s), *statistics.quantiles(result.first_s, n=4), max(result.first_s)]


def _as_json(count: int, route: str, result: Result) -> dict[str, Any]:
    hundredths = statistics.quantiles(result.first_s, n=100)
    return {
        "machines": count,
        "route": route,
        "read_twice": result.read_twice,
        "first_s": {"p50": hundredths[49], "p95": hundredths[94], "p99": hundredths[98]},
    }


if __name__ == "__main__":
    main()
