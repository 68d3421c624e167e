"""Report → what the page's template shows, in words. Pure. `status.js` writes later reports the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.entry import as_called
from local_ai.gateway.web.network_address import qr_code
from local_ai.gateway.web.snippets import Snippet, commands, snippets
from local_ai.models.catalog import STARTER_ID
from local_ai.status.figures import in_words, size_in_words
from local_ai.status.health import MarkedModel, Queue, QueuedRequest, RequestState
from local_ai.status.report import ProgramStatus, Report
from local_ai.status.verdict import Health, Readiness
from local_ai.supervision.program import ProcessState

if TYPE_CHECKING:
    from local_ai.models.catalog import Model
    from local_ai.settings.schema import GenerationSettings, LocalAISettings

# Shape as well as colour and word: a state must be told apart without seeing colours.
MARKS = {
    "healthy": "✓",
    "ready": "✓",
    "busy": "◐",
    "starting": "…",
    "unhealthy": "✕",
    "unknown": "?",
    "stopped": "■",
    "running": "▸",
    "waiting": "…",
    "held": "■",
}

Script = Mapping[str, Mapping[str, str]]  # the texts that the page's JavaScript has, too: by view and name


# The shapes of the rows that page.js fills.
_NO_PROGRAM = ProgramStatus("", ProcessState.UNKNOWN, Readiness.UNKNOWN, "", None, None, 0, None, Path())
_NO_REQUEST = QueuedRequest("", "", None, RequestState.WAITING, None, 0.0, streams=False)


@dataclass(frozen=True)
class View:
    """The values that the template shows."""

    report: Report
    mark: str
    snippets: tuple[Snippet, ...]
    commands: tuple[Snippet, ...]  # of clients
    qr_code: str  # SVG of the address for other machines; "" where there is none
    network_url: str
    model: str  # shown in the snippets
    generation: GenerationSettings  # of that model
    context_tokens: int | None  # of that model
    needs_key: bool  # whether the server asks for an API key
    fix: str  # without the command that ends it
    command: str
    live: str  # figures of this moment
    starter: str  # id of the model that comes with local-ai
    status_command: str  # what the page names where an answer fails
    start_command: str  # what it names once the gateway does not answer
    trouble_lines: tuple[str, ...]
    queue_words: str
    requests: tuple[QueuedRequest, ...]
    marked: tuple[MarkedModel, ...]
    marks: Mapping[str, str] = field(default_factory=lambda: MARKS)
    no_program: ProgramStatus = _NO_PROGRAM
    no_request: QueuedRequest = _NO_REQUEST


def make_view(
    report: Report,
    settings: LocalAISettings,
    default: Model | None,
    texts: Script,
    *,
    log_lines: Sequence[str] = (),
    network_url: str = "",
) -> View:
    """Put a report into the page's words.

    Args:
        default: The default model.
        texts: In the visitor's language.
        log_lines: The last lines of the log that `failing_program` names.
        network_url: The address for other machines, if they reach the server.
    """
    needs_key = bool(settings.server.api_keys)
    queue = report.queue
    return View(
        report=report,
        mark=MARKS[report.verdict.health.value],
        snippets=snippets(
            openai_url=report.openai_url, anthropic_url=report.anthropic_url, needs_key=needs_key
        ),
        commands=commands(),
        qr_code=qr_code(network_url) if network_url else "",
        network_url=network_url,
        model=report.default_model or "MODEL",
        generation=settings.generation.of_model(default.own if default else None),
        context_tokens=default.context_tokens if default else None,
        needs_key=needs_key,
        fix=as_called(report.verdict.fix),
        command=as_called(report.verdict.command),
        live=_live(report, texts["status"]),
        starter=STARTER_ID,
        status_command=as_called("local-ai server status"),
        start_command=as_called("local-ai server start"),
        trouble_lines=tuple(log_lines),
        queue_words=_queue_words(queue, texts["server"]) if queue else "",
        requests=queue.requests if queue else (),
        marked=queue.marked_models if queue else (),
    )


def _live(report: Report, texts: Mapping[str, str]) -> str:
    """Say in one line what the server holds and has to do."""
    tokens = report.engine.tokens.values() if report.engine else ()
    read, words = sum(counts.get("prompt", 0) for counts in tokens), []
    if report.engine and report.engine.model not in (None, report.default_model):
        words.append(texts["in_memory"].format(model=report.engine.model))
    if read:
        reused = sum(counts.get("cached", 0) for counts in tokens)
        words.append(texts["reused"].format(percent=f"{100 * reused / read:.0f}"))
    if memory := sum(program.memory_bytes or 0 for program in report.programs):
        words.append(texts["memory"].format(size=size_in_words(memory)))
    if (queue := report.queue) and queue.running + queue.waiting:
        words.append(texts["queue"].format(running=queue.running, waiting=queue.waiting))
    return " · ".join(words)


def failing_program(report: Report) -> str:
    """Name the program whose log explains the verdict: the one whose file it points to, else ""."""
    if report.verdict.health not in {Health.UNHEALTHY, Health.UNKNOWN}:
        return ""
    return next((row.name for row in report.programs if str(row.log) == report.verdict.see), "")


def _queue_words(queue: Queue, texts: Mapping[str, str]) -> str:
    words = [
        texts["queue"].format(
            running=queue.running,
            max_running=queue.max_concurrency,
            waiting=queue.waiting,
            max_waiting=queue.max_queue,
        )
    ]
    if queue.waiting:
        words.append(texts["longest"].format(time=in_words(queue.longest_wait_s)))
    listed = [request for request in queue.requests if request.state is not RequestState.HELD]
    if (more := queue.running + queue.waiting - len(listed)) > 0:
        words.append(texts["not_listed"].format(count=more))
    return "; ".join(words) + "."
