"""Rerankers: BERT's kin with one score at their end, such as BGE's and the MiniLM ones; and Qwen3's."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.utils import load_model
from transformers import AutoTokenizer

from local_ai.engine.core.array import Array
from local_ai.engine.core.model.encoder import (
    KINDS,
    POSITIONS_AFTER_PADDING,
    Encoder,
    EncoderConfig,
)
from local_ai.engine.core.model.judging_reranker import KIND, JudgingReranker, load_judging_reranker
from local_ai.engine.core.model.tokenizer import remember_no_words


class CrossEncoder(Encoder):
    """Reads a query and a document together.

    Source: https://github.com/huggingface/transformers, BertForSequenceClassification and
    XLMRobertaForSequenceClassification.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.is_bert = config.model_type not in POSITIONS_AFTER_PADDING
        if self.is_bert:
            self.pooler = {"dense": nn.Linear(size, size)}
            self.classifier = nn.Linear(size, 1)
        else:
            self.classifier = {"dense": nn.Linear(size, size), "out_proj": nn.Linear(size, 1)}

    @property
    def unused(self) -> tuple[str, ...]:
        return tuple(name for name in super().unused if not (self.is_bert and name == "pooler."))

    def logits(self, tokens: Array, mask: Array, segments: Array) -> Array:
        """Return one a pair; `segments` tells a pair's texts apart, 0 and 1."""
        first = self(tokens, mask, segments)[:, 0]
        if self.is_bert:
            return self.classifier(mx.tanh(self.pooler["dense"](first)))[:, 0]
        return self.classifier["out_proj"](mx.tanh(self.classifier["dense"](first)))[:, 0]


class EncodingReranker:
    """One of BERT's kin."""

    def __init__(self, tokenizer: Any, encoder: CrossEncoder) -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder

    def count(self, query: str, document: str) -> int:
        """Count a pair's tokens, those that the tokenizer adds among them."""
        return len(self._tokenizer.encode(query, document))

    def score(self, query: str, documents: list[str]) -> list[float]:
        """Tell how well each document answers the query: 0 to 1."""
        read = self._tokenizer(
            [query] * len(documents),
            documents,
            padding=True,
            return_tensors="np",
            return_token_type_ids=True,
        )
        tokens, mask = mx.array(read["input_ids"]), mx.array(read["attention_mask"])
        # RoBERTa's kin have one segment alone, whatever a tokenizer says.
        segments = mx.array(read["token_type_ids"]) if self._encoder.is_bert else mx.zeros_like(tokens)
        logits = self._encoder.logits(tokens, mask, segments).astype(mx.float32)
        scores: Array = mx.sigmoid(logits)
        return scores.tolist()  # type: ignore[no-any-return]


RerankModel = EncodingReranker | JudgingReranker


def load_rerank_model(folder: Path) -> RerankModel:
    """Read a reranker; raises as mlx-lm, transformers and MLX where it cannot be read, or it is none."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_file") is not None:
        raise ValueError("it brings Python code of its own, which is not run here")
    if config.get("model_type") == KIND:
        return load_judging_reranker(folder)
    if config.get("model_type") not in KINDS:
        kinds = ", ".join(sorted({*KINDS, KIND}))
        raise ValueError(f"it is of type {config.get('model_type')}, and rerankers of {kinds} are known")
    labels = len(config.get("id2label") or ("0", "1"))
    if labels != 1 or not str((config.get("architectures") or [""])[0]).endswith("SequenceClassification"):
        raise ValueError("it gives no single score to a pair of texts")
    tokenizer = AutoTokenizer.from_pretrained(str(folder), padding_side="right")
    remember_no_words(tokenizer)
    encoder, _ = load_model(folder, get_model_classes=lambda config: (CrossEncoder, EncoderConfig))
    return EncodingReranker(tokenizer, encoder)
