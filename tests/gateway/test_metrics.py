"""What Prometheus reads, read with its own parser."""

from __future__ import annotations

import re

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.gateway.fakes import FakeEngine, FakeSupervisord
from tests.server import wait_until

from local_ai.gateway.metrics import Metrics, Outcome
from local_ai.serving.dialects import Dialect
from local_ai.settings.state import State
from local_ai.status.health import EngineHealth, EngineState
from local_ai.status.report import Report
from local_ai.status.verdict import Health, Verdict

CHAT = "/v1/chat/completions"
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(client: httpx.Client) -> Series:
    text = client.get("/metrics").raise_for_status().text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(series: Series, name: str, **labels: str) -> float:
    return sum(
        value
        for (found, its), value in series.items()
        if found == name and labels.items() <= dict(its).items()
    )


def test_requests_are_counted_by_family_model_and_outcome(client: httpx.Client, engine: FakeEngine) -> None:
    before = read(client)

    client.post(CHAT, json={"model": "tiny"})
    client.post(CHAT, json={"model": "stream", "stream": True})
    client.post("/anthropic/v1/messages", json={"model": "refuse"})

    def rise(name: str, **labels: str) -> float:
        return total(read(client), name, **labels) - total(before, name, **labels)

    # The last one is counted just after its answer.
    wait_until(lambda: rise("local_ai_request_seconds_count") == 3)
    answered = {"family": "openai", "outcome": "answered"}
    assert rise("local_ai_requests_total", model="tiny", **answered) == 1
    assert rise("local_ai_requests_total", model="stream", **answered) == 1
    assert rise("local_ai_requests_total", family="anthropic", outcome="refused") == 1
    assert rise("local_ai_first_token_seconds_count", family="openai") == 2


def test_names_that_never_answered_make_no_series(client: httpx.Client, engine: FakeEngine) -> None:
    client.post(CHAT, json={"model": "refuse"})

    assert all(("model", "refuse") not in labels for _, labels in read(client))


def test_the_server_itself_is_described(client: httpx.Client, state: State, engine: FakeEngine) -> None:
    engine.tokens = {"tiny": {"prompt": 7, "cached": 2, "answer": 3}}

    with FakeSupervisord(state.paths.supervisor_socket).run():
        client.post(CHAT, json={"model": "tiny"})
        series = fresh(client)

    assert total(series, "local_ai_ready") == 1
    assert total(series, "local_ai_tokens_total", model="tiny", kind="answer") == 3
    assert total(series, "local_ai_requests_waiting") == 0
    assert total(series, "local_ai_restarts_total", program="mlx-omni-server") == 0
    assert ("local_ai_memory_bytes", (("program", "welcome-page"),)) not in series  # of a made-up process


def fresh(client: httpx.Client) -> Series:
    """Read what was looked at just now; a report is half a second old at most."""
    return wait_until(lambda: (series := read(client)) and total(series, "local_ai_ready") and series)


def test_any_number_of_names_that_answer_makes_a_bounded_number_of_series() -> None:
    """Under an alias with a wildcard every name answers."""
    metrics = Metrics()
    for number in range(300):
        metrics.record(Dialect.OPENAI, f"name-{number}", Outcome("answered", "200"), seconds=1, first_s=1)
    tokens = {f"name-{number}": {"answer": 1} for number in range(300)}

    text = metrics.render(_report(tokens)).decode()

    assert len(set(re.findall(r'model="([^"]*)"', text))) == 51
    assert 'local_ai_tokens_total{kind="answer",model=""} 250.0' in text
    assert 'local_ai_requests_total{family="openai",model="",outcome="answered"} 250.0' in text


def _report(tokens: dict[str, dict[str, int]]) -> Report:
    return Report(
        verdict=Verdict(Health.HEALTHY, "Ready", "it is"),
        programs=(),
        engine=EngineHealth(EngineState.READY, 0, None, 0, 0, "mlx-lm", None, tokens=tokens),
        host="127.0.0.1",
        port=8080,
        pid=1,
        uptime_s=None,
        models=(),
        default_model=None,
        version="1",
    )
