"""The models of this machine: a directory read, so the answer is always fresh.

A model is a folder with a `config.json` and weights in `*.safetensors`, in one of the places that `places`
knows; what is only partly downloaded is not listed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from local_ai.models.incomplete import Fault, find_fault, missing_weights, special_file
from local_ai.models.places import MOST_JSON_BYTES, candidates, is_weights
from local_ai.models.vision import answers_one_at_a_time, is_installed, is_prepared, may_see
from local_ai.printable import printable
from local_ai.settings.paths import Paths

if TYPE_CHECKING:
    from local_ai.settings.schema import NamedModelSettings

STARTER_ID = "SmolLM2-135M-Instruct"

_LAST_SECOND = 253_402_300_799  # of the year 9999, which dates end with
_MOST_OF_A_FAMILY = 100  # characters
_TRANSCRIBES = "whisper"  # a family whose models write down what they hear, and answer nothing
_MOST_OF_A_NAME = 1000  # letters that are compared: the time is their number times that of the models
_LEAST_OF_A_NAME = 3  # letters that say which model is meant


@dataclass(frozen=True)
class Model:
    """One usable model folder."""

    id: str  # what clients name: "ORG/NAME" from the hub cache, else the folder's name
    path: Path
    created: int  # seconds since 1970, when its config.json was written
    size_bytes: int  # of its weights
    family: str  # config.json's model_type, "" if it says none
    quantisation: str  # "4-bit", "" for full weights
    # By config.json's max_position_embeddings, or less by the settings; None: not said.
    context_tokens: int | None
    generates_text: bool
    sees: bool = False  # pictures may be shown to it
    one_at_a_time: bool = False  # since it sees, its answers are not generated side by side
    own: NamedModelSettings | None = None  # what the settings say of it alone


@dataclass(frozen=True)
class Incomplete:
    """A folder that looks like a model, but cannot be used as it is."""

    id: str
    path: Path
    fault: Fault
    reason: str


def list_models(paths: Paths, configured: str | None = None) -> list[Model]:
    """List every usable model, the newest first; of two with one id, the first place read wins.

    Args:
        configured: `model.path`: a folder named there is listed too, wherever it is.
    """
    found: dict[str, Model] = {}
    for name, folder in candidates(paths, configured):
        if name not in found and (model := read_model(name, folder)):
            found[name] = model
    return sorted(found.values(), key=lambda model: (-model.created, model.id))


def read_model(name: str, folder: Path) -> Model | None:
    """Describe one model folder, or None where it is not a whole one."""
    config_file = folder / "config.json"
    try:
        with os.scandir(folder) as entries:
            files = {entry.name: entry for entry in entries}
            if special_file(folder, files.values()):
                return None
            weights = {name: files[name].stat().st_size for name in files if is_weights(name)}
        stat = config_file.stat()
        if not S_ISREG(stat.st_mode) or stat.st_size > MOST_JSON_BYTES:
            return None
        traits = _read_traits(config_file, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except (OSError, ValueError, RecursionError):  # a broken or hostile file costs its own model only
        return None
    if missing_weights(folder, weights):
        return None
    return Model(
        id=name,
        path=folder,
        created=min(max(int(stat.st_mtime), 0), _LAST_SECOND),
        size_bytes=sum(weights.values()),
        family=traits.family,
        quantisation=traits.quantisation,
        context_tokens=traits.context_tokens,
        generates_text=traits.generates_text,
        sees=traits.may_see and is_prepared(files),
        one_at_a_time=traits.one_at_a_time and is_prepared(files),
    )


def list_incomplete(paths: Paths, configured: str | None = None) -> list[Incomplete]:
    """List folders that are no usable model yet, or no longer: partly downloaded, or broken.

    Args:
        configured: `model.path`: a folder named there is one too, wherever it is.
    """
    whole: set[str] = set()
    found: dict[str, Incomplete] = {}
    for name, folder in candidates(paths, configured):
        if read_model(name, folder) is not None:
            whole.add(name)
        elif name not in found and (fault := find_fault(folder)):
            found[name] = Incomplete(name, folder, *fault)
    return [one for name, one in found.items() if name not in whole]


def find_model(name: str, models: Iterable[Model]) -> Model | None:
    """Find by id, or by the folder's path; None if no model goes by that name."""
    # Not Path.expanduser: it raises for a user that does not exist, and names come from anywhere.
    folder = Path(os.path.expanduser(name)) if "/" in name else None  # noqa: PTH111
    return next((model for model in models if model.id == name or model.path == folder), None)


