"""Loads a model folder, after a check that disturbs nothing; says in words why one cannot be loaded."""

from __future__ import annotations

import json
import logging
import shlex
import struct
from codecs import BOM_UTF8
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import MODEL_REMAPPING, load_adapters, load_tokenizer

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.memory.cache_layers import cuts_anywhere
from local_ai.engine.core.model.tokenizer import ModelWords, make_words
from local_ai.engine.core.model.tokenizer_files import end_tokens, prepare_tokenizer, read_object
from local_ai.engine.core.model.weight_check import check_weights, read_model
from local_ai.engine.core.vision.eyes import Eyes
from local_ai.engine.core.vision.loading import blindness, read_eyes, read_seeing_model
from local_ai.engine.errors import model_not_loadable
from local_ai.models.catalog import context_tokens
from local_ai.models.kv_cache import kv_cache_bytes
from local_ai.models.vision import FAMILIES, INSTALL, is_installed
from local_ai.serving.errors import ApiError
from local_ai.status.figures import size_in_words

log = logging.getLogger(__name__)

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "tiktoken.model")
_PLAIN_TEXT_FILES = (
    "config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
)


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory."""

    words: ModelWords
    model: Any  # mlx.nn.Module
    batchable: bool  # several answers can be generated in one step
    cuts_anywhere: bool  # its attention state can be cut back to any shorter prompt
    config: dict[str, Any]  # its config.json


def held_bytes() -> int:
    """Bytes that MLX holds: arrays in use, and what it keeps for the next ones."""
    return int(mx.get_active_memory() + mx.get_cache_memory())


@dataclass(frozen=True)
class Need:
    """The memory that a model takes."""

    weight_bytes: int
    cache_bytes: int = 0  # of one conversation with it
    tokens: int = 0  # of that conversation, prompt and answer

    @property
    def n_bytes(self) -> int:
        return self.weight_bytes + self.cache_bytes


def check_model(
    key: ModelKey, *, trust_remote_code: bool, tokens: int, most_bytes: int | None, taken: str = ""
) -> Need:
    """Find out from files alone whether a load could succeed.

    Args:
        most_bytes: What its weights and a conversation can ever have in memory; None: any.
        taken: What takes the rest, as ", for …".
        tokens: Length of that conversation, prompt and answer.

    Returns:
        What it needs.

    Raises:
        ApiError: It could not, and why: 422 `model_not_loadable`.
    """
    config = _read_config(key)
    _check_byte_order_marks(key)
    _check_type(key, config, trust_remote_code=trust_remote_code)
    if not any((key.path / name).is_file() for name in _TOKENIZER_FILES):
        raise _broken(key, f"it has no tokenizer (none of {', '.join(_TOKENIZER_FILES)})")
    shards = sorted(key.path.glob("model*.safetensors"))
    if not shards:
        raise _broken(key, "it has no weights named model*.safetensors")
    _check_layers(key, config, sum(_count_tensors(key, shard) for shard in shards))
    if key.adapter:
        _check_adapter(key, key.adapter)
    if key.template:
        _read_template(key, key.template)
    weight_bytes = sum(shard.stat().st_size for shard in shards)
    tokens = min(tokens, context_tokens(config) or tokens)
    need = Need(weight_bytes, kv_cache_bytes(config, tokens), tokens)
    if most_bytes is not None:
        check_memory(key, need, most_bytes=most_bytes, taken=taken)
    _check_weights(key, config, trust_remote_code=trust_remote_code)
    return need


def load_model(key: ModelKey, *, trust_remote_code: bool) -> LoadedModel:
    """Read a checked model into memory.

    Raises:
        ApiError: 422 `model_not_loadable`, with mlx-lm's reason.
    """
    read = _read(key, trust_remote_code=trust_remote_code)
    model, config = read.model, read.config
    try:
        if key.adapter:
            load_adapters(model, str(key.adapter)).eval()
        tokenizer = load_tokenizer(
            key.path,
            {"trust_remote_code": trust_remote_code, **_unknown_modules(key)},
            eos_token_ids=config.get("eos_token_id"),
        )
        layers = make_prompt_cache(model)
        can_cut = cuts_anywhere(layers)
        if key.template:
            tokenizer.chat_template = _read_template(key, key.template)
            tokenizer.has_chat_template = True
        prepare_tokenizer(tokenizer, key.path)
        words = make_words(
            key,
            tokenizer,
            context_tokens(config),
            _embedding_rows(model),
            keeps_branches=not can_cut,
            eyes=read.eyes,
            blind_why=read.blind_why,
            eos=end_tokens(key.path),
        )
        # Building the layers draws random weights, which are then replaced. The draws are never evaluated,
        # and each holds the one before: half a megabyte more with every load, for ever.
        mx.eval(mx.random.state)
        batchable = all(hasattr(layer, "merge") for layer in layers)
    except ApiError:
        raise
    except Exception as exc:  # mlx-lm, transformers and mlx raise whatever they like here
        # Config and weights were checked: the tokenizer's files are left.
        fix = f"correct or replace the tokenizer's files in {key.path}, or take another conversion of it"
        raise model_not_loadable(key.id, _cause(exc), fix) from exc
    return LoadedModel(words, model, batchable, can_cut, config)


@dataclass(frozen=True)
class _Read:
    """A model's weights in memory."""

    model: Any
    config: dict[str, Any]
    eyes: Eyes | None = None
    blind_why: str = ""


