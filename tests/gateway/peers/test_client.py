"""A peer's certificate is checked."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from tests.waits import scaled

from local_ai.gateway.peers.client import PeerClient, reason_of
from local_ai.gateway.upstream.client import EngineAbsent
from local_ai.settings.schema import PeerSettings


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that nobody signed, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine: https was not tried")
    file = tmp_path / "own.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=peer -addext subjectAltName=IP:127.0.0.1"
    command = ["openssl", *words.split(), "-keyout", str(tmp_path / "key.pem"), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file


def ask_over_tls(certificate: Path) -> tuple[int, bytes]:
    """Ask a server with this certificate."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def ask() -> tuple[int, bytes]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        client = PeerClient(PeerSettings(name="studio", url=f"https://127.0.0.1:{port}"))
        try:
            return await client.ask("GET", "/v1/models", most_bytes=10, within_s=scaled(10))
        finally:
            await client.close()
            server.close()

    return asyncio.run(ask())


def test_a_certificate_that_nobody_signed_is_not_accepted(certificate: Path) -> None:
    with pytest.raises(EngineAbsent) as caught:
        ask_over_tls(certificate)

    assert reason_of(caught.value).startswith("its certificate is not accepted: self")


def test_a_certificate_that_this_machine_trusts_is_accepted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert ask_over_tls(certificate) == (200, b"{}")
