"""The model of a form is found as a server of forms finds it, in time that grows with the form alone."""

from __future__ import annotations

import time

import httpx
import pytest

from local_ai.serving.errors import ApiError
from local_ai.serving.multipart import MOST_PARTS, read_form_model, replace_form_model

KIND = "multipart/form-data; boundary=b"
HEAD = b'Content-Disposition: form-data; name="%b"\r\n\r\n'


def form(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


def field(name: bytes, value: bytes) -> bytes:
    return HEAD % name + value


def why(body: bytes, kind: str = KIND) -> str:
    with pytest.raises(ApiError) as caught:
        read_form_model(body, kind)
    assert (caught.value.status, caught.value.code) == (400, "invalid_form")
    return str(caught.value.why)


def test_model_of_a_client_s_form_is_read_and_replaced() -> None:
    sent = httpx.Request(
        "POST", "http://x", data={"model": "whisper", "n": "1"}, files={"file": b"\r\n--sound"}
    )
    kind, body = sent.headers["content-type"], sent.read()

    assert read_form_model(body, kind) == "whisper"
    assert replace_form_model(body, kind, lambda name: f"/{name}/é") == body.replace(
        b"whisper", "/whisper/é".encode()
    )


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (form(field(b"file", b"x")), None),
        (form(field(b"model", b"")), None),
        (form(field(b"file", b'; name="model"\r\n\r\nother\r\n--'), field(b"model", b"mine")), "mine"),
        (form(b"Content-Type: multipart/mixed; boundary=i\r\n" + field(b"x", field(b"model", b"x"))), None),
        (form(b"content-disposition: form-data; NAME=model\r\n\r\nmine"), "mine"),
        (form(field(b"model", b"\xed\xa0\x80")), "\ufffd" * 3),
        (b"preamble\r\n" + form(field(b"model", b"mine")), "mine"),
    ],
    ids=["none", "empty", "in a file", "nested", "other spelling", "half a character", "preamble"],
)  # fmt: skip
def test_model_is_the_field_s_and_nothing_that_looks_like_it(body: bytes, model: str | None) -> None:
    assert read_form_model(body, KIND) == model
    if model:
        assert read_form_model(replace_form_model(body, KIND, lambda _: "new"), KIND) == "new"


def test_form_that_is_none_is_refused_and_says_why() -> None:
    whole = form(field(b"model", b"mine"))

    assert why(whole, "multipart/form-data") == "its Content-Type names no boundary"
    for broken in (b"", b"--b", whole[:-8], whole.replace(b"--b", b"--c"), b"x" * 1000):
        assert why(broken).startswith(("it has no part", "the headers of a part"))
    assert why(form(b"X: " + b"y" * 10_000 + b"\r\n" + field(b"model", b"m"))) == (
        "the headers of a part do not end within 8 KB"
    )
    assert why(form(field(b"model", b"one"), field(b"model", b"two"))) == (
        "it gives the field model more than once"
    )


def test_form_has_at_most_so_many_parts() -> None:
    most = [field(b"x", b"")] * (MOST_PARTS - 1) + [field(b"model", b"mine")]

    assert read_form_model(form(*most), KIND) == "mine"
    assert why(form(*most, field(b"x", b""))) == f"it has more than {MOST_PARTS} parts"


@pytest.mark.parametrize(
    "unit",
    [
        b'; name="model"',
        b'; name="model"\r\nx',
        b"--b\r\n\r\n\r\n\r\n",
        b"\r\n--b\r\n",
        b"\r\n--",
        b"\r\n\r\n",
    ],
)
def test_hostile_form_of_6_mb_takes_no_time(unit: bytes) -> None:
    """As the start of a part's head, as its value, and without any part."""
    for start in (b"--b\r\n", b"--b\r\n" + HEAD % b"file", b""):
        body = start + unit * (6_000_000 // len(unit))
        began = time.process_time()
        with pytest.raises(ApiError):
            read_form_model(body, KIND)
        assert time.process_time() - began < 1