def _read(key: ModelKey, *, trust_remote_code: bool) -> _Read:
    """Read a model with its eyes where it has some, and for text alone where these are no use."""
    config = _read_config(key)
    why = blindness(key, config)
    if why is None:
        try:
            model = read_seeing_model(key, lazy=False)
            eyes = read_eyes(key, model)
            if not all(hasattr(layer, "merge") for layer in model.make_cache()):
                raise ValueError("its layers remember in what cannot be batched")
            return _Read(model, config, eyes)
        except Exception as exc:  # mlx-vlm, transformers and mlx raise whatever they like here
            if not _is_of_mlx_lm(config):
                raise _unseeing(key, exc) from exc
            why = f"its eyes could not be loaded ({_cause(exc)})"
            log.warning("%s is loaded for text alone: %s", key.id, why)
    elif not _is_of_mlx_lm(config):
        raise _not_whole(key, why)
    model, config = read_model(key, lazy=False, trust_remote_code=trust_remote_code)
    return _Read(model, config, blind_why=why)


def _check_weights(key: ModelKey, config: dict[str, Any], *, trust_remote_code: bool) -> None:
    """Compare a model's weights with its parameters, as `_read` will read them."""
    why = blindness(key, config)
    if why is None:
        try:
            read_seeing_model(key, lazy=True)
            return
        except Exception as exc:  # as above
            if not _is_of_mlx_lm(config):
                raise _unseeing(key, exc) from exc
    elif why is not None and not _is_of_mlx_lm(config):
        raise _not_whole(key, why)
    check_weights(key, trust_remote_code=trust_remote_code)


def _unseeing(key: ModelKey, exc: Exception) -> ApiError:
    fix = f"correct {key.path / 'config.json'}, or take another conversion of it that mlx-vlm supports"
    return model_not_loadable(key.id, _cause(exc), fix)


def _not_whole(key: ModelKey, why: str) -> ApiError:
    return model_not_loadable(key.id, f"{why}, and mlx-lm does not know its family", "take another model")


def _is_of_mlx_lm(config: dict[str, Any]) -> bool:
    import mlx_lm.models

    family = config.get("model_type")
    known = {file.stem for folder in mlx_lm.models.__path__ for file in Path(folder).glob("*.py")}
    return isinstance(family, str) and MODEL_REMAPPING.get(family, family) in known


def _read_config(key: ModelKey) -> dict[str, Any]:
    fix = f"correct or replace {key.path / 'config.json'}"
    try:
        config = json.loads((key.path / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise model_not_loadable(key.id, f"config.json cannot be read: {exc}", fix) from exc
    if not isinstance(config, dict):
        raise model_not_loadable(key.id, "config.json is not an object", fix)
    return config


def _check_byte_order_marks(key: ModelKey) -> None:
    """Refuse a byte order mark where mlx-lm and transformers read plain text: it is no JSON to them."""
    for file in (key.path / name for name in _PLAIN_TEXT_FILES):
        if not file.is_file():
            continue
        with file.open("rb") as opened:
            has_mark = opened.read(len(BOM_UTF8)) == BOM_UTF8
        if has_mark:
            old, new = shlex.quote(str(file)), shlex.quote(f"{file}.new")
            raise model_not_loadable(
                key.id,
                f"{file.name} begins with a byte order mark (BOM), which its loader does not read",
                "remove these three bytes",
                command=f"tail -c +4 {old} > {new} && mv {new} {old}",
            )


def _check_type(key: ModelKey, config: dict[str, Any], *, trust_remote_code: bool) -> None:
    if config.get("model_file") is not None:
        if not trust_remote_code:
            raise model_not_loadable(
                key.id,
                "it brings Python code of its own, which is not run unless you trust it",
                "set model.trust_remote_code = true if you do, then run",
                command="local-ai server restart",
            )
        return
    family = config.get("model_type")
    if _is_of_mlx_lm(config) or (str(family) in FAMILIES and is_installed()):
        return
    if str(family) in FAMILIES:
        raise model_not_loadable(
            key.id,
            f"its model_type {family!r} needs mlx-vlm, which is not installed",
            "install what models see with, then run: local-ai server restart",
            command=INSTALL,
        )
    raise model_not_loadable(
        key.id,
        f"mlx-lm does not know its model_type {family!r}",
        "take a model that mlx-lm supports, or a newer local-ai where the model is newer",
    )


def _unknown_modules(key: ModelKey) -> dict[str, None]:
    """Name the settings of a tokenizer that ask for a module this mlx-lm does not have: it does without."""
    stated = read_object(key.path / "tokenizer_config.json")
    places = {"chat_template_type": "mlx_lm.chat_templates", "tool_parser_type": "mlx_lm.tool_parsers"}
    return {
        name: None
        for name, package in places.items()
        if stated.get(name)
        and not (str(stated[name]).isidentifier() and find_spec(f"{package}.{stated[name]}"))
    }


def _check_layers(key: ModelKey, config: dict[str, Any], tensors: int) -> None:
    """Compare the layers with the tensors: the loader builds as many as the config says, before it looks."""
    inner = config.get("text_config")
    layers = (inner if isinstance(inner, dict) else config).get("num_hidden_layers")
    if isinstance(layers, int) and layers > tensors:
        raise model_not_loadable(
            key.id,
            f"config.json says num_hidden_layers = {layers}, and its weights have {tensors} tensors in all",
            f"correct {key.path / 'config.json'}",
        )


def _count_tensors(key: ModelKey, shard: Path) -> int:
    """Count a weight file's tensors; what its header promises must be its size.

    Source: https://github.com/huggingface/safetensors#format
    """
    try:
        size = shard.stat().st_size
        with shard.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, size)))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError, struct.error) as exc:
        raise _broken(key, f"{shard.name} is damaged") from exc
    if 8 + length + max(ends, default=0) != size:
        raise _broken(key, f"{shard.name} is cut off or damaged ({size} bytes)")
    return len(ends)


