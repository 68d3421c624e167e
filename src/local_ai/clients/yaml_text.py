"""Change one item of a YAML list and keep every other byte, comments too."""

import json
from collections.abc import Callable, Mapping

import yaml


def items_of(text: str) -> list[object]:
    """Return the items of a list, with nothing for an empty text.

    Raises:
        ValueError: The text is no YAML, or no list.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ValueError(" ".join(str(exc).split())) from exc
    if not isinstance(found, list | None):
        raise ValueError("it is no list")
    return found or []


def with_item(text: str, item: Mapping[str, object]) -> str:
    """Return the text with one more item, as the first: what follows it stays as it is.

    Raises:
        ValueError: The text is no list, or one in brackets, into which no lines can be put.
    """
    node = _list(text)
    if node is None or not node.value:
        before = (
            text if node is None else text[: node.start_mark.index] + text[node.end_mark.index :].lstrip()
        )
        return before + ("\n" if before and not before.endswith("\n") else "") + _block(item, 0)
    if node.flow_style:
        raise ValueError("its list is written in brackets, into which no lines can be put")
    at = node.start_mark.index
    return text[:at] + _block(item, node.start_mark.column) + " " * node.start_mark.column + text[at:]


def without_items(text: str, is_ours: Callable[[object], bool]) -> str:
    """Return the text without some of its items; "" where nothing is left.

    Raises:
        ValueError: The text is no list, or one in brackets, and an item of it is to go.
    """
    node, items = _list(text), items_of(text)
    if node is None or not any(map(is_ours, items)):
        return text
    if node.flow_style:
        raise ValueError("its list is written in brackets, out of which no lines can be taken")
    for each, item in reversed(list(zip(node.value, items, strict=True))):
        if is_ours(item):
            start = text.rfind("\n", 0, text.rindex("-", 0, each.start_mark.index)) + 1
            last = _last_scalar(each).end_mark
            end = last.index if last.column == 0 else text.find("\n", last.index) + 1
            text = text[:start] + (text[end:] if end else "")
    left = [item for item in items if not is_ours(item)]
    if items_of(text) != left:
        raise ValueError("the item of local-ai cannot be taken out without a change of the others")
    if not left:
        text = text + "[]\n" if text.strip() else ""  # comments alone are no list
    return text


def _list(text: str) -> yaml.SequenceNode | None:
    items_of(text)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return node if isinstance(node, yaml.SequenceNode) else None


def _last_scalar(node: yaml.Node) -> yaml.Node:
    """Return where an item's text ends: the mark of a mapping lies behind the comments that follow it."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return node


def _block(item: Mapping[str, object], indent: int) -> str:
    """Write an item's lines; of texts and numbers, YAML reads what JSON writes."""
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in item.items()]
    head, *others = lines
    return "".join([f"- {head}\n", *(f"{' ' * indent}  {line}\n" for line in others)])
