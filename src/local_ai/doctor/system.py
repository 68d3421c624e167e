"""The settings and where they come from, the clock, open files, the server, its service."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import local_ai
from local_ai.doctor.check import Check, Outcome, Place, ok, warning, wrong
from local_ai.errors import LocalAIError, ServerError
from local_ai.lifecycle.preflight import check_open_files, check_places
from local_ai.settings.load import Loaded
from local_ai.settings.state import own_version
from local_ai.status.verdict import Health
from local_ai.supervision.render import OPEN_FILES
from local_ai.system_service.manage import ServiceReport

_SLACK_S = 120  # between this machine's clock and that of a file server


def settings_check(loaded: Loaded | LocalAIError, place: Place) -> Iterator[Check]:
    """Check the settings."""
    if isinstance(loaded, LocalAIError):
        yield wrong("settings", loaded)
        return
    counts = Counter(loaded.origins.values())
    origins = ", ".join(f"{count} from {origin}" for origin, count in counts.items()) or "all defaults"
    for text in (*loaded.warnings, *check_places(loaded.settings, place.paths)):
        yield warning(
            "settings", text, why="it has no effect", fix="correct it", command="local-ai config show"
        )
    yield ok("settings", f"valid: {origins}")


def environment_checks(place: Place, service: Callable[[], ServiceReport]) -> Iterator[Check]:
    """Check the clock, open files, the server and its service."""
    yield check_clock(place, now=time.time())
    yield _check_descriptors()
    yield _check_server(place)
    yield _check_service(service)


def check_clock(place: Place, *, now: float) -> Check:
    """Compare the clock with files that were written earlier; `now` is in seconds since 1970."""
    files = (Path(local_ai.__file__), place.paths.state_file, place.paths.config_file)
    newest, file = max((_modified(file), file) for file in files)
    if newest <= now + _SLACK_S:
        return ok("clock", time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now)))
    return wrong(
        "clock",
        ServerError(
            "the clock is behind",
            why=f"it says {_day(now)}, and {file} was written at {_day(newest)}",
            fix="set the clock, since downloads fail until then: timedatectl set-ntp true",
        ),
    )


def _check_descriptors() -> Check:
    try:
        limit = check_open_files()
    except ServerError as exc:
        return wrong("open files", exc)
    if limit < OPEN_FILES:
        return warning(
            "open files",
            f"{limit} allowed",
            why=f"with {OPEN_FILES} many clients at once are served",
            fix=f"ulimit -n {OPEN_FILES} in the shell that starts the server",
        )
    return ok("open files", f"{limit} or more allowed")


def _check_server(place: Place) -> Check:
    report = place.report
    verdict = report.verdict
    if verdict.health in {Health.UNKNOWN, Health.UNHEALTHY}:
        code = 4 if verdict.health is Health.UNKNOWN else 1
        return Check(
            "server", Outcome.WRONG, verdict.sentence, verdict.why, verdict.fix, verdict.command, code
        )
    if report.is_running and report.version != own_version():
        return warning(
            "server",
            verdict.sentence,
            why=f"it is of version {report.version}, and {own_version()} is installed",
            command="local-ai server restart",
        )
    return ok("server", verdict.sentence)


def _check_service(service: Callable[[], ServiceReport]) -> Check:
    try:
        report = service()
    except LocalAIError as exc:
        return warning("service", exc.what, why=exc.why, fix=exc.fix, command=exc.command)
    if not report.is_installed:
        return ok("service", "not installed: the server does not start by itself")
    if not report.is_current:
        return warning(
            "service",
            "the service is out of date",
            why=f"the installation or its settings moved since {report.file} was written",
            command="local-ai service install",
        )
    return ok("service", f"{report.system}, {'running' if report.state.is_active else 'not running'}")


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
