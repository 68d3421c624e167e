"""A small real Hugging Face hub: the endpoints a download uses, with the hub's own headers and errors.

Source: the answers of huggingface.co to huggingface_hub 1.33 (model_info with blobs, resolve, X-Error-Code).
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

LARGE_BYTES = 20_000  # kept by checksum and answered by a redirect from here on, as on the hub
COMMIT = "c" * 40


@dataclass
class FakeHub:
    """What it has and what it was asked; tests change it while it runs."""

    url: str = ""
    models: dict[str, Path] = field(default_factory=dict)  # "org/name" → folder
    gated: set[str] = field(default_factory=set)
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    sizes: dict[str, int] = field(default_factory=dict)  # file → what is said of it, true or not
    cut_after: list[int] = field(default_factory=list)  # bytes after which each next transfer breaks off
    ignores_ranges: bool = False
    says: Any = None  # instead of what it has of a model: any JSON
    endless: tuple[int, dict[str, str]] | None = None  # status and headers of answers that have no end
    went_on: bool = False  # 100 MB of such an answer were taken
    adds_bytes: int = 0  # sent after each file's end
    spoils: bool = False
    stall: threading.Event | None = None  # a transfer that is to break off waits for this instead
    stalled: threading.Event = field(default_factory=threading.Event)
    transfers: list[tuple[str, str | None]] = field(default_factory=list)  # (file, Range header)

    def describe(self, name: str, revision: str) -> dict[str, Any]:
        files = sorted(path for path in self.models[name].rglob("*") if path.is_file())
        siblings = [self._describe_file(path, self.models[name]) for path in files]
        return {"id": name, "sha": self.revisions[revision], "siblings": siblings, "tags": []}

    def _describe_file(self, path: Path, folder: Path) -> dict[str, Any]:
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        size = self.sizes.get(name, len(content))
        sha1 = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        described: dict[str, Any] = {"rfilename": name, "size": size, "blobId": sha1}
        if len(content) >= LARGE_BYTES:
            sha256 = hashlib.sha256(content).hexdigest()
            described["lfs"] = {"sha256": sha256, "size": size, "pointerSize": 134}
        return described


@contextmanager
def run_hub() -> Iterator[FakeHub]:
    """Run a hub on a free port."""
    hub = FakeHub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        if hub.stall:
            hub.stall.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlparse(self.path).path
        if self.hub.endless:
            self._endless(*self.hub.endless)
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            self._model(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[3])
        elif match := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self._content(self.hub.models[match[1]], match[2])
        else:
            self._refuse(404, "RepoNotFound")

    def _endless(self, status: int, headers: dict[str, str]) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # the client has had enough
            for _ in range(1_000):
                self.wfile.write(b" " * 100_000)
            self.hub.went_on = True

    def _model(self, name: str, revision: str) -> None:
        if name not in self.hub.models:
            self._refuse(401, "RepoNotFound")
        elif revision not in self.hub.revisions:
            self._refuse(404, "RevisionNotFound")
        else:
            self._json(self.hub.says or self.hub.describe(name, revision))

    def _resolve(self, name: str, file: str) -> None:
        if name in self.hub.gated:
            self._refuse(403, "GatedRepo")
        elif (self.hub.models[name] / file).stat().st_size >= LARGE_BYTES:
            self.send_response(302)
            self.send_header("Location", f"{self.hub.url}/cdn/{name}/{file}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._content(self.hub.models[name], file)

    def _content(self, folder: Path, file: str) -> None:
        content = (folder / file).read_bytes()
        if self.hub.spoils:
            content = bytes(len(content))
        content += bytes(self.hub.adds_bytes)
        asked = self.headers.get("Range")
        self.hub.transfers.append((file, asked))
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        start = int(match[1]) if match and not self.hub.ignores_ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        is_large = len(content) >= LARGE_BYTES
        end = start + self.hub.cut_after.pop(0) if is_large and self.hub.cut_after else len(content)
        self.wfile.write(content[start:end])
        self.wfile.flush()
        if end < len(content):
            if self.hub.stall:
                self.hub.stalled.set()
                self.hub.stall.wait(60)
            self.close_connection = True

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass
