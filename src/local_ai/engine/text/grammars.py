"""Grammars of answers, as llguidance reads them: JSON of a schema, a call of a tool, or either.

Every schema stays a document of its own, so that its references mean what they meant where it came from.
"""

import json
import re
from typing import Any
from urllib.parse import quote

from local_ai.engine.core.job import Grammar
from local_ai.engine.core.model.tokenizer import ModelWords, native_tokenizer
from local_ai.engine.errors import bad_field
from local_ai.engine.formats.format import CallFormat, Channels
from local_ai.engine.text.conversation import Ask, Tool

_IN_URI = "/:?#@!$&'()*+,;=%~"
_VALUES = ("const", "enum", "default", "examples")  # keys whose values are no schemas
_NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")  # schemas by name
# Free whitespace would let a model fill its whole answer with it.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def make_grammar(
    ask: Ask, words: ModelWords, *, in_thought: bool, schema_field: str, tools_field: str
) -> Grammar | None:
    """Write what constrains an answer; None where nothing does.

    Args:
        in_thought: The prompt ends inside a thought, which stays free.
        schema_field: What an error calls the answer's schema; `tools_field` the tools'.

    Raises:
        ApiError: 400, naming the field, for a schema that cannot be kept to.
    """
    forced = ask.tool_choice.kind in ("required", "named")
    if not forced and ask.schema is None:
        return None
    param = tools_field if forced else schema_field
    if native_tokenizer(words.tokenizer) is None:
        raise bad_field(
            param,
            f"the tokenizer of {words.key.id!r} is not of the kind that answers can be constrained for",
            "leave it out, or take a model with a tokenizer.json",
        )
    after = words.encode(words.thought.end) if in_thought and words.thought else []
    rules = _Rules(words)
    if forced:
        wanted = [
            tool for tool in ask.tools if ask.tool_choice.kind != "named" or tool.name == ask.tool_choice.name
        ]
        text = rules.forced(wanted)
    else:
        assert ask.schema is not None
        may_call = bool(ask.tools) and ask.tool_choice.kind == "auto"
        text = rules.answer(ask.schema, ask.tools if may_call else (), several=ask.tool_choice.parallel)
    _check(text, param)
    return Grammar(text, tuple(after))


def _check(text: str, param: str) -> None:
    # Only now: most requests need no grammar, and the library takes a moment to load.
    from llguidance import LLMatcher

    try:
        problem = LLMatcher.validate_grammar(text)
    except ValueError as exc:
        problem = str(exc)
    if problem:
        reason = problem.strip().splitlines()[0].partition("failed to compile JSON schema: ")
        raise bad_field(
            param,
            f"an answer cannot be constrained to its schema: {(reason[2] or reason[0])[:300]}",
            "simplify the schema",
        )


class _Rules:
    """Writes a grammar's rules, in Lark's notation.

    Source: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
    """

    def __init__(self, words: ModelWords) -> None:
        self._words = words
        # A special token is no text to llguidance: it is named by its id.
        self._special = {
            str(token.content): int(number)
            for number, token in getattr(words.tokenizer, "added_tokens_decoder", {}).items()
            if token.special
        }

    def forced(self, tools: list[Tool]) -> str:
        """Write the rules of one call, in JSON of our own."""
        lines = [f"start: {' | '.join(f'call_{at}' for at in range(len(tools)))}"]
        for at, tool in enumerate(tools):
            head = f'{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "arguments": '
            lines += [f"call_{at}: {_text(head)} arguments_{at} {_text('}')}", _arguments(at, tool)]
        return "\n".join(lines)

    def answer(self, schema: str, tools: tuple[Tool, ...], *, several: bool) -> str:
        """Write the rules of an answer: JSON of a schema, or calls as the model writes them."""
        form = self._words.format
        lines = ["start: " + self._before(form.channels) + ("(answer | calls)" if tools else "answer")]
        header = self._marked(form.channels.answer) + " " if form.channels else ""
        lines += [f"answer: {header}schema", _json_rule("schema", json.loads(schema))]
        if tools:
            names = " | ".join(f"call_{at}" for at in range(len(tools)))
            more = f'("\\n"? ({names}))*' if several and not form.channels else ""
            # Calls with marks of their own stand in a message, and those without are messages themselves.
            lines.append(f"calls: {header if form.calls.openings else ''}({names}){more}")
        if form.channels:
            lines.append("TEXT: /(.|\\n)*/")
        for at, tool in enumerate(tools):
            lines += [f"call_{at}: {self._call(form.calls, tool, at)}", _arguments(at, tool)]
        return "\n".join(lines)

    def _before(self, channels: Channels | None) -> str:
        thought = self._words.format.thought
        if not channels or not thought:
            return ""
        end = self._marked(f"{thought.end}{channels.opens[0]}assistant")
        return f"({self._marked(thought.start)} TEXT {end})? "

    def _call(self, calls: CallFormat, tool: Tool, at: int) -> str:
        name = tool.name if calls.bare_name else json.dumps(tool.name, ensure_ascii=False)
        before, between, after = calls.written
        closing = self._marked(after)
        return f"{self._marked(before + name + between)} arguments_{at} {closing}"

    def _marked(self, text: str) -> str:
        """Write a text in which special tokens may be."""
        found = sorted((token for token in self._special if token in text), key=len, reverse=True)
        parts = re.split("(" + "|".join(map(re.escape, found)) + ")", text) if found else [text]
        written = (
            f"<[{self._special[part]}]>" if part in self._special else _text(part) for part in parts if part
        )
        return " ".join(written)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _arguments(at: int, tool: Tool) -> str:
    schema: dict[str, Any] = dict(tool.parameters)
    if not {"$ref", "anyOf", "oneOf", "allOf", "enum", "const"} & schema.keys():
        schema["type"] = "object"  # a client takes nothing else for arguments
    return _json_rule(f"arguments_{at}", schema)


def _json_rule(name: str, schema: Any) -> str:
    stated = _readable(schema) if isinstance(schema, dict) else {"allOf": [schema]}
    return f"{name}: %json {json.dumps(stated | {'x-guidance': _SPACING})}"


def _readable(schema: Any) -> Any:
    """Write a schema's references as URIs, and leave out drafts that llguidance does not know.

    Generators name definitions after classes ("Page[int]", "Größe"), which a URI holds percent-encoded only.
    """
    if isinstance(schema, list):
        return [_readable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _readable_value(key, value) for key, value in schema.items() if not _is_draft(key, value)}


def _readable_value(key: str, value: Any) -> Any:
    if key == "$ref" and isinstance(value, str):
        return quote(value, safe=_IN_URI)
    if key in _NAMED and isinstance(value, dict):
        return {name: _readable(each) for name, each in value.items()}
    return value if key in _VALUES else _readable(value)


def _is_draft(key: str, value: Any) -> bool:
    return key == "$schema" and isinstance(value, str) and "//json-schema.org/" not in value
