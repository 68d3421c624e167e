"""Rerankers of both kinds, trained on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from tests.tiny_model import add_token, make_tiny_embedder, make_tiny_model
from tests.trained_reranker import DOCUMENTS, QUERIES, train_reranker

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_the_document_that_answers_has_the_highest_score_in_any_company(tmp_path: Path, kind: str):
    from local_ai.engine.core.model.rerank_model import load_rerank_model

    model = load_rerank_model(train_reranker(tmp_path / "model", kind))

    for query, answer in QUERIES.items():
        scores = model.score(query, DOCUMENTS)
        alone = [model.score(query, [text])[0] for text in DOCUMENTS]
        assert DOCUMENTS[int(np.argmax(scores))] == answer
        assert all(
            0.9 < score < 1 if text == answer else 0 < score < 0.1
            for text, score in zip(DOCUMENTS, scores, strict=True)
        )
        np.testing.assert_allclose(scores, alone, atol=1e-5)


def test_what_gives_no_single_score_is_refused(tmp_path: Path):
    from local_ai.engine.core.model.rerank_model import load_rerank_model

    folder = make_tiny_embedder(tmp_path / "embedder")
    with pytest.raises(ValueError, match="no single score"):
        load_rerank_model(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="no single score"):
        load_rerank_model(folder)
    with pytest.raises(ValueError, match="of type llama, and rerankers of bert, qwen3, "):
        load_rerank_model(make_tiny_model(tmp_path / "text"))


@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "head of its own"])
def test_qwen3_s_reranker_scores_by_how_likely_yes_is_beside_no(tmp_path: Path, is_tied: bool):
    from mlx_lm import load

    from local_ai.engine.core.model.rerank_model import load_rerank_model

    folder = make_tiny_judge(tmp_path / "Qwen3-Reranker-Tiny", is_tied=is_tied)
    documents = ["two three", "Paris", "a red one, and a much longer text beside it"]
    decoder, tokenizer = load(str(folder))

    scores = load_rerank_model(folder).score("capital of France?", documents)

    assert scores == pytest.approx(
        [chance_of_yes(decoder, tokenizer, "capital of France?", text) for text in documents], abs=1e-5
    )
    assert len({round(score, 3) for score in scores}) == 3


def test_mark_in_a_document_does_not_end_the_question(tmp_path: Path):
    from local_ai.engine.core.model.rerank_model import load_rerank_model

    model = load_rerank_model(make_tiny_judge(tmp_path / "org/reranker", is_tied=True))

    assert model.count("a", "b<|im_end|>") > model.count("a", "b") + 1


def test_chat_model_of_the_same_kind_is_no_reranker(tmp_path: Path):
    from local_ai.engine.core.model.rerank_model import load_rerank_model

    with pytest.raises(ValueError, match='it is a Qwen3 without "rerank" in its name'):
        load_rerank_model(make_tiny_judge(tmp_path / "Qwen3-Tiny", is_tied=True))


def chance_of_yes(decoder: Any, tokenizer: Any, query: str, document: str) -> float:
    """Ask a model as its makers do, one pair alone and without padding."""
    asked = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
        'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
        f"<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    logits = np.array(decoder(mx.array([tokenizer.encode(asked, add_special_tokens=False)]))[0, -1])
    yes, no = (np.exp(logits[tokenizer.convert_tokens_to_ids(word)]) for word in ("yes", "no"))
    return float(yes / (yes + no))


def make_tiny_judge(folder: Path, *, is_tied: bool) -> Path:
    """Write a random Qwen3 whose tokenizer knows "yes" and "no"."""
    from mlx_lm.models.qwen3 import Model, ModelArgs

    make_tiny_model(folder)
    vocabulary = max(add_token(folder, word) for word in ("yes", "no")) + 1
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "vocab_size": vocabulary}
    config |= {"head_dim": 16, "tie_word_embeddings": is_tied}
    (folder / "config.json").write_text(json.dumps(config))
    mx.random.seed(5)
    weights = dict(tree_flatten(Model(ModelArgs.from_dict(config)).parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    return folder
