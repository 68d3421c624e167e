"""Bodies are JSON objects, or refused with the place where they are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic_core import SchemaValidator, ValidationError, core_schema

from local_ai.serving.errors import ApiError
from local_ai.serving.json_body import parse_json

OBJECT = SchemaValidator(core_schema.dict_schema(core_schema.str_schema()))
ONE_FIELD = SchemaValidator(core_schema.dict_schema(values_schema=core_schema.int_schema()))


def parse(raw: bytes) -> Any:
    return parse_json(raw, OBJECT.validate_json)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "EOF while parsing an object at line 1 column 1"),
        (b'{"a":\n x}', "expected value at line 2 column 2"),
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b"[1]", "it is not an object"),
        (b'"NaN"', "it is not an object"),
        (b'{"a": NaN}', "expected value at line 1 column 7"),
        (b'{"a": -Infinity}', "invalid number at line 1 column 8"),
        (b'{"a": "\xff"}', "invalid unicode code point at line 1 column 8"),
        (b'{"a": ' * 500, "it is nested too deeply"),
    ],
)
def test_what_is_no_json_object_is_refused_with_the_place(raw: bytes, why: str):
    with pytest.raises(ApiError) as caught:
        parse(raw)

    assert (caught.value.status, caught.value.code, caught.value.why) == (400, "invalid_json", why)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ud83d", "\ufffd"),
        (r"\ude00!", "\ufffd!"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"\u00e9\n\"", 'é\n"'),
        ("NaN Infinity", "NaN Infinity"),
        (r"NaN \ud83d", "NaN \ufffd"),
    ],
)
def test_half_a_character_becomes_the_replacement_character(text: str, meant: str):
    assert parse(f'{{"a":"{text}","\\ud800":1}}'.encode()) == {"a": meant, "\ufffd": 1}


def test_a_byte_order_mark_is_no_fault():
    assert parse(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_findings_about_fields_come_out_as_they_are():
    with pytest.raises(ValidationError) as caught:
        parse_json(json.dumps({"a": "x"}).encode(), ONE_FIELD.validate_json)

    assert [error["loc"] for error in caught.value.errors()] == [("a",)]
