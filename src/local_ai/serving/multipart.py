"""The field `model` of a multipart form, read and replaced without parsing the files beside it."""

from __future__ import annotations

import re
from collections.abc import Callable

# The end of the field's head, its value, and the line that ends it.
_MODEL = re.compile(rb'(; name="model"[^\r\n]*(?:\r\n[^\r\n]+)*\r\n\r\n)([^\r\n]*)(\r\n--)')


def read_form_model(body: bytes) -> str | None:
    """Return the model that a form names, None where it names none."""
    found = _MODEL.search(body)
    return found[2].decode("utf-8", "replace") or None if found else None


def replace_form_model(body: bytes, replace: Callable[[str], str]) -> bytes:
    """Return the form with another value in its field `model`, as it is where it has no such field."""
    return _MODEL.sub(
        lambda found: found[1] + replace(found[2].decode("utf-8", "replace")).encode() + found[3],
        body,
        count=1,
    )
