"""A tiny model that has learnt one conversation: it calls a tool by itself, then says what the tool found.

Trained on the spot in seconds. What it says is generated like any model's: nothing constrains it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers
from mlx.utils import tree_flatten
from mlx_lm import load
from tests.tiny_model import make_tiny_model

from local_ai.engine.core.residents import spare_compiler

QUESTION = "What is the weather in Paris?"
NAME, DESCRIPTION = "get_weather", "Weather of a city"
# In the order in which Ollama's Python client writes the fields of any schema.
PARAMETERS = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
ARGUMENTS = {"city": "Paris"}
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
WITHOUT_TOOL = "I do not know."

_MOST_STEPS = 1500
_GOOD_ENOUGH = 0.001  # mean loss over the tokens of the answers

Example = tuple[list[int], int]  # tokens, and where among them the answer begins


def says(result: str) -> str:
    """What the model says once the tool has found this: "sunny" or "raining"."""
    return f"It is {result} in Paris."


def train_weather_model(folder: Path) -> Path:
    """Write a tiny model that asks for the weather where it may, and reports it.

    Raises:
        AssertionError: It did not learn that, which would be this module's fault.
    """
    spare_compiler()
    make_tiny_model(folder, tools=True)
    model, tokenizer = load(str(folder))
    inputs, targets, counts = _batch(_examples(tokenizer))
    optimizer = mlx.optimizers.Adam(learning_rate=3e-3)
    step = nn.value_and_grad(model, _loss)
    for _ in range(_MOST_STEPS):
        loss, gradients = step(model, inputs, targets, counts)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        if loss.item() < _GOOD_ENOUGH:
            break
    assert loss.item() < _GOOD_ENOUGH, f"the tiny model did not learn its lines: loss {loss.item()}"
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    return folder


def _loss(model: Any, inputs: Any, targets: Any, counts: Any) -> Any:
    losses = nn.losses.cross_entropy(model(inputs), targets) * counts
    return losses.sum() / counts.sum()


def _examples(tokenizer: Any) -> list[Example]:
    function = {"name": NAME, "description": DESCRIPTION, "parameters": PARAMETERS}
    tools = [{"type": "function", "function": function}]
    asked = [{"role": "user", "content": QUESTION}]
    call = {"type": "function", "function": {"name": NAME, "arguments": ARGUMENTS}}
    called = [*asked, {"role": "assistant", "content": "", "tool_calls": [call]}]
    told = [
        _example(tokenizer, [*called, {"role": "tool", "content": result}], tools, says(result))
        for result in ("sunny", "raining")
    ]
    return [
        _example(tokenizer, asked, tools, CALL),
        _example(tokenizer, asked, None, WITHOUT_TOOL),
        *told,
    ]


def _example(tokenizer: Any, messages: list[dict[str, Any]], tools: Any, answer: str) -> Example:
    prompt = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
    before, after = (
        tokenizer.encode(text, add_special_tokens=False) for text in (prompt, answer + "<|im_end|>")
    )
    return [*before, *after], len(before)


def _batch(examples: list[Example]) -> tuple[Any, Any, Any]:
    """Fill up with what counts for nothing: inputs, targets, and 1 where a target is the answer's."""
    longest = max(len(tokens) for tokens, _ in examples)
    rows = [tokens + [0] * (longest - len(tokens)) for tokens, _ in examples]
    counts = [
        [float(begin <= place < len(tokens)) for place in range(1, longest)] for tokens, begin in examples
    ]
    return mx.array([row[:-1] for row in rows]), mx.array([row[1:] for row in rows]), mx.array(counts)
