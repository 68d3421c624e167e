"""Bodies that take too long to parse are told by a scan."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

import pytest
from pydantic_core import from_json

from local_ai.serving.json_size import scan

PICTURE = "data:image/png;base64," + "iVBORw0KGgo/" * 400_000
AGENT = {"role": "assistant", "content": 'He said: "[{:,}]" \\ \u00e9\n' * 10}
LONG = json.dumps("x" * 300_000)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}]},
        {"messages": [AGENT] * 10_000},
        {"prompt": list(range(400_000))},
        {"input": "[{,:" * 1_000_000},
        {"input": '"\\' * 900_000},
        {"input": "漢" * 1_000_000},
    ],
    ids=[
        "picture",
        "long conversation",
        "token ids",
        "brackets in a text",
        "quotes in a text",
        "escaped text",
    ],
)
def test_what_clients_send_is_not_too_much(body: object):
    assert scan(json.dumps(body).encode()).too_much == ""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f"[{LONG}{', {}' * 80_000}]", "it has more than 80000 objects, lists and texts"),
        (f"[{LONG}{', []' * 80_000}]", "it has more than 80000 objects, lists and texts"),
        (f"[{LONG}{', 0' * 500_001}]", "its lists and objects have more than 500000 entries"),
        ('{"a": "' + "\\n" * 2_000_001 + '"}', "more than 2000000 characters of its texts are escaped"),
        ('{"a": "' + "\\u0041" * 2_000_001 + '"}', "more than 2000000 characters of its texts are escaped"),
        ("{" + ", ".join(f'"k{n}": {n}' for n in range(80_001)) + "}", "names of fields among them"),
    ],
    ids=["objects", "lists", "numbers", "escapes", "long escapes", "fields"],
)
def test_what_takes_long_to_parse_is_too_much(content: str, why: str):
    assert why in scan(content.encode()).too_much


def test_a_text_is_told_from_values_wherever_a_part_of_the_scan_ends():
    luck = random.Random(1)
    texts = ["".join(luck.choices('"\\,[{:a', k=luck.randint(0, 30))) for _ in range(79_990)]

    assert scan(json.dumps(texts).encode()).too_much == ""
    assert scan(json.dumps([*texts, *[""] * 11]).encode()).too_much != ""


@pytest.mark.parametrize(
    "make", [lambda: "{}," * 2_000_000, lambda: '"a":0,' * 1_000_000], ids=["objects", "fields"]
)
def test_the_scan_costs_next_to_nothing_of_what_parsing_would(make: Callable[[], str]):
    text = make()[:-1]
    raw = (f"[{text}]" if text.startswith("{") else f"{{{text}}}").encode()

    began = time.thread_time()
    assert scan(raw).too_much
    scanned_s = time.thread_time() - began
    began = time.thread_time()
    from_json(raw)

    assert scanned_s < (time.thread_time() - began) / 5


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "Infinity"])
def test_constants_are_told_from_the_same_letters_in_a_large_text(value: str):
    large = '{"picture": "' + "NaN/Infinity+" * 40_000 + '", "value": VALUE}'

    assert not scan(large.replace("VALUE", "1").encode()).may_have_constants
    assert scan(large.replace("VALUE", value).encode()).may_have_constants
