"""The failures of a start or stop, in words."""

from local_ai.errors import EXIT_INTERRUPTED, LocalAIError, ServerError
from local_ai.settings.paths import Paths
from local_ai.status.report import Report
from local_ai.status.verdict import STOPPING


def interrupted(why: str) -> LocalAIError:
    """Describe a start that was interrupted before supervisord was up; later, a server continues to start."""
    return LocalAIError("interrupted", why=why, command="local-ai server start", exit_code=EXIT_INTERRUPTED)


def supervisord_ended(code: int, paths: Paths) -> ServerError:
    """Describe a supervisord that ended by itself, or by a signal of somebody else's.

    Args:
        code: Its exit code; a signal's number below 0.
    """
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    return ServerError(
        "the server ended",
        why=f"supervisord {how}, and its programs end with it",
        command="local-ai server start",
        see=str(paths.log("supervisord")),
    )


def silent_supervisord(report: Report) -> ServerError:
    """Describe a supervisord that holds its socket but says nothing, or only that it ends."""
    is_ending = report.verdict.word == STOPPING
    state = "has not ended yet" if is_ending else report.verdict.text.removeprefix("supervisord ")
    return ServerError(
        f"supervisord {state} (pid {report.pid or 'unknown'})",
        why=report.verdict.why,
        fix=report.verdict.fix,
        command=report.verdict.command,
        see=report.verdict.see,
        exit_code=4,
    )
