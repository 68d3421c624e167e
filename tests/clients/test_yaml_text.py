"""One item of a YAML list comes and goes; every other byte stays."""

import pytest
import yaml

from local_ai.clients.yaml_text import with_item, without_items

OURS = {"model_id": "ours/a: #b", "key": True, "more": {"x": "y"}}
MINE = "- model_id: mine\n  # a note\n  list: [1,\n    2]\n"
TEXTS = [
    MINE,
    f"# my models\n---\n\n{MINE}# the end",
    "  - a: 1 # one\n\n    # two\n  -   b:\n      - c\n",
    '- "text"\n- 7\n',
    "",
]


def is_ours(item: object) -> bool:
    return isinstance(item, dict) and str(item.get("model_id")).startswith("ours/")


@pytest.mark.parametrize("text", TEXTS, ids=["list", "comments", "indented", "scalars", "empty"])
def test_item_comes_and_goes_and_every_other_byte_stays(text: str):
    with_ours = with_item(text, OURS)

    assert yaml.safe_load(with_ours) == [OURS, *(yaml.safe_load(text) or [])]
    assert without_items(with_ours, is_ours) == text


def test_items_of_ours_are_found_between_others():
    text = "# first\n- a: 1\n# ours\n-\n  model_id: ours/x\n  # in it\n  b: |\n    text\n# next\n- c: 2\n"

    assert without_items(text, is_ours) == "# first\n- a: 1\n# ours\n# next\n- c: 2\n"


def test_list_that_holds_nothing_else_stays_a_list():
    with_ours = with_item("# a note", OURS)

    assert without_items(with_ours, is_ours) == "# a note\n[]\n"
    assert yaml.safe_load(with_item("# a note\n[]\n", OURS)) == [OURS]


@pytest.mark.parametrize(
    ("text", "why"),
    [("a: 1\n", "no list"), ("- a: [\n", "expected"), ("[{a: 1}]", "in brackets")],
    ids=["mapping", "broken", "flow"],
)
def test_text_that_cannot_be_changed_is_told_with_the_reason(text: str, why: str):
    with pytest.raises(ValueError, match=why):
        with_item(text, OURS)
