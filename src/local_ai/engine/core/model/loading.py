"""Finds out whether a model can be loaded, disturbing nothing; says in words why one cannot."""

import json
import logging
import shlex
from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.utils import MODEL_REMAPPING

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.memory.release import freed_draws
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.core.model.weight_check import check_weights
from local_ai.engine.core.vision.loading import blindness, read_seeing_model
from local_ai.engine.errors import model_not_loadable
from local_ai.models.catalog import context_tokens
from local_ai.models.kv_cache import kv_cache_bytes
from local_ai.models.places import read_object
from local_ai.models.vision import INSTALL, REFUSED, family_of, is_installed, may_see
from local_ai.models.weight_files import MOST_TENSORS, tensor_names, weights_fault
from local_ai.printable import printable
from local_ai.serving.errors import ApiError
from local_ai.status.figures import size_in_words

log = logging.getLogger(__name__)

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "tiktoken.model")
_MOST_SHOWN = 50  # characters of a wrong value
_MOST_LAYERS = 1000  # the deepest known have 128, and each takes a millisecond to build
_MOST_ADAPTER_TENSORS = 20_000  # some 3,000 for the largest models
_ADAPTER_FIX = "name the folder that mlx_lm.lora wrote (adapters, or model.adapter_path)"
_MOST_WHOLE_BYTES = 500_000_000  # the largest tokenizer.json known has 35 MB
_READ_WHOLE = frozenset({".json", ".jinja", ".txt", ".model"})
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
    number: int = 0  # by which the other ranks know it, where several compute it


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
    key: ModelKey,
    *,
    trust_remote_code: bool,
    tokens: int,
    most_bytes: int | None,
    taken: str = "",
    ranks: int = 1,
) -> Need:
    """Find out from files alone whether a load could succeed.

    Args:
        most_bytes: What its weights and a conversation can ever have in memory; None: any.
        taken: What takes the rest, as ", for …".
        tokens: Length of that conversation, prompt and answer.
        ranks: That compute it together, each with its part of all this.

    Returns:
        What this process needs for it.

    Raises:
        ApiError: It could not, and why: 422 `model_not_loadable`.
    """
    _check_path(key)
    config = read_config(key)
    _check_sizes(key)
    _check_byte_order_marks(key)
    _check_end_tokens(key)
    _check_type(key, config, trust_remote_code=trust_remote_code)
    if not any((key.path / name).is_file() for name in _TOKENIZER_FILES):
        raise _broken(key, f"it has no tokenizer (none of {', '.join(_TOKENIZER_FILES)})")
    shards = sorted(key.path.glob("model*.safetensors"))
    if not shards:
        raise _broken(key, "it has no weights named model*.safetensors")
    for shard in shards:
        if fault := weights_fault(shard):
            raise _broken(key, f"{shard.name} {fault}")
    _check_layers(key, config, sum(len(tensor_names(shard)) for shard in shards))
    if key.adapter:
        _check_adapter(key, key.adapter)
    if key.template:
        read_template(key, key.template)
    weight_bytes = sum(shard.stat().st_size for shard in shards)
    tokens = min(tokens, context_tokens(config) or tokens)
    need = Need(weight_bytes // ranks, kv_cache_bytes(config, tokens) // ranks, tokens)
    if most_bytes is not None:
        check_memory(key, need, most_bytes=most_bytes, taken=taken)
    _check_weights(key, config, trust_remote_code=trust_remote_code)
    return need


@freed_draws()
def _check_weights(key: ModelKey, config: dict[str, Any], *, trust_remote_code: bool) -> None:
    """Compare a model's weights with its parameters, as the load will read them."""
    why = blindness(key, config)
    if why is None:
        try:
            read_seeing_model(key, config)
            return
        except Exception as exc:  # mlx-vlm and mlx raise whatever they like here
            if not is_of_mlx_lm(config):
                raise unseeing(key, exc) from exc
    elif not is_of_mlx_lm(config):
        raise not_whole(key, why)
    check_weights(key, trust_remote_code=trust_remote_code)


def unseeing(key: ModelKey, exc: Exception) -> ApiError:
    """Word what mlx-vlm says against a model's files (422 `model_not_loadable`)."""
    fix = f"correct {key.path / 'config.json'}, or take another conversion of it that mlx-vlm supports"
    return model_not_loadable(key.id, cause(exc), fix)


def not_whole(key: ModelKey, why: str) -> ApiError:
    """Refuse a model that can only be loaded to see, and cannot see (422 `model_not_loadable`)."""
    return model_not_loadable(key.id, f"{why}, and mlx-lm does not know its family", "take another model")


def sees(key: ModelKey) -> bool:
    """Return True if a model is loaded by mlx-vlm, to see; raises as `read_config`."""
    return blindness(key, read_config(key)) is None


def is_of_mlx_lm(config: dict[str, Any]) -> bool:
    """Return True if mlx-lm knows a model's family."""
    import mlx_lm.models

    family = config.get("model_type")
    known = {file.stem for folder in mlx_lm.models.__path__ for file in Path(folder).glob("*.py")}
    return isinstance(family, str) and MODEL_REMAPPING.get(family, family) in known


def read_config(key: ModelKey) -> dict[str, Any]:
    """Read a model's config.json; ApiError (422) where it is none."""
    fix = f"correct or replace {key.path / 'config.json'}"
    try:
        config = json.loads((key.path / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise model_not_loadable(key.id, f"config.json cannot be read: {exc}", fix) from exc
    if not isinstance(config, dict):
        raise model_not_loadable(key.id, "config.json is not an object", fix)
    return config


def _check_path(key: ModelKey) -> None:
    try:
        str(key.path).encode()
    except UnicodeEncodeError as exc:
        why = "the name of its folder is not UTF-8, and MLX opens no such file"
        raise model_not_loadable(key.id, why, f"rename the folder {printable(str(key.path))}") from exc


def _check_sizes(key: ModelKey) -> None:
    """Refuse a file that is read whole and would not fit in memory: a sparse one takes no disk space."""
    for file in key.path.iterdir():
        if file.suffix in _READ_WHOLE and file.is_file() and file.stat().st_size > _MOST_WHOLE_BYTES:
            size = size_in_words(file.stat().st_size)
            raise _broken(key, f"{file.name} has {size}, and no file of its kind has more than 500 MB")


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


def _check_end_tokens(key: ModelKey) -> None:
    """Check the one thing that is read of generation_config.json; mlx-lm does without one that is no JSON."""
    file = key.path / "generation_config.json"
    try:
        stated = json.loads(file.read_bytes())
        ids = stated.get("eos_token_id")
        if all(type(one) is int for one in (ids if isinstance(ids, list) else [ids or 0])):
            return
        shown = str(ids)[:_MOST_SHOWN]
        why = f"{file.name} says eos_token_id = {shown}, which is neither a number nor a list of numbers"
    except (OSError, ValueError):
        return
    except (AttributeError, RecursionError):
        why = f"{file.name} is not an object"
    raise model_not_loadable(key.id, why, f"correct or remove {file}")


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
    if is_of_mlx_lm(config) or (may_see(config) and is_installed()):
        return
    if may_see(config):
        raise model_not_loadable(
            key.id,
            f"its model_type {family!r} needs mlx-vlm, which is not installed",
            "install what models see with, then run: local-ai server restart",
            command=INSTALL,
        )
    raise model_not_loadable(
        key.id,
        f"mlx-lm does not know its model_type {family!r}"
        + (f", and {why}" if (why := REFUSED.get(family_of(config))) else ""),
        "take a model that mlx-lm supports, or a newer local-ai where the model is newer",
    )


def _check_layers(key: ModelKey, config: dict[str, Any], tensors: int) -> None:
    """Compare the layers with the tensors: the loader builds as many as the config says, before it looks."""
    inner = config.get("text_config")
    layers = (inner if isinstance(inner, dict) else config).get("num_hidden_layers")
    fix = f"correct {key.path / 'config.json'}"
    if tensors > MOST_TENSORS:
        raise _broken(key, f"its weights have {tensors} tensors, and no model has more than {MOST_TENSORS}")
    if isinstance(layers, int) and layers > tensors:
        why = f"and its weights have {tensors} tensors in all"
        raise model_not_loadable(key.id, f"config.json says num_hidden_layers = {layers}, {why}", fix)
    if isinstance(layers, int) and layers > _MOST_LAYERS:
        why = f"and no model has more than {_MOST_LAYERS}"
        raise model_not_loadable(key.id, f"config.json says num_hidden_layers = {layers}, {why}", fix)


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
        if len(tensors) > _MOST_ADAPTER_TENSORS:
            raise model_not_loadable(
                key.id,
                f"the adapter {adapter} has {len(tensors)} tensors, which is no adapter's",
                _ADAPTER_FIX,
            )
        effects = [array for name, array in tensors.items() if not name.endswith(".lora_a")]
        if any(mx.any(array != 0).item() for array in effects):
            return
        why = "changes nothing: it has no weights but zeros"
    raise model_not_loadable(
        key.id,
        f"the adapter {adapter} {why}",
        _ADAPTER_FIX,
    )


def read_template(key: ModelKey, file: Path) -> str:
    """Read the chat template that the settings name; ApiError (422) where it cannot be read."""
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
    """Compare what a model and a conversation need with what they can have; ApiError (422), with figures."""
    if need.n_bytes <= most_bytes:
        return
    most = size_in_words(max(most_bytes, 1_000_000))
    fix = "take a smaller model, or one with fewer bits, or raise models.budget"
    if need.weight_bytes <= most_bytes:
        fix = f"ask for fewer tokens (max_tokens; generation.max_tokens is the default), or {fix}"
    why = f"it does not fit: {need_in_words(need)}, and models can have {most} here{taken}"
    raise model_not_loadable(key.id, why, fix)


def _broken(key: ModelKey, why: str) -> ApiError:
    return model_not_loadable(key.id, why, f"download it again into {key.path}")


def cause(exc: Exception) -> str:
    """Say the whole of what a library says, in one line."""
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text[:500]}" if text else type(exc).__name__