def _check_adapter(key: ModelKey, adapter: Path) -> None:
    stated = read_object(adapter / "adapter_config.json")
    weights = adapter / "adapters.safetensors"
    if "peft_type" in stated or (adapter / "adapter_model.safetensors").is_file():
        why = "is PEFT's, which mlx-lm does not read"
    elif not stated:
        why = "has no adapter_config.json that can be read"
    elif not weights.is_file():
        why = "has no weights (adapters.safetensors)"
    else:
        tensors: Any = mx.load(str(weights))
        effects = [array for name, array in tensors.items() if not name.endswith(".lora_a")]
        if any(mx.any(array != 0).item() for array in effects):
            return
        why = "changes nothing: it has no weights but zeros"
    raise model_not_loadable(
        key.id,
        f"the adapter {adapter} {why}",
        "name the folder that mlx_lm.lora wrote (adapters, or model.adapter_path)",
    )


def _read_template(key: ModelKey, file: Path) -> str:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise model_not_loadable(
            key.id,
            f"its chat template {file} cannot be read: {reason}",
            "correct models.NAME.chat_template in the settings, then run: local-ai server restart",
        ) from exc
    return text


def need_in_words(need: Need) -> str:
    """Say what a model needs: "its weights need 4.2 GB of memory, a conversation of 99 tokens 1 MB"."""
    weights, cache = (size_in_words(max(n, 1_000_000)) for n in (need.weight_bytes, need.cache_bytes))
    text = f"its weights need {weights} of memory"
    return text + (f", a conversation of {need.tokens} tokens {cache}" if need.cache_bytes else "")


def check_memory(key: ModelKey, need: Need, *, most_bytes: int, taken: str) -> None:
    """Compare what a model and one conversation with it need with what they can ever have.

    Raises:
        ApiError: 422 `model_not_loadable`, with the figures.
    """
    if need.n_bytes <= most_bytes:
        return
    most = size_in_words(max(most_bytes, 1_000_000))
    fix = "take a smaller model, or one with fewer bits, or raise models.budget"
    if need.weight_bytes <= most_bytes:
        fix = f"ask for fewer tokens (max_tokens; generation.max_tokens is the default), or {fix}"
    why = f"it does not fit: {need_in_words(need)}, and models can have {most} here{taken}"
    raise model_not_loadable(key.id, why, fix)


def _embedding_rows(model: Any) -> int | None:
    """Count the token ids a model can read; a tokenizer may have more, and MLX reads past the end."""
    tables = (nn.Embedding, nn.QuantizedEmbedding)
    rows = [module.weight.shape[0] for module in model.modules() if isinstance(module, tables)]
    return max(rows, default=None)  # positions, where they are embedded too, are fewer


def _broken(key: ModelKey, why: str) -> ApiError:
    return model_not_loadable(key.id, why, f"download it again into {key.path}")


def _cause(exc: Exception) -> str:
    """Say the whole of what the library says, in one line."""
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text[:500]}" if text else type(exc).__name__
