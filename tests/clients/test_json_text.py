"""One member of a JSON text changes; every other byte stays."""

import json

import pytest

from local_ai.clients.json_text import member_at, parse, with_member, without_member

PATH = ("providers", "ours")
OTHERS = [
    '{"providers": {"a": {"b": [1, 2.5e3, "x,}\\"", null]}}}',
    '{\n  "first": true,\n  "providers": {\n    "a": {"b": [1,\n 2]},\n    "c": {}\n  },\n  "last": []\n}\n',
    '{ // whose\n\t"providers": {\n\t\t// mine, {"x": 1}\n\t\t"a": 1, // one\n\t\t"b": 2,\n\t},\n}\n',
    '{\r\n    "providers": {\r\n        "a": "ä"\r\n    }\r\n}',
    '{"providers":{"a":1}}',
]


@pytest.mark.parametrize("text", OTHERS, ids=["one-line", "lines", "comments", "windows", "compact"])
def test_member_comes_and_goes_and_every_other_byte_stays(text: str):
    with_ours = with_member(text, PATH, {"url": "x", "list": [1]})

    assert member_at(with_ours, *PATH) == {"url": "x", "list": [1]}
    assert member_at(with_ours, "providers", "a") == member_at(text, "providers", "a")
    for line in text.splitlines():
        assert line.strip().removeprefix('{"providers": {').removeprefix('{"providers":{') in with_ours
    back = without_member(with_ours, PATH)
    assert "".join(back.split()) == "".join(text.split())
    if "\n" in text:
        assert back == text


@pytest.mark.parametrize("text", ["{}", "{\n}\n", '{"providers": {}}', '{"a": 1}', '{\n  "a": 1\n}\n'])
def test_objects_on_the_way_are_made(text: str):
    with_ours = with_member(text, PATH, 1)

    assert json.loads(with_ours) == {**json.loads(text), "providers": {"ours": 1}}


def test_new_member_is_indented_as_the_text_is():
    assert with_member('{\n\t"a": 1\n}\n', PATH, {"b": 2}) == (
        '{\n\t"providers": {\n\t\t"ours": {\n\t\t\t"b": 2\n\t\t}\n\t},\n\t"a": 1\n}\n'
    )


def test_member_that_is_there_is_replaced_in_its_place():
    text = '{"providers": {"a": 1, "ours": {"old": true}, "b": 2}, "x": 0}'

    changed = with_member(text, PATH, 7)

    assert changed == '{"providers": {"a": 1, "ours": 7, "b": 2}, "x": 0}'
    assert with_member(changed, PATH, 7) == changed


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"providers": {"a": 1, "ours": 2, "b": 3}}', '{"providers": {"a": 1, "b": 3}}'),
        ('{"providers": {"a": 1, "ours": 2}}', '{"providers": {"a": 1}}'),
        ('{"providers": {"ours": 2, "a": 1}}', '{"providers": { "a": 1}}'),
        ('{"providers": {\n  "ours": 2\n}}', '{"providers": {}}'),
        ('{"providers": {\n  "a": 1, // one\n  "ours": 2,\n}}', '{"providers": {\n  "a": 1, // one\n}}'),
        ('{"providers": {"a": 1}}', '{"providers": {"a": 1}}'),
        ('{"other": 1}', '{"other": 1}'),
    ],
    ids=["middle", "last", "first", "alone", "trailing-comma", "not-there", "nowhere"],
)
def test_member_is_taken_out_with_its_comma(text: str, left: str):
    assert without_member(text, PATH) == left


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1, column 1: the end is not expected there"),
        ('{"a": 1\n "b": 2}', "line 2, column 2: '\"' is not expected there"),
        ('{"a": }', "line 1, column 7: '}' is not expected there"),
        ("{'a': 1}", 'line 1, column 2: "\'" is not expected there'),
        ('{"a": 1} x', "line 1, column 10: 'x' is not expected there"),
        ('{"a": "b', "line 1, column 7: '\"' is not expected there"),
    ],
)
def test_broken_text_is_told_with_its_place(text: str, why: str):
    with pytest.raises(ValueError, match="is not expected there") as caught:
        parse(text)

    assert str(caught.value) == why


def test_what_is_no_object_is_not_replaced():
    with pytest.raises(ValueError, match="providers is no object"):
        with_member('{"providers": [1]}', PATH, 1)
