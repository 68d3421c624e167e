"""Tell a stuck engine from a busy one: ask it for one token, and watch whether it takes any step.

Health can look well for hours while nothing is ever answered. Opt-in: it costs the engine a little work.
"""

import http.client
import json
import time
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from local_ai.status.health import EngineHealth, EngineState
from local_ai.status.probe import probe_engine
from local_ai.status.report import Report
from local_ai.status.verdict import Health, Verdict
from local_ai.unix_http import Answer, exchange

TIMEOUT_S = 30.0


class Finding(Enum):
    """The result of the question."""

    ANSWERED = "answered"
    BUSY = "busy"  # no answer in time, but it works on others
    STUCK = "stuck"  # no answer in time, and it generates nothing
    REFUSED = "refused"
    NOT_ASKED = "not asked"


@dataclass(frozen=True)
class DeepProbe:
    """The result."""

    finding: Finding
    seconds: float
    reason: str = ""

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        return self.text if self.finding is Finding.ANSWERED else f"{self.finding.value}: {self.text}"

    @property
    def text(self) -> str:
        """Say what happened."""
        match self.finding:
            case Finding.ANSWERED:
                return f"one token came in {self.seconds:.2f} s"
            case Finding.BUSY:
                return f"no answer within {self.seconds:.0f} s, but other answers continue"
            case Finding.STUCK:
                return f"no answer within {self.seconds:.0f} s, and it generates nothing"
            case _:
                return self.reason


def deep_probe(report: Report, engine_socket: Path, *, timeout_s: float = TIMEOUT_S) -> DeepProbe:
    """Ask the engine itself, past the queue, for one token of the model it has loaded or would load."""
    model = (report.engine.model if report.engine else None) or report.default_model
    if not report.is_ready:
        return DeepProbe(Finding.NOT_ASKED, 0.0, "the server is not ready")
    if model is None:
        return DeepProbe(Finding.NOT_ASKED, 0.0, "there is no model to ask")
    before, began = probe_engine(engine_socket), time.monotonic()
    try:
        answer = _ask(engine_socket, model, timeout_s)
    except TimeoutError:
        after = probe_engine(engine_socket)
        finding = Finding.BUSY if _moved(before, after) else Finding.STUCK
        return DeepProbe(finding, time.monotonic() - began)
    except (OSError, http.client.HTTPException) as exc:
        reason = f"the engine closed the connection ({exc or type(exc).__name__})"
        return DeepProbe(Finding.REFUSED, time.monotonic() - began, reason)
    took = time.monotonic() - began
    if answer.status == http.HTTPStatus.OK:
        return DeepProbe(Finding.ANSWERED, took)
    return DeepProbe(Finding.REFUSED, took, _message(answer.body) or f"status {answer.status}")


def with_finding(report: Report, probe: DeepProbe) -> Report:
    """Return the report with a verdict that takes the finding into account."""
    if probe.finding not in {Finding.STUCK, Finding.REFUSED}:
        return report
    log = next((str(row.log) for row in report.programs), "")
    words = {Finding.STUCK: "is stuck", Finding.REFUSED: "does not answer"}[probe.finding]
    return replace(
        report,
        verdict=Verdict(
            Health.UNHEALTHY,
            "Failed",
            f"the engine {words}",
            why=probe.text,
            fix="read the log, then run",
            command="local-ai server restart",
            see=log,
        ),
    )


def _ask(engine_socket: Path, model: str, timeout_s: float) -> Answer:
    body = {"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0}
    return exchange(
        engine_socket,
        "/v1/completions",
        timeout_s=timeout_s,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )


def _moved(before: EngineHealth | None, after: EngineHealth | None) -> bool:
    """True if it took a step of generating, or is at loading a model."""
    if after is None:
        return False
    return after.state is EngineState.LOADING or before is None or after.steps > before.steps


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
