"""supervisord's XML-RPC over its unix socket, with a timeout on every call (its own clients have none)."""

import http.client
import xmlrpc.client
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from local_ai.supervision.program import ProcessInfo, ProcessState
from local_ai.unix_http import exchange

_SHUTDOWN_STATE = 6


class SupervisorError(Exception):
    """A call had no result: nothing complete came in time, say."""


class SupervisorUnreachable(SupervisorError):
    """Nothing listens on the socket: supervisord is not running."""


class SupervisorFault(SupervisorError):
    """supervisord refused a call.

    Source: http://supervisord.org/api.html, `supervisor.xmlrpc.Faults`.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def is_ending(self) -> bool:
        """True if supervisord refuses because it was told to end."""
        return self.code == _SHUTDOWN_STATE


class SupervisorClient:
    """One supervisord, by its socket. Every call opens and closes its own connection."""

    def __init__(self, socket_path: Path, *, timeout_s: float = 2.0) -> None:
        self._socket_path = socket_path
        self._timeout_s = timeout_s

    def pid(self) -> int:
        """Return supervisord's own pid."""
        return int(self._call("supervisor.getPID"))

    def poke(self) -> None:
        """Wake its loop, which else sleeps up to 1 s before it starts a program."""
        with suppress(SupervisorError):
            self.pid()

    def processes(self) -> list[ProcessInfo]:
        """Return one item per program, in supervisord's order."""
        return [_process_info(raw) for raw in self._call("supervisor.getAllProcessInfo")]

    def start(self, name: str) -> None:
        """Ask for a program to be started; does not wait for it."""
        self._call("supervisor.startProcess", name, False)

    def stop(self, name: str) -> None:
        """Ask for a program to be stopped; does not wait (supervisord burns a core while it waits)."""
        self._call("supervisor.stopProcess", name, False)

    def kill(self, name: str) -> None:
        """Send SIGKILL to a program."""
        self.signal(name, "KILL")

    def signal(self, name: str, signal: str) -> None:
        """Send a signal to a program, by its name without SIG."""
        self._call("supervisor.signalProcess", name, signal)

    def shutdown(self) -> None:
        """Ask supervisord to stop its programs and end."""
        self._call("supervisor.shutdown")

    def pid_and_processes(self) -> tuple[int, list[ProcessInfo]]:
        """Return both in one exchange."""
        calls = ("supervisor.getPID", "supervisor.getAllProcessInfo")
        answers = self._call("system.multicall", [{"methodName": name, "params": []} for name in calls])
        try:
            pid, processes = answers
            return int(pid), [_process_info(raw) for raw in processes]
        except (KeyError, TypeError, ValueError) as exc:
            # A refused call's place holds a struct; both are refused alike, while supervisord ends.
            fault = next((answer for answer in answers if isinstance(answer, dict)), {})
            raise SupervisorFault(int(fault.get("faultCode", 0)), str(fault.get("faultString"))) from exc

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            answer = exchange(
                self._socket_path,
                "/RPC2",
                timeout_s=self._timeout_s,
                body=xmlrpc.client.dumps(arguments, method).encode(),
                headers={"Content-Type": "text/xml"},
            )
            if answer.status != http.HTTPStatus.OK:
                raise SupervisorError(f"HTTP {answer.status}")
            (value,), _ = xmlrpc.client.loads(answer.body)
            return value
        except xmlrpc.client.Fault as exc:
            raise SupervisorFault(exc.faultCode, exc.faultString) from exc
        except (
            FileNotFoundError,
            NotADirectoryError,  # the state folder's place is a file
            ConnectionRefusedError,
            PermissionError,  # another user's, or in a folder of another's
        ) as exc:
            raise SupervisorUnreachable(str(exc)) from exc
        except (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError, ValueError) as exc:
            raise SupervisorError(str(exc) or type(exc).__name__) from exc


def _process_info(raw: Mapping[str, Any]) -> ProcessInfo:
    state = str(raw["statename"])
    return ProcessInfo(
        name=str(raw["name"]),
        state=ProcessState(state) if state in ProcessState.__members__ else ProcessState.UNKNOWN,
        pid=int(raw["pid"]) or None,
        started=float(raw["start"]) or None,
        exit_status=int(raw["exitstatus"]),
        reason=str(raw["spawnerr"] or ""),
    )
