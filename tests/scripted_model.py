"""A model that says what it is told to say, once per turn, however long the conversation is.

Agents send prompts of tens of thousands of tokens, which no model of a test's size can follow. Here each
line is one token, and the template ends a prompt in a token that tells whose turn it was: the weights say
which line follows which token, and attention adds nothing. All else is as with any model: the tokenizer
reads every word, the prompt is prefilled and remembered, and a tool call is found in the answer's text.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tests.tiny_model import make_tiny_model

_HIDDEN = 16
_SAYING_HIDDEN = 256  # as many pieces may an answer have
_AFTER = {"user": "<|after_user|>", "tool": "<|after_tool|>"}
_END = "<|im_end|>"


def make_scripted_model(
    folder: Path, *, to_user: str, to_tool: str, context_tokens: int = 131_072, tokenizer: Path | None = None
) -> Path:
    """Write a model that answers the user with one line and a tool's result with the other.

    Args:
        tokenizer: A model's folder whose tokenizer.json to use; a tiny one makes a token of each letter.
    """
    make_tiny_model(folder, tools=True, context_tokens=context_tokens, layers=1, hidden=_HIDDEN)
    if tokenizer is not None:
        (folder / "tokenizer.json").write_text((tokenizer / "tokenizer.json").read_text())
    lines = {"user": to_user, "tool": to_tool}
    ids = _add_tokens(
        folder / "tokenizer.json", [*_AFTER.values(), *lines.values(), "<tool_call>", "</tool_call>"]
    )
    follows = {ids[_AFTER[turn]]: ids[line] for turn, line in lines.items()}
    follows |= {ids[line]: ids[_END] for line in lines.values()}
    _write_template(folder / "tokenizer_config.json")
    _write_weights(folder, ids, follows, _HIDDEN)
    return folder


def make_saying_model(
    folder: Path, says: str, *, template: str = "", special: tuple[str, ...] = (), piece: int = 5
) -> Path:
    """Write a model that answers everything with one text, a few characters a token.

    Args:
        template: What its chat template has in a comment: the marks that tell a family.
        special: Texts that are special tokens of their own, each at most once in what it says.
    """
    make_tiny_model(folder, tools=True, layers=1, hidden=_SAYING_HIDDEN)
    chain = [_AFTER["user"], *_pieces(says, special, piece), _END]
    ids = _add_tokens(folder / "tokenizer.json", chain, special=special)
    follows = {ids[one]: ids[upcoming] for one, upcoming in itertools.pairwise(chain)}
    _write_template(folder / "tokenizer_config.json", comment=template)
    _write_weights(folder, ids, follows, _SAYING_HIDDEN)
    return folder


def _pieces(says: str, special: tuple[str, ...], size: int) -> list[str]:
    """Cut a text into pieces that are all different, for what follows a token is always the same."""
    pieces: list[str] = []
    parts = re.split("(" + "|".join(map(re.escape, special)) + ")", says) if special else [says]
    for part in parts:
        at = 0
        while at < len(part):
            length = len(part) if part in special else size
            while part[at : at + length] in pieces or len(part) - at - length == 1:
                length += 1
            pieces.append(part[at : at + length])
            at += length
    return pieces


def call(name: str, **arguments: object) -> str:
    """Write the line that calls a tool."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def _write_weights(folder: Path, ids: dict[str, int], follows: dict[int, int], hidden: int) -> None:
    vocabulary = max(ids.values()) + 1
    config = json.loads((folder / "config.json").read_text())
    config |= {"vocab_size": vocabulary, "num_attention_heads": 1, "num_key_value_heads": 1}
    config |= {"eos_token_id": ids[_END], "bos_token_id": ids["<|im_start|>"]}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(_weights(vocabulary, follows, hidden), folder / "model.safetensors", metadata={"format": "mlx"})


def _add_tokens(file: Path, texts: list[str], *, special: tuple[str, ...] = ()) -> dict[str, int]:
    """Add tokens that stand for whole texts; return every added token's id."""
    tokenizer = json.loads(file.read_text())
    added = {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}
    upcoming = max([*tokenizer["model"]["vocab"].values(), *added.values()]) + 1
    for text in texts:
        if text in added:
            continue
        if text in tokenizer["model"]["vocab"]:
            added[text] = tokenizer["model"]["vocab"][text]
            continue
        tokenizer["added_tokens"].append(
            {
                "id": upcoming,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": text in special,
            }
        )
        added[text] = upcoming
        upcoming += 1
    file.write_text(json.dumps(tokenizer))
    return added


def _write_template(file: Path, *, comment: str = "") -> None:
    config = json.loads(file.read_text())
    ends = "{% if messages[-1]['role'] == 'tool' %}<|after_tool|>{% else %}<|after_user|>{% endif %}"
    config["chat_template"] = config["chat_template"].replace(
        "<|im_start|>assistant\n{% if thinking_model", f"<|im_start|>assistant\n{ends}{{% if thinking_model"
    )
    config["chat_template"] += f"{{# {comment} #}}" if comment else ""
    file.write_text(json.dumps(config))


def _weights(vocabulary: int, follows: dict[int, int], hidden: int) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    embed = np.zeros((vocabulary, hidden), np.float32)
    head = np.zeros((vocabulary, hidden), np.float32)
    embed[:, hidden - 1] = 1  # every other token points nowhere in particular
    for place, (token, line) in enumerate(follows.items()):
        embed[token] = np.eye(hidden, dtype=np.float32)[place]
        head[line, place] = 10
    weights = {
        "model.embed_tokens.weight": embed,
        "lm_head.weight": head,
        "model.norm.weight": np.ones(hidden, np.float32),
    }
    at = "model.layers.0."
    for name in ("input_layernorm", "post_attention_layernorm"):
        weights[f"{at}{name}.weight"] = np.ones(hidden, np.float32)
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        weights[f"{at}self_attn.{name}.weight"] = np.zeros((hidden, hidden), np.float32)
    for name, shape in (
        ("gate_proj", (2 * hidden, hidden)),
        ("up_proj", (2 * hidden, hidden)),
        ("down_proj", (hidden, 2 * hidden)),
    ):
        weights[f"{at}mlp.{name}.weight"] = np.zeros(shape, np.float32)
    return weights
