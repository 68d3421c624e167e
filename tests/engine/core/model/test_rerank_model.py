"""Rerankers of both kinds, trained on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.tiny_model import make_tiny_embedder, make_tiny_model
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
    with pytest.raises(ValueError, match="of type llama, and rerankers of bert, "):
        load_rerank_model(make_tiny_model(tmp_path / "text"))
