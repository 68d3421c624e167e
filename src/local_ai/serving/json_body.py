"""JSON bodies as clients send them: parsed by pydantic's parser, and refused in words.

The parser holds the interpreter's lock for as long as it works: 0.3 ms for the 360 KB of an agent's request,
about 0.2 s at most for what is not refused (measured, 2026-11).
"""

import re
from collections.abc import Callable
from typing import TypeVar

from pydantic_core import ValidationError, from_json

from local_ai.serving.errors import ApiError
from local_ai.serving.json_size import scan

T = TypeVar("T")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A surrogate pair, half of one, or any other escape.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def parse_json(raw: bytes, validate: Callable[[bytes], T]) -> T:
    """Parse and validate a body, which must be a JSON object.

    Half a character, which JavaScript writes where a text was cut, becomes the replacement character.

    Args:
        validate: Pydantic's `validate_json` of an object; its findings about fields come out as they are.

    Raises:
        ApiError: 400, with the place where it stops being JSON; 413, it would take too long to parse.
        ValidationError: It is a JSON object, and not the one that was expected.
    """
    scanned = scan(raw)
    if scanned.too_much:
        raise _too_much(scanned.too_much)
    raw = raw.removeprefix(_BYTE_ORDER_MARK)
    if scanned.may_have_constants:  # the parser takes both for numbers
        _refuse_constants(raw)
    try:
        return validate(raw)
    except ValidationError as exc:
        if not _is_no_json(exc) or (repaired := _repair(raw)) == raw:
            raise _in_words(exc, raw) from exc
    try:
        return validate(repaired)
    except ValidationError as exc:
        raise _in_words(exc, repaired) from exc


def _refuse_constants(raw: bytes) -> None:
    try:
        from_json(_repair(raw), allow_inf_nan=False)
    except ValueError as exc:
        raise _no_json(str(exc)) from exc


def _repair(raw: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], raw)


def _is_no_json(exc: ValidationError) -> bool:
    return exc.error_count() == 1 and exc.errors(include_url=False)[0]["type"] == "json_invalid"


def _in_words(exc: ValidationError, raw: bytes) -> Exception:
    if _is_no_json(exc):
        return _no_json(exc.errors(include_url=False)[0]["msg"].removeprefix("Invalid JSON: "))
    if not raw.lstrip().startswith(b"{"):
        return _no_json("it is not an object")
    return exc


def _too_much(why: str) -> ApiError:
    return ApiError(
        "the request holds too much",
        status=413,
        why=f"{why}, and all other clients wait while it is parsed",
        fix="send less at once",
        code="request_too_large",
    )


def _no_json(why: str) -> ApiError:
    if why.startswith("recursion limit"):
        why = "it is nested too deeply"
    return ApiError(
        "the request's body is not a JSON object",
        why=why,
        fix='send an object, {"field": value, …}; /docs lists the fields of each address',
        code="invalid_json",
    )
