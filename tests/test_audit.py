"""`inv audit`: what is found fails, what could not be looked up is said and not passed off as clean."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tasks import ALLOWED_ADVISORIES
from tests.server import free_port
from tests.waits import scaled

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]


def advisory(package: str) -> dict[str, Any]:
    return {
        "id": "GHSA-aaaa-bbbb-cccc",
        "summary": "An advisory made up for this test",
        "modified": "2026-01-01T00:00:00Z",
        "published": "2026-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"name": package, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
            }
        ],
    }


Serve = Callable[..., str]


@pytest.fixture
def osv() -> Iterator[Serve]:
    """An OSV service that knows an advisory for one package, or none."""
    servers: list[ThreadingHTTPServer] = []

    def serve(package: str = "") -> str:
        known = advisory(package)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
                found = {"vulns": [{"id": known["id"], "modified": known["modified"]}]}
                names = [query["package"]["name"] for query in asked]
                self._answer({"results": [found if name == package else {} for name in names]})

            def do_GET(self) -> None:
                self._answer(known)

            def _answer(self, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def audit(service: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "inv"), "audit", "--service", service]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=scaled(100))


def test_lock_without_advisories_passes(osv: Serve):
    done = audit(osv())

    assert done.returncode == 0, done.stderr
    assert "SKIPPED" not in done.stderr


def test_known_advisory_fails(osv: Serve):
    done = audit(osv("uvicorn"))

    assert done.returncode == 1, done.stderr
    assert "GHSA-aaaa-bbbb-cccc" in done.stdout + done.stderr


def test_no_advisory_is_allowed_that_the_lock_does_not_need():
    """Each one allowed comes with a test that it passes only until there is a fix."""
    assert ALLOWED_ADVISORIES == {}


def test_service_out_of_reach_is_said_and_fails_nothing():
    done = audit(f"http://127.0.0.1:{free_port()}")

    assert done.returncode == 0, done.stderr
    assert "SKIPPED: the advisory service cannot be reached, so nothing was audited" in done.stderr
