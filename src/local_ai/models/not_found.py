"""The answer to a request that names a model which is not on this machine."""

import json

from local_ai.errors import ConfigError
from local_ai.models.catalog import Incomplete
from local_ai.models.incomplete import Fault
from local_ai.models.library import ModelLibrary
from local_ai.models.places import repository_of
from local_ai.printable import shortened
from local_ai.serving.errors import ApiError
from local_ai.settings.paths import Paths

_MOST_SHOWN = 200  # characters of a name


def model_not_found(name: str, library: ModelLibrary) -> ApiError:
    """Say that no usable model goes by that name: why the one that does is none, or which come near (404).

    A name of a peer's model is one that nothing but requests can be sent to (400).

    Args:
        name: As the request or the settings have it; "" where neither names one.
    """
    if peer := library.peer_of(name):
        return model_of_peer(name, peer)
    if unusable := library.unusable(name):
        fix, command = fix_of(unusable, library.paths)
        return ApiError(
            f"the model {shortened(name, _MOST_SHOWN)!r} cannot be used",
            why=unusable.reason,
            fix=fix,
            command=command,
            status=404,
            code="model_not_found",
            param="model",
        )
    peers = "" if "@" not in name or not library.peers else f"; the peers are {', '.join(library.peers)}"
    near, any_models = library.nearest(name), bool(library.models)
    if near:
        fix = f"did you mean {' or '.join(near)}?"
    elif any_models:
        fix = "take a name that /v1/models lists" + ("" if name else ", or set model.path in config.toml")
    else:
        fix = "put a model folder where local-ai looks for them (local-ai config show), or download one with "
        fix += "local-ai models pull"
    return ApiError(
        f"the model {shortened(name, _MOST_SHOWN)!r} is not there" if name else "no model can answer",
        why=_why(name, library.target_of(name), any_models=any_models) + peers,
        fix=fix,
        status=404,
        code="model_not_found",
        param="model",
    )


def model_of_peer(name: str, peer: str) -> ApiError:
    """Say that a peer's model cannot be loaded, pinned, removed, … here (400)."""
    return ApiError(
        f"the model {shortened(name, _MOST_SHOWN)!r} is not on this machine",
        why=f"it is a model of the peer {peer}: answers are all that can be asked of it here",
        fix=f"do it on the machine of {peer}, or take the name of a model of this one",
        code="model_of_peer",
        param="model",
    )


def unusable_error(one: Incomplete, paths: Paths, *, said: str = "") -> ConfigError:
    """Say on a terminal that a folder cannot be used as a model.

    Args:
        said: What named it, a clause; "" for the command itself.
    """
    fix, command = fix_of(one, paths)
    why = f"{said}{one.reason} ({one.path})"
    return ConfigError("the model cannot be used", why=why, fix=fix, command=command)


def fix_of(one: Incomplete, paths: Paths | None) -> tuple[str, str]:
    """Say how a folder that cannot be used becomes a model: in words, and by a command that ends them."""
    match one.fault:
        case Fault.CONFIG:
            return f"correct or replace {one.path / 'config.json'}", ""
        case Fault.SPECIAL:
            return f"remove it from {one.path}, or put a regular file in its place", ""
        case Fault.FORMAT:
            return "take a conversion of it for MLX", ""
        case Fault.ADAPTER:
            place = json.dumps(str(one.path))
            return f"set model.adapter_path = {place}, and ask for the model it was made for", ""
        case Fault.UNFINISHED | Fault.FILES:
            pass
    if paths and repository_of(one.path, paths):
        name, _, revision = one.id.partition("@")
        return "", f"local-ai models pull {name}" + (f" --revision {revision}" if revision else "")
    return f"put what is missing into {one.path}", ""


def _why(name: str, target: str | None, *, any_models: bool) -> str:
    if target is not None:
        leads_to = repr(shortened(target, _MOST_SHOWN))
        return f"the settings make it an alias of {leads_to}, which is not a model on this machine"
    if name:
        return "no model on this machine has that name"
    if any_models:
        return "the request names no model, and no model on this machine can be the default"
    return "this machine has no model"
