"""Vectors of texts are those of mlx-vlm, which the checkout has and the wheel's default install has not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.tiny_model import make_tiny_embedder, make_tiny_model

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds

TEXTS = ["the capital of france", "paris", "one two three four five six seven eight nine ten red green"]


@pytest.fixture(params=["bert", "xlm-roberta", "qwen3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "qwen3":
        return make_tiny_qwen3_embedder(tmp_path / "model")
    return make_tiny_encoder(tmp_path / "model", request.param)


def make_tiny_encoder(folder: Path, kind: str) -> Path:
    """Write weights of a kind whose tokenizer is a BERT's, in the file that no kind of model changes."""
    from transformers import AutoTokenizer

    make_tiny_embedder(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    change_config(folder, model_type=kind)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps(settings | {"tokenizer_class": "PreTrainedTokenizerFast"})
    )
    return folder


def make_tiny_qwen3_embedder(folder: Path) -> Path:
    """Write weights as Qwen3-Embedding has them: without a head, and without "model." before their names."""
    make_tiny_model(folder)
    head_size = json.loads((folder / "config.json").read_text())["hidden_size"] // 4
    change_config(
        folder,
        model_type="qwen3",
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=head_size,
        tie_word_embeddings=False,
    )
    named = {
        name.removeprefix("model."): value
        for name, value in load_file(folder / "model.safetensors").items()
        if not name.startswith("lm_head")
    }
    random = np.random.default_rng(3)
    weights: dict[str, Any] = {}
    for name, value in named.items():
        if name.endswith(("k_proj.weight", "v_proj.weight")):
            value = random.standard_normal((4 * head_size, value.shape[1])).astype(np.float32) / 8
        weights[name] = value
        if name.endswith("q_proj.weight"):
            weights[name.replace("q_proj", "q_norm")] = np.ones(head_size, np.float32)
            weights[name.replace("q_proj", "k_norm")] = np.ones(head_size, np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def embed(folder: Path, texts: list[str] = TEXTS) -> Any:
    from local_ai.engine.core.model.embedding_model import load_embedding_model

    return np.array(load_embedding_model(folder).embed(texts))


def embed_by_mlx_vlm(folder: Path) -> Any:
    import mlx.core as mx
    from transformers import AutoTokenizer

    from local_ai.engine.core.model.embedding_model import EmbeddingModel, _vectors_of_mlx_vlm

    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), padding_side="right")
    vectors = EmbeddingModel(tokenizer, _vectors_of_mlx_vlm(folder)).embed(TEXTS)
    mx.clear_cache()
    return np.array(vectors)


@pytest.mark.parametrize("mode", [None, "cls", "mean", "lasttoken", "max"])
def test_vectors_are_those_of_mlx_vlm(folder: Path, mode: str | None):
    if mode is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": mode}))

    ours, theirs = embed(folder), embed_by_mlx_vlm(folder)

    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours[0] - ours[1]).max() > 0.01, "the texts are told apart"


def test_a_text_s_vector_is_the_same_in_any_company(folder: Path):
    together = embed(folder)

    alone = np.concatenate([embed(folder, [text]) for text in TEXTS])

    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_pooling_flags_of_older_models_are_read(folder: Path):
    (folder / "1_Pooling").mkdir()
    config = folder / "1_Pooling/config.json"
    config.write_text(json.dumps({"pooling_mode": "cls"}))
    named = embed(folder)

    config.write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))

    assert (embed(folder) == named).all()


def test_unknown_pooling_is_refused_rather_than_guessed(folder: Path):
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": "weightedmean"}))

    with pytest.raises(ValueError, match="weightedmean"):
        embed(folder)


def test_a_model_s_own_code_is_not_run(tmp_path: Path):
    folder = make_tiny_embedder(tmp_path / "model")
    (folder / "mine.py").write_text("raise SystemExit(3)")
    change_config(folder, model_file="mine.py")

    with pytest.raises(ValueError, match="code of its own"):
        embed(folder)


def test_kinds_of_mlx_vlm_are_named_as_such_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = make_tiny_encoder(tmp_path / "model", "modernbert")
    monkeypatch.setitem(sys.modules, "mlx_vlm.embedding_loader", None)

    with pytest.raises(ModuleNotFoundError):
        embed(folder)
