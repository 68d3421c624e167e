"""Values of arguments: JSON and literals read by parsers, texts turned into what a schema wants."""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_MOST_REFERENCES = 16  # one after another; a schema may lead in a circle
_DECODER = json.JSONDecoder(strict=False, parse_constant=str)  # raw line breaks are common; NaN is no JSON
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_KEYWORDS = {"true": True, "false": False, "null": None}


def decode_json(text: str, at: int = 0) -> tuple[Any, int]:
    """Read one JSON value; return it and where it ends. ValueError where there is none."""
    try:
        value, end = _DECODER.raw_decode(text, skip_space(text, at))
        json.dumps(value, allow_nan=False)  # 1e999 is read as infinity
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    return value, end


def skip_space(text: str, at: int) -> int:
    """Find where the white space ends that may be here."""
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def parse_value(text: str) -> Any:
    """Read a whole text as JSON, or as a literal of Python; ValueError where it is neither."""
    try:
        value, end = decode_json(text)
        if not text[end:].strip():
            return value
    except ValueError:
        pass
    try:
        return literal(ast.parse(text.strip(), mode="eval").body)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as exc:
        raise ValueError("neither JSON nor a literal") from exc


def literal(node: ast.expr) -> Any:
    """Evaluate a literal of Python in which JSON's true, false and null may stand.

    Raises:
        ValueError, TypeError: It is none, or JSON has no such value.
    """
    value = ast.literal_eval(_Keywords().visit(node))
    return json.loads(json.dumps(value, allow_nan=False))


class _Keywords(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in _KEYWORDS:
            return node
        return ast.copy_location(ast.Constant(_KEYWORDS[node.id]), node)


def ends_in_string(text: str) -> bool:
    """Return True if JSON, as far as it came, ends within a string."""
    return '"' in _STRING.sub("", text)


def convert(text: str, schema: Any, root: Mapping[str, Any], *, guesses: bool = False) -> Any:
    """Turn an argument's text into what its schema wants; a text that does not convert stays.

    Args:
        schema: The argument's own; None where none is declared.
        root: The schema that references start from.
        guesses: Whether the text of an argument without a type is read as JSON, too.
    """
    types = _types_of(schema, root)
    word = text.strip()
    if word in ("null", "None") and "null" in types:
        return None
    if "string" in types:
        return text
    if not types:
        return _guess(text, guesses=guesses)
    try:
        value = parse_value(word)
    except ValueError:
        value = word.lower()
        value = _KEYWORDS.get(value, text) if value in ("true", "false") else text
    if isinstance(value, float) and value.is_integer() and types & {"integer", "number"}:
        value = int(value)
    return value if _type_of(value) & types else text


def _guess(text: str, *, guesses: bool) -> Any:
    try:
        value = parse_value(text)
    except ValueError:
        return text
    return value if guesses or isinstance(value, dict | list) else text


def _type_of(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int):
        return {"integer", "number"}
    names = {str: "string", float: "number", list: "array", dict: "object"}
    return {names.get(type(value), "null")}


def _types_of(schema: Any, root: Mapping[str, Any], depth: int = 0) -> set[str]:
    """Name the types that a schema allows; none where it does not say."""
    if not isinstance(schema, Mapping) or depth > _MOST_REFERENCES:
        return set()
    stated = schema.get("type")
    types = {stated} if isinstance(stated, str) else set(stated) if isinstance(stated, list) else set()
    if types:
        return types
    values = schema["enum"] if isinstance(schema.get("enum"), list) else []
    values = [*values, *([schema["const"]] if "const" in schema else [])]
    types = {name for value in values for name in _type_of(value)}
    for key in ("anyOf", "oneOf", "allOf"):
        choices = schema.get(key)
        for choice in choices if isinstance(choices, list) else []:
            types |= _types_of(choice, root, depth + 1)
    if isinstance(reference := schema.get("$ref"), str):
        types |= _types_of(_referenced(reference, root), root, depth + 1)
    if not types and "properties" in schema:
        return {"object"}
    return types


def _referenced(reference: str, root: Mapping[str, Any]) -> Any:
    """Find what "#" or "#/a/b" points to; None for any other way of reference."""
    if not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference[1:].split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found if reference == "#" or reference.startswith("#/") else None
