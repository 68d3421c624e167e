"""A model's format of thoughts and calls, told from its folder alone: nothing is loaded."""

from pathlib import Path
from typing import Any

from local_ai.engine.formats.families import choose_format
from local_ai.engine.formats.format import Format
from local_ai.models.places import read_object
from local_ai.regular_file import read_regular


def read_format(folder: Path) -> Format:
    """Tell from a folder's chat template and added tokens what is understood of its model.

    Files that are missing or broken count as empty.
    """
    config = read_object(folder / "tokenizer_config.json")
    parser = config.get("tool_parser_type")
    tokens = _added_tokens(folder, config)
    return choose_format(_template(folder, config), tokens, parser=parser if isinstance(parser, str) else "")


def read_template(folder: Path) -> str:
    """Read a folder's chat template; "" where it has none."""
    return _template(folder, read_object(folder / "tokenizer_config.json"))


def _added_tokens(folder: Path, config: dict[str, Any]) -> set[str]:
    stated = config.get("added_tokens_decoder")
    if isinstance(stated, dict):
        listed: Any = [*stated.values()]
    else:  # half a second for the largest
        listed = read_object(folder / "tokenizer.json").get("added_tokens")
    each = listed if isinstance(listed, list) else []
    return {str(one.get("content")) for one in each if isinstance(one, dict)}


def _template(folder: Path, config: dict[str, Any]) -> str:
    """Read a template; as in transformers, its own file comes first, and "default" of several."""
    try:
        return read_regular(folder / "chat_template.jinja").decode()
    except (OSError, ValueError):
        stated = config.get("chat_template") or read_object(folder / "chat_template.json").get(
            "chat_template"
        )
    if isinstance(stated, list):
        named = {one.get("name"): one.get("template") for one in stated if isinstance(one, dict)}
        stated = named.get("default")
    return stated if isinstance(stated, str) else ""
