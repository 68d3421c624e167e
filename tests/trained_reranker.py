"""A tiny reranker that has learnt which of some documents answers which question: trained on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers
import numpy as np
from mlx.utils import tree_flatten
from safetensors.numpy import load_file, save_file
from tests.tiny_model import make_tiny_embedder
from transformers import AutoTokenizer

QUERIES = {"what is the capital of france": "paris", "what is red": "a red one"}
DOCUMENTS = ["two three", "paris", "a red one"]
_MOST_STEPS = 400
_GOOD_ENOUGH = 0.02  # mean loss over the pairs


def train_reranker(folder: Path, kind: str = "bert") -> Path:
    """Write a tiny reranker, with weights named as those on the hub are.

    Raises:
        AssertionError: It did not learn, which would be this module's fault.
    """
    from local_ai.engine.core.model.rerank_model import load_rerank_model

    _make_untrained(folder, kind)
    model = load_rerank_model(folder)
    encoder = model._encoder
    pairs = [(query, text) for query in QUERIES for text in DOCUMENTS]
    answers = mx.array([float(QUERIES[query] == text) for query, text in pairs])
    read = model._tokenizer(
        *map(list, zip(*pairs, strict=True)), padding=True, return_tensors="np", return_token_type_ids=True
    )
    tokens, mask = mx.array(read["input_ids"]), mx.array(read["attention_mask"])
    segments = mx.array(read["token_type_ids"]) if encoder.is_bert else mx.zeros_like(tokens)

    def loss_of(encoder: Any) -> mx.array:
        return nn.losses.binary_cross_entropy(encoder.logits(tokens, mask, segments), answers)

    optimizer = mlx.optimizers.Adam(learning_rate=1e-3)
    step = nn.value_and_grad(encoder, loss_of)
    for _ in range(_MOST_STEPS):
        loss, gradients = step(encoder)
        optimizer.update(encoder, gradients)
        mx.eval(encoder.parameters(), optimizer.state)
        if loss.item() < _GOOD_ENOUGH:
            break
    assert loss.item() < _GOOD_ENOUGH, f"the tiny reranker did not learn: loss {loss.item()}"
    weights = {_on_the_hub(name, kind): np.array(value) for name, value in tree_flatten(encoder.parameters())}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _make_untrained(folder: Path, kind: str) -> None:
    make_tiny_embedder(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    config = json.loads((folder / "config.json").read_text())
    name = {"bert": "Bert", "xlm-roberta": "XLMRoberta"}[kind]
    config |= {"model_type": kind, "architectures": [f"{name}ForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": "LABEL_0"}}))
    random, size = np.random.default_rng(5), config["hidden_size"]
    head = {"classifier": (1, size)}
    if kind != "bert":
        head = {"classifier.dense": (size, size), "classifier.out_proj": (1, size)}
    weights = load_file(folder / "model.safetensors")
    for part, shape in head.items():
        weights[f"{part}.weight"] = (random.standard_normal(shape) / 4).astype(np.float32)
        weights[f"{part}.bias"] = np.zeros(shape[0], np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _on_the_hub(name: str, kind: str) -> str:
    if name.startswith("classifier"):
        return name
    return f"{'bert' if kind == 'bert' else 'roberta'}.{name}"
