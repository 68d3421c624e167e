"""Tools that are called with free text.

Models call with JSON, so each is told of such a tool as a function of one text.
"""

import json

from local_ai.engine.text.conversation import Tool

_INPUT = "input"  # the function's one argument


def custom_tool(name: str, description: str | None, syntax: str | None, definition: str | None) -> Tool:
    """Describe a custom tool to a model.

    Args:
        syntax: Of its text's grammar ("lark", "regex"), in which `definition` is written; nothing holds the
            text to it.
    """
    told = [description or "", f"Call it with its whole text as {_INPUT!r}."]
    if definition:
        told.append(f"The text keeps to this {syntax or ''} grammar:\n{definition}")
    parameters = {
        "type": "object",
        "properties": {_INPUT: {"type": "string", "description": "The tool's whole text."}},
        "required": [_INPUT],
        "additionalProperties": False,
    }
    return Tool(name, "\n".join(filter(None, told)), parameters)


def custom_arguments(text: str) -> str:
    """Write a custom tool's text as the arguments of the function that models know."""
    return json.dumps({_INPUT: text}, ensure_ascii=False)


def custom_input(arguments: str) -> str:
    """Read a custom tool's text from a call; where a model has named it otherwise, its only text is meant."""
    given = json.loads(arguments)
    texts = [value for value in given.values() if isinstance(value, str)]
    if isinstance(given.get(_INPUT), str):
        return str(given[_INPUT])
    return texts[0] if len(texts) == 1 else arguments
