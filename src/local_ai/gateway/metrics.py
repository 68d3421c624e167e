"""The metrics for Prometheus: counts and times of requests, and the server's present state.

Models are named only where they have answered, and only so many: a client can ask for any name, an alias with
a wildcard lets any answer, and each name would be a new series.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from local_ai.serving.dialects import Dialect
from local_ai.status.health import PeerHealth, PeerState

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from local_ai.status.report import Report

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_UNNAMED = ""
_MOST_NAMED = 50


@dataclass(frozen=True)
class Outcome:
    """The end of a request: one word for counting, and a sentence for the log."""

    kind: str  # answered | refused | failed | queue_full | cut | client_left
    text: str


class Metrics:
    """The counters of one gateway."""

    def __init__(self) -> None:
        self._answered: set[str] = set()

    def load(self) -> None:
        """Import what counts (0.1 s), before the first request waits for it."""
        _ = self._counters

    def record(
        self, dialect: Dialect, model: str | None, outcome: Outcome, *, seconds: float, first_s: float | None
    ) -> None:
        """Count a request that has ended.

        Args:
            seconds: From its arrival to its end.
            first_s: From its arrival to the first part of its answer; None if none came.
        """
        if outcome.kind == "answered" and model and len(self._answered) < _MOST_NAMED:
            self._answered.add(model)
        family, name = dialect.family, model if model in self._answered else _UNNAMED
        counters = self._counters
        counters.requests.labels(family, name, outcome.kind).inc()
        counters.seconds.labels(family, name).observe(seconds)
        if first_s is not None:
            counters.first.labels(family, name).observe(first_s)

    def render(self, report: Report) -> bytes:
        """Return the text that Prometheus reads."""
        from prometheus_client import CollectorRegistry, generate_latest

        now = CollectorRegistry()
        now.register(_Now(report))
        return generate_latest(self._counters.registry) + generate_latest(now)

    @cached_property
    def _counters(self) -> _Counters:
        return _Counters()


class _Counters:
    """Counts and times of requests."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self.registry = CollectorRegistry()
        by = ("family", "model")
        times = partial(Histogram, labelnames=by, buckets=_SECONDS, registry=self.registry)
        self.requests = Counter(
            "local_ai_requests", "Requests by how they ended.", (*by, "outcome"), registry=self.registry
        )
        self.first = times("local_ai_first_token_seconds", "From arrival to the first part of the answer.")
        self.seconds = times("local_ai_request_seconds", "From arrival to the end of the answer.")


class _Now:
    """A report as metrics."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """Yield what the report says."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        report = self._report
        yield InfoMetricFamily("local_ai_build", "Version of local-ai.", {"version": report.version})
        yield GaugeMetricFamily("local_ai_ready", "1 if the engine can answer.", int(report.is_ready))
        if report.queue:
            yield GaugeMetricFamily("local_ai_requests_running", "Let in.", report.queue.running)
            yield GaugeMetricFamily("local_ai_requests_waiting", "In line.", report.queue.waiting)
            yield GaugeMetricFamily(
                "local_ai_longest_wait_seconds", "Of the first in the queue.", report.queue.longest_wait_s
            )
            yield from _of_peers(report.queue.peers)
        restarts = CounterMetricFamily("local_ai_restarts", "Unexpected ends.", labels=("program",))
        memory = GaugeMetricFamily("local_ai_memory_bytes", "Resident memory.", labels=("program",))
        for row in report.programs:
            restarts.add_metric((row.name,), row.restarts)
            if row.memory_bytes is not None:
                memory.add_metric((row.name,), row.memory_bytes)
        yield restarts
        yield memory
        yield from self._ranks(GaugeMetricFamily)
        yield from self._tokens(CounterMetricFamily)

    def _ranks(self, family: Any) -> Iterator[Metric]:
        ranks = self._report.engine.ranks if self._report.engine else ()
        if not ranks:
            return
        labels = ("rank", "host")
        memory = family("local_ai_rank_memory_bytes", "Memory that a rank holds.", labels=labels)
        silence = family("local_ai_rank_silent_seconds", "Since a rank's last sign of life.", labels=labels)
        for each in ranks:
            silence.add_metric((str(each.rank), each.host), each.heard_s)
            if each.memory_bytes is not None:
                memory.add_metric((str(each.rank), each.host), each.memory_bytes)
        yield memory
        yield silence

    def _tokens(self, family: Any) -> Iterator[Metric]:
        tokens = family("local_ai_tokens", "Since the engine started.", labels=("model", "kind"))
        engine = self._report.engine
        counts: collections.Counter[tuple[str, str]] = collections.Counter()
        for number, (model, of_model) in enumerate(engine.tokens.items() if engine else ()):
            for kind, count in of_model.items():
                counts[model if number < _MOST_NAMED else _UNNAMED, kind] += count
        for labels, count in counts.items():
            tokens.add_metric(labels, count)
        yield tokens


def _of_peers(peers: Sequence[PeerHealth]) -> Iterator[Metric]:
    """Yield what is known of the peers, as many as the settings have."""
    from prometheus_client.core import GaugeMetricFamily

    ready = GaugeMetricFamily("local_ai_peer_ready", "1 if it can be asked.", labels=("peer",))
    running = GaugeMetricFamily("local_ai_peer_requests_running", "That it has from here.", labels=("peer",))
    waiting = GaugeMetricFamily("local_ai_peer_requests_waiting", "In line here for it.", labels=("peer",))
    for peer in peers:
        ready.add_metric((peer.name,), int(peer.state is PeerState.READY))
        running.add_metric((peer.name,), peer.running)
        waiting.add_metric((peer.name,), peer.waiting)
    yield from (ready, running, waiting) if peers else ()