def nearest_names(name: str, models: Iterable[Model], *, most: int = 3) -> list[str]:
    """Suggest ids that look like the name asked for, the likeliest first; letter case is ignored.

    Those that have it in them come before those that are spelt like it: "qwen3" means "Qwen3-4B-4bit".
    """
    import difflib  # for a mistake only: every command passes through this module

    asked = name[:_MOST_OF_A_NAME].lower()
    by_lower = {model.id.lower(): model.id for model in models}
    having = [full for lower, full in by_lower.items() if len(asked) >= _LEAST_OF_A_NAME and asked in lower]
    by_lower |= {model_id.rpartition("/")[2]: full for model_id, full in by_lower.items()}
    close = difflib.get_close_matches(asked, by_lower, n=most, cutoff=0.5)
    return list(dict.fromkeys([*having, *(by_lower[match] for match in close)]))[:most]


def choose_default(
    models: Sequence[Model],
    *,
    configured: str | None,
    memory_bytes: Callable[[], int],
    settled: str | None = None,
) -> Model | None:
    """Choose the model for requests that name none.

    The configured one; else the settled one, which a start chose, as long as it is there; else the newest
    that generates text and whose weights fit in 60 % of the machine's memory, the starter model only where
    there is no other; else None.

    Args:
        memory_bytes: Reads how much memory the machine has; called only where the newest is looked for.
    """
    if configured is not None:
        return find_model(configured, models)
    if settled is not None and (chosen := find_model(settled, models)):
        return chosen
    # Less than Metal recommends on any Mac, so that a conversation has room too.
    most_bytes = 0.6 * memory_bytes()
    fitting = [model for model in models if model.generates_text and model.size_bytes <= most_bytes]
    own = [model for model in fitting if model.id != STARTER_ID]
    return next(iter(own or fitting), None)


@dataclass(frozen=True)
class _Traits:
    """The facts of a model in its config.json."""

    family: str
    quantisation: str
    context_tokens: int | None
    generates_text: bool
    may_see: bool  # where its folder says how pictures are prepared
    one_at_a_time: bool  # where it sees


@lru_cache(maxsize=4096)
def _read_traits(config_file: Path, mtime_ns: int, size: int, inode: int) -> _Traits:
    """Read a config.json; once, as long as the file is the same one (parsing is most of what a list costs).

    Raises:
        ValueError: It is not a JSON object.
    """
    config: Any = json.loads(config_file.read_bytes())
    if not isinstance(config, dict):
        raise ValueError("not an object")
    kinds = config.get("architectures")
    family = printable(str(config.get("model_type") or "")[:_MOST_OF_A_FAMILY])
    return _Traits(
        family=family,
        quantisation=_quantisation(config),
        context_tokens=context_tokens(config),
        generates_text=family != _TRANSCRIBES and _generates_text(kinds if isinstance(kinds, list) else []),
        may_see=may_see(config) and is_installed(),
        one_at_a_time=answers_one_at_a_time(config) and is_installed(),
    )


def context_tokens(config: dict[str, Any]) -> int | None:
    """Return the tokens of a model's context; None where its config.json does not say."""
    inner = config.get("text_config")
    stated = config.get("max_position_embeddings") or (
        inner.get("max_position_embeddings") if isinstance(inner, dict) else None
    )
    return stated if type(stated) is int and 0 < stated < 2**53 else None


def _quantisation(config: dict[str, Any]) -> str:
    # MLX writes "quantization", models converted from other frameworks "quantization_config".
    found = config.get("quantization") or config.get("quantization_config")
    bits = found.get("bits") if isinstance(found, dict) else None
    return f"{bits}-bit" if type(bits) is int and 0 < bits <= 64 else ""


def _generates_text(architectures: list[Any]) -> bool:
    # Hub models name their class; a folder that names none is taken at its word.
    endings = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
    return not architectures or any(str(name).endswith(endings) for name in architectures)
