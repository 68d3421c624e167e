"""Facts of a tokenizer in a model's files that the loader passes over."""

import json
from pathlib import Path
from typing import Any

from local_ai.models.places import read_object


def end_tokens(folder: Path) -> frozenset[int]:
    """Collect the tokens that end an answer, of config.json and generation_config.json: one may be stale."""
    config = read_object(folder / "config.json")
    inner = config.get("text_config")
    stated = [
        config,
        inner if isinstance(inner, dict) else {},
        read_object(folder / "generation_config.json"),
    ]
    found: set[int] = set()
    for one in stated:
        ids = one.get("eos_token_id")
        found |= {number for number in (ids if isinstance(ids, list) else [ids]) if type(number) is int}
    return frozenset(found)


def prepare_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Give a tokenizer the template of chat_template.json, and the bytes of one that works on bytes."""
    template = read_object(folder / "chat_template.json").get("chat_template")
    if not tokenizer.chat_template and isinstance(template, str):
        tokenizer.chat_template = template
        tokenizer.has_chat_template = True
    if "ByteLevel" in json.dumps(read_object(folder / "tokenizer.json").get("pre_tokenizer")):
        _decode_bytes(tokenizer, folder)


def _decode_bytes(tokenizer: Any, folder: Path) -> None:
    """Let tokenizer.json decide: transformers takes a class's pre-tokenizer and decoder for the file's."""
    from tokenizers import Tokenizer, decoders

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return
    if not _works_on_bytes(backend.pre_tokenizer):
        tokenizer._tokenizer._tokenizer = backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if not _works_on_bytes(backend.decoder):
        backend.decoder = decoders.ByteLevel()


def _works_on_bytes(part: Any) -> bool:
    return part is not None and b"ByteLevel" in part.__getstate__()
