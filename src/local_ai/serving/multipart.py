"""The field `model` of a multipart form, read and replaced without parsing the files beside it.

A form is walked from boundary to boundary, so that a long one takes no more than its length.

Source: RFC 7578; RFC 2046, section 5.1.1.
"""

import re
from collections.abc import Callable

from local_ai.serving.errors import ApiError

MOST_PARTS = 100
_MOST_HEAD_BYTES = 8 * 1024
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,200})"|([^\s;",]{1,200}))', re.IGNORECASE)
_NAMES_MODEL = re.compile(rb';\s*name=(?:"model"|model)\s*(?:;|\r|$)', re.IGNORECASE)


def read_form_model(body: bytes, media_type: str) -> str | None:
    """Return the model that a form names, None where it names none.

    Raises:
        ApiError: 400, the form is not valid, or has more or larger parts than any client sends.
    """
    start, end = _find_model(body, media_type) or (0, 0)
    return body[start:end].decode("utf-8", "replace") or None


def replace_form_model(body: bytes, media_type: str, replace: Callable[[str], str]) -> bytes:
    """Return the form with another value in its field `model`, as it is where it has no such field.

    Raises:
        ApiError: As `read_form_model`.
    """
    if (place := _find_model(body, media_type)) is None:
        return body
    start, end = place
    return body[:start] + replace(body[start:end].decode("utf-8", "replace")).encode() + body[end:]


def _find_model(body: bytes, media_type: str) -> tuple[int, int] | None:
    """Return where the value of the field begins and ends."""
    named = _BOUNDARY.search(media_type)
    if named is None:
        raise _not_valid("its Content-Type names no boundary")
    boundary = b"\r\n--" + (named[1] or named[2]).encode("latin-1", "replace")
    place: tuple[int, int] | None = None
    end = -2 if body.startswith(boundary[2:]) else body.find(boundary)
    for _ in range(MOST_PARTS + 1):
        start = end + len(boundary)
        if end == -1:
            raise _not_valid("it has no part that begins and ends with the boundary of its Content-Type")
        if body[start : start + 2] == b"--":
            return place
        head = body[start : start + _MOST_HEAD_BYTES].partition(b"\r\n\r\n")
        if not head[1]:
            raise _not_valid(f"the headers of a part do not end within {_MOST_HEAD_BYTES // 1024} KB")
        start += len(head[0]) + len(head[1])
        end = body.find(boundary, start)
        if _NAMES_MODEL.search(head[0]):
            if place is not None:
                raise _not_valid("it gives the field model more than once")
            place = (start, end)
    raise _not_valid(f"it has more than {MOST_PARTS} parts")


def _not_valid(why: str) -> ApiError:
    fix = "send multipart/form-data as the clients of OpenAI, or curl -F, do"
    return ApiError("the form is not valid", status=400, why=why, fix=fix, code="invalid_form")
