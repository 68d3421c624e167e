"""Pictures are fetched from the hosts that the settings name, and from no address that is not public."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.engine.pictures.files import plain
from tests.waits import scaled

from local_ai.engine.pictures import fetch as fetching
from local_ai.engine.pictures.address import is_public, read_address
from local_ai.engine.pictures.fetch import PictureFetcher
from local_ai.serving.errors import ApiError

HOSTS = ("localhost",)
FILE = plain()


class Pictures(BaseHTTPRequestHandler):
    """A server of one picture, and of what is no answer."""

    asked: list[str]
    end: threading.Event

    def do_GET(self) -> None:
        self.asked.append(f"{self.path} of {self.headers['Host']}")
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/picture.png")
            self.end_headers()
        elif self.path == "/picture.png":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(FILE)
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            while not self.end.is_set():
                self.wfile.write(bytes(10_000))
        elif self.path == "/silent":
            self.end.wait()
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server(certificate: Path | None = None) -> Iterator[tuple[str, list[str]]]:
    """A running server: its address, and what it was asked for.

    Args:
        certificate: With its key; it then speaks TLS.
    """
    handler = type("Handler", (Pictures,), {"asked": [], "end": threading.Event()})
    http = ThreadingHTTPServer(("localhost", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True)
        http.handle_error = lambda *_: None  # type: ignore[method-assign]  # of clients that trust it not
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://localhost:{http.server_port}", handler.asked
    finally:
        handler.end.set()
        http.shutdown()
        thread.join()
        http.server_close()


def fetch(fetcher: PictureFetcher, url: str, most_bytes: int = 1_000_000) -> bytes:
    return asyncio.run(fetcher.fetch(url, "here", allowed_hosts=HOSTS, most_bytes=most_bytes))


def refusal(fetcher: PictureFetcher, url: str, most_bytes: int = 1_000_000) -> ApiError:
    with pytest.raises(ApiError) as caught:
        fetch(fetcher, url, most_bytes)
    assert (caught.value.status, caught.value.param) == (400, "here")
    return caught.value


def test_a_picture_of_a_named_host_is_fetched_and_nothing_else_of_it():
    anywhere = PictureFetcher(is_allowed=lambda _address: True)
    with server() as (address, asked):
        found = fetch(anywhere, f" {address}/picture.png\n")
        elsewhere = refusal(anywhere, f"{address}/elsewhere")
        missing = refusal(anywhere, f"{address}/missing.png")
        large = refusal(anywhere, f"{address}/endless", most_bytes=100_000)

    host = address.removeprefix("http://")
    assert found == FILE
    assert asked == [
        f"{path} of {host}" for path in ("/picture.png", "/elsewhere", "/missing.png", "/endless")
    ]
    assert "it leads to another address, and redirects are not followed" in elsewhere.why
    assert "its server answered 404" in missing.why
    assert large.why == "its file has more than 0.1 MB (vision.max_picture_mb)"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority's certificate, and with two that it signed, each with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine: https was not tried")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=own")
    signs = ("-x509", "-days", "2", "-addext", "keyUsage=critical,keyCertSign")
    openssl(*new, *signs, "-keyout", "authority.key", "-out", "authority.pem")
    for host in ("localhost", "elsewhere.example"):
        (folder / "names").write_text(f"subjectAltName=DNS:{host}\nauthorityKeyIdentifier=keyid\n")
        openssl(*new, "-keyout", f"{host}.key", "-out", "wanted")
        by = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-extfile", "names")
        openssl("x509", "-req", "-in", "wanted", "-days", "2", *by, "-out", f"{host}.pem")
        with (folder / f"{host}.pem").open("a") as file:
            file.write((folder / f"{host}.key").read_text())
    return folder


@pytest.mark.parametrize(
    ("trusts", "host", "why"),
    [
        (True, "localhost", None),
        (False, "localhost", "unable to get local issuer certificate"),
        (True, "elsewhere.example", "Hostname mismatch"),
    ],
    ids=["signed by a trusted authority", "signed by nobody's", "another host's"],
)
def test_over_https_a_certificate_of_that_host_by_a_trusted_authority_is_wanted(
    certificates: Path, trusts: bool, host: str, why: str | None, monkeypatch: pytest.MonkeyPatch
):
    fetching._trust.cache_clear()
    if trusts:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "authority.pem"))
    anywhere = PictureFetcher(is_allowed=lambda _address: True)
    with server(certificates / f"{host}.pem") as (address, asked):
        if why is None:
            assert fetch(anywhere, f"{address}/picture.png") == FILE
            assert asked == [f"/picture.png of {address.removeprefix('https://')}"]
            refused = refusal(anywhere, f"{address}/elsewhere")
            assert "it leads to another address, and redirects are not followed" in refused.why
        else:
            refused = refusal(anywhere, f"{address}/picture.png")
            assert why in refused.why
            assert (asked, refused.code) == ([], "failed_to_download_image")
    fetching._trust.cache_clear()


def test_a_server_that_does_not_answer_is_left():
    impatient = PictureFetcher(is_allowed=lambda _address: True, longest_s=0.2)
    with server() as (address, _):
        error = refusal(impatient, f"{address}/silent")

    assert error.why == "its picture could not be fetched from 'localhost': it took more than 0.2 s"


def test_a_named_host_that_leads_to_this_machine_is_not_connected_to():
    with server() as (address, asked):
        error = refusal(PictureFetcher(longest_s=scaled(15)), f"{address}/picture.png")

    assert asked == []
    assert error.why in (
        f"'localhost' is at {own}, which is no public address" for own in ("127.0.0.1", "::1")
    )


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("192.0.2.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("fec0::1", False),
    ],
)
def test_only_public_addresses_are_connected_to(address: str, public: bool):
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "addresses with file: are not read"),
        ("ftp://good.example/a.png", "addresses with ftp: are not read"),
        ("//good.example/a.png", "it is no address"),
        ("https://bad.example/a.png", "pictures are not fetched from 'bad.example'"),
        (
            "https://good.example.bad.example/a.png",
            "pictures are not fetched from 'good.example.bad.example'",
        ),
        ("https://good.example@bad.example/a.png", "it is no plain address of a host"),
        ("https://user:word@good.example/a.png", "it is no plain address of a host"),
        ("https://göod.example/a.png", "it is no plain address of a host"),
        ("https://good.example\\@bad.example/", "it is no plain address of a host"),
        ("https://good.example/a\nHost: x", "it is no plain address of a host"),
        ("https://good.example:port/", "it is no address"),
        ("https://[::1/", "it is no address"),
        ("https:///a.png", "it is no plain address of a host"),
        ("http://127.0.0.1/a.png", "pictures are not fetched from '127.0.0.1'"),
    ],
)
def test_an_address_that_the_settings_do_not_name_is_refused(url: str, why: str):
    with pytest.raises(ApiError) as caught:
        read_address(url, "input[0]", ("good.example",))

    assert caught.value.why.startswith(why)
    assert "data:image/png;base64," in caught.value.fix


def test_a_named_host_may_be_written_otherwise():
    for url in ("https://GOOD.example/a", "https://good.example./a", "https://good.example:8443/a"):
        assert read_address(url, "input[0]", ("Good.Example",)).host == "good.example"
