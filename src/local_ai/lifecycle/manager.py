"""The verbs: start, stop, restart, status.

    stopped ─start▶ starting ─ready▶ ready ⇄ busy ─stop▶ stopping ─▶ stopped
                       │ timeout        │ process dies          └ SIGKILL after the timeout
                       ▼                ▼
                     failed          crashed ─ supervisord restarts, back-off ─▶ starting, or failed

A start holds the lock only until supervisord runs, and waits for readiness without it, so that a stop can
come in between; it then sees the server gone and says so. Nothing here prints: progress is a callback.

The settings' schema is imported by the verbs that need it: `status` and `stop` do not, and answer sooner.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.errors import ConfigError, LocalAIError, ServerError
from local_ai.lifecycle import preflight, start
from local_ai.lifecycle.failures import interrupted, silent_supervisord, supervisord_ended
from local_ai.lifecycle.launch import end_launched, launch
from local_ai.lifecycle.results import ServerStatus, StartResult, StopResult
from local_ai.lifecycle.stop import Drained, drain, end_leftovers, stop_supervised
from local_ai.regular_file import read_regular
from local_ai.settings.exposure import check_exposure
from local_ai.settings.paths import Paths, find_paths
from local_ai.settings.state import (
    Given,
    State,
    Target,
    make_state,
    read_given,
    read_state,
    read_target,
    target_of,
)
from local_ai.status.observe import observe
from local_ai.status.report import Report
from local_ai.status.verdict import STOPPING, Health
from local_ai.supervision import supervisord
from local_ai.supervision.lock import exclusive
from local_ai.supervision.omni import installed_parts
from local_ai.supervision.plan import plan
from local_ai.supervision.program import ProcessState
from local_ai.supervision.render import render
from local_ai.supervision.rpc import SupervisorClient, SupervisorError

if TYPE_CHECKING:
    import subprocess

    from local_ai.settings.schema import LocalAISettings

_LOCK_TIMEOUT_S = 60.0
_SETTLE_S = 5.0
_ENDING_S = 25.0  # for supervisord to end one program after the other (see plan)
_STOP_S = 15.0  # longer than supervisord waits from SIGTERM to SIGKILL (see plan)
_POLL_S = 0.05

Progress = Callable[[str], None]


class ServerManager:
    """One server: the programs of one state directory."""

    def __init__(
        self,
        settings: LocalAISettings | None = None,
        state_dir: str | Path | None = None,
        host: str | None = None,
        port: int | None = None,
        *,
        paths: Paths | None = None,
        on_progress: Progress = lambda sentence: None,
        on_ready: Callable[[StartResult], None] = lambda result: None,
        by_hand: Given | None = None,
    ) -> None:
        """Name the server; nothing is read, made or started yet.

        Args:
            settings: Resolved settings; None loads them from all sources when a start needs them.
            state_dir: Instead of `$XDG_STATE_HOME/local-ai`.
            host: Instead of `server.host`.
            port: Instead of `server.port`.
            on_progress: Called with a sentence whenever there is something new to say.
            on_ready: Called once a foreground start is ready; others return instead.
            by_hand: Which of the settings were given by hand: noted, for a later restart to keep.
        """
        found = paths or find_paths()
        self.paths = found.in_state_dir(Path(state_dir).absolute()) if state_dir else found
        self._loads = settings is None
        self._given = settings
        self._overrides = {"server.host": host, "server.port": port}
        self._on_progress = on_progress
        self._on_ready = on_ready
        self._by_hand = by_hand or Given()
        self._foreground: subprocess.Popen[str] | None = None

    @property
    def settings(self) -> LocalAISettings:
        """The settings a start would use."""
        from local_ai.settings import load

        if self._given is None:
            loaded = load.load(overrides=self._overrides, paths=self.paths)
            self._given, self._by_hand = loaded.settings, Given(loaded.given, None, loaded.file)
        return load.override(self._given, self._overrides)

    def start(self, foreground: bool = False, startup_timeout: float = 30.0) -> StartResult:
        """Start the server and wait until a first answer is possible; running already is success.

        Args:
            foreground: Stay until the server ends; Ctrl-C stops it.
            startup_timeout: Longest wait for readiness, in seconds. A server that is still importing or
                loading then continues to start, and the error says so.
        """
        try:
            return self._start(foreground, startup_timeout)
        except LocalAIError as error:
            return StartResult(success=False, error=error)
        except OSError as exc:
            return StartResult(False, error=preflight.disk_error(exc, "the server did not start"))

    def stop(self, force: bool = False, timeout: float = 10.0) -> StopResult:
        """Stop the server: running answers finish (`server.drain_s`), SIGTERM, SIGKILL after the timeout.

        Not running is success.

        Args:
            force: SIGKILL at once, also a supervisord that does not answer.
            timeout: Longest wait after SIGTERM, in seconds.
        """
        try:
            return self._stop(force, timeout)
        except LocalAIError as error:
            return StopResult(success=False, error=error)
        except OSError as exc:
            return StopResult(False, error=preflight.disk_error(exc, "the server was not stopped"))

    def restart(self, startup_timeout: float = 30.0, stop_timeout: float = 10.0) -> StartResult:
        """Stop and start with fresh settings; what a start would refuse leaves the running server alone.

        Without settings of its own, it keeps what the start was given by command line or environment, unless
        that is given again.
        """
        try:
            self._keep_given()
            self._check()
        except LocalAIError as error:
            return StartResult(success=False, error=error)
        stopped = self.stop(timeout=stop_timeout)
        if not stopped.success:
            return StartResult(success=False, error=stopped.error)
        started = self.start(startup_timeout=startup_timeout)
        return replace(started, finished=stopped.finished, cut=stopped.cut)

    def _keep_given(self) -> None:
        """Load the settings as a restart does, where none were handed in."""
        from local_ai.settings.load import load_again

        if not self._loads:
            return
        last = read_given(self.paths.state_file)
        loaded, _kept = load_again(
            last.values, config_path=last.config, overrides=self._overrides, paths=self.paths
        )
        self._given, self._by_hand = loaded.settings, Given(loaded.given, last.config, loaded.file)

    def status(self) -> ServerStatus:
        """Observe once; takes at most about 5 s, even if a program hangs."""
        report = self.report()
        health = report.verdict.health
        return ServerStatus(
            running=report.is_running,
            pid=report.engine_pid,
            host=report.host,
            port=report.port,
            models=report.models,
            uptime_seconds=report.uptime_s,
            health=(Health.UNKNOWN if health is Health.STOPPED else health).value,
        )

    def is_running(self) -> bool:
        """Tell whether supervisord runs, ready or not."""
        return self.report().is_running

    def report(self) -> Report:
        """Return everything `server.status` shows, by the settings of the last start."""
        return observe(self._target(), self.paths)

    def settings_or_defaults(self) -> LocalAISettings:
        """A broken settings file must not prevent `status` or `stop`."""
        from local_ai.settings.schema import LocalAISettings

        try:
            return self.settings
        except ConfigError:
            return LocalAISettings()

    def _target(self) -> Target:
        return read_target(self.paths.state_file) or target_of(self.settings_or_defaults())

    def _drain(self, report: Report, *, force: bool) -> Drained:
        """Let running answers finish; by force, only count them."""
        target = self._target()
        return drain(
            replace(target, drain_s=0.0) if force else target, self.paths, report.queue, self._on_progress
        )

    def _start(self, foreground: bool, timeout_s: float) -> StartResult:
        try:
            already, note = self._ensure_running(foreground=foreground)
        except KeyboardInterrupt as exc:
            if self._foreground:
                self._end_foreground(self._foreground)
            raise interrupted("Ctrl-C before anything was started") from exc
        return self._wait(foreground, timeout_s, already_running=already, note=note)

    def _ensure_running(self, *, foreground: bool) -> tuple[bool, str]:
        """Return whether it ran already, and what the user should know."""
        warning = self._check()
        preflight.prepare_folders(self.paths)
        state = replace(
            make_state(self.settings, self.paths),
            given=self._by_hand,
            omni_parts=installed_parts(self.paths),
        )
        make_conf = partial(
            render,
            plan(state),
            self.paths,
            open_files=preflight.check_open_files(),
            processes=preflight.most_processes(),
        )
        with exclusive(self.paths.lock, timeout_s=_LOCK_TIMEOUT_S):
            report = self._settled_report(stop_s=_STOP_S)
            if report.verdict.health is Health.UNKNOWN:
                raise silent_supervisord(report)
            if report.is_running:
                return True, self._revive(report, state)
            self._foreground = launch(state, make_conf, self.paths, self._on_progress, foreground=foreground)
            return False, warning

    def _check(self) -> str:
        """Refuse what cannot work before anything is touched; return a warning, or ""."""
        settings = self.settings
        preflight.check_packages(settings.engine.text)
        preflight.check_model(settings.model.path, self.paths.with_model_folders(settings.models.paths))
        return check_exposure(settings.server)

    def _settled_report(self, *, stop_s: float = 0.0) -> Report:
        """Look until supervisord says something: one that is about to end answers nothing useful.

        Args:
            stop_s: Longest wait for a program to end that is being stopped just now: supervisord would take
                an order to start it, and do nothing.
        """
        began = time.monotonic()
        while True:
            report, waited_s = self.report(), time.monotonic() - began
            silent = report.verdict.health is Health.UNKNOWN
            settle_s = _ENDING_S if report.verdict.word == STOPPING else _SETTLE_S
            stopping = any(row.state is ProcessState.STOPPING for row in report.programs)
            if not (silent and waited_s < settle_s) and not (stopping and waited_s < stop_s):
                return report
            time.sleep(_POLL_S)

    def _revive(self, report: Report, state: State) -> str:
        """Start what was stopped by hand or gave up; return what the user should know.

        A start that supervisord refuses is no mistake: it has restarted the program itself by now, or ends;
        the wait that follows tells.
        """
        client = SupervisorClient(self.paths.supervisor_socket)
        for row in report.programs:
            if row.state in {ProcessState.STOPPED, ProcessState.EXITED, ProcessState.FATAL}:
                with suppress(SupervisorError):
                    client.start(row.name)
        last = self._last_state()
        if last and (last.settings, last.version, last.python, last.omni_parts) != (
            state.settings,
            state.version,
            state.python,
            state.omni_parts,
        ):
            return "settings have changed since it was started; to use them: local-ai server restart"
        return ""

    def _wait(self, foreground: bool, timeout_s: float, *, already_running: bool, note: str) -> StartResult:
        child = self._foreground
        try:
            report = start.wait_until_ready(
                self.report, self.paths, self._on_progress, timeout_s=timeout_s, child=child
            )
        except start.StoppedMeanwhileError:
            if not child:
                raise
            return self._stopped_before_ready(child)
        except (KeyboardInterrupt, LocalAIError):
            if child:
                self._end_foreground(child)
            raise
        result = StartResult(True, report.engine_pid, None, already_running, note, report)
        if foreground and child:
            self._stay(child, result)
        return result

    def _stay(self, child: subprocess.Popen[str], result: StartResult) -> None:
        """Say that it is ready; stay until it ends: by itself, by a stop from elsewhere, by Ctrl-C here."""
        try:
            self._on_ready(result)
            code = child.wait()
        except KeyboardInterrupt:
            self._end_foreground(child)
            return
        self._raise_unless_stopped(code, by_force=self._was_killed_by_stop(child))

    def _stopped_before_ready(self, child: subprocess.Popen[str]) -> StartResult:
        """A stop from elsewhere is a wanted end of a start that stays: a service must not start it again."""
        by_force = self._was_killed_by_stop(child)
        self._end_foreground(child)
        self._raise_unless_stopped(child.wait(), by_force=by_force)
        return StartResult(success=True)

    def _raise_unless_stopped(self, code: int, *, by_force: bool) -> None:
        if code and not by_force:  # an orderly stop, from elsewhere too, ends with 0
            raise supervisord_ended(code, self.paths)

    def _was_killed_by_stop(self, child: subprocess.Popen[str]) -> bool:
        """Tell whether a stop killed this supervisord: a service must not start it again then."""
        try:
            was_killed = read_regular(self.paths.killed_pid).strip() == str(child.pid).encode()
        except OSError:
            return False
        self.paths.killed_pid.unlink(missing_ok=True)
        return was_killed

    def _end_foreground(self, child: subprocess.Popen[str]) -> None:
        self.stop()
        if child.poll() is None:  # it has made no socket yet, so the stop did not see it
            end_launched(self.paths)
        child.wait()
        self.paths.killed_pid.unlink(missing_ok=True)

    def _stop(self, force: bool, timeout_s: float) -> StopResult:
        if not os.path.isdir(self.paths.state_dir):
            return StopResult(success=True, was_running=False)
        with exclusive(self.paths.lock, timeout_s=_LOCK_TIMEOUT_S):
            report = self.report() if force else self._settled_report()
            match report.verdict.health:
                case Health.UNKNOWN if not force:
                    raise silent_supervisord(report)
                case Health.UNKNOWN | Health.STOPPED:
                    ended = end_leftovers(self.paths, grace_s=0 if force else timeout_s)
                    result = StopResult(True, None, was_running=ended.any, forced=ended.forced)
                case _:
                    drained = self._drain(report, force=force)
                    forced = stop_supervised(self.paths, report.pid, force=force, timeout_s=timeout_s)
                    result = StopResult(True, None, True, forced, drained.finished, drained.cut)
            supervisord.remove_leftovers(self.paths)
            return result

    def _last_state(self) -> State | None:
        try:
            return read_state(self.paths.state_file)
        except ServerError:
            return None
