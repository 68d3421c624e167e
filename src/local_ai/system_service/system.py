"""The system's own tools for services, and what they tell of one."""

import subprocess
from dataclasses import dataclass

from local_ai.errors import LocalAIError

_LONGEST_S = 120.0  # a stop lets running answers finish


@dataclass(frozen=True)
class ServiceState:
    """The state of the service, as the system tells it."""

    is_active: bool  # its process runs
    starts_by_itself: bool  # at login or boot
    pid: int | None  # of the start that stays in the foreground


def run_tool(*words: str) -> str:
    """Run a tool of the system; return what it printed.

    Raises:
        LocalAIError: It is missing, failed, or did not end.
    """
    line = " ".join(words)
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except FileNotFoundError as exc:
        raise _failed(line, f"there is no {words[0]} on this machine") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise _failed(line, str(exc)) from exc
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise _failed(line, said[-1] if said else f"exit code {done.returncode}")
    return done.stdout


def _failed(line: str, reason: str) -> LocalAIError:
    return LocalAIError(
        "the system's service manager did not do what was asked",
        why=f"{line}: {reason}",
        fix="run this as the user who logs in, in a session of your own (not with sudo, nor in a container)",
    )
