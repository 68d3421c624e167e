"""The models: the default, those that are damaged or do not fit, and newer versions that are not whole."""

import json
import os
from collections.abc import Iterator

from local_ai.doctor.check import Check, Place, ok, warning, wrong
from local_ai.errors import LocalAIError, whole_fix
from local_ai.lifecycle.preflight import check_model
from local_ai.models.catalog import Model, list_incomplete
from local_ai.models.incomplete import damaged_weights
from local_ai.models.library import read_library
from local_ai.models.memory import loadable_bytes
from local_ai.models.not_found import fix_of
from local_ai.models.places import newer_commit, repository_of
from local_ai.status.figures import why_too_large


def model_checks(place: Place) -> Iterator[Check]:
    """Check every model of this machine; nothing is loaded, and the hub is not asked."""
    configured = place.settings.model.path
    library = read_library(place.paths, configured=configured)
    yield _check_default(place, library.default)
    most = loadable_bytes(place.settings.models)
    faults = [fault for model in library.models if (fault := _fault_of(model, place, most))]
    faults += [
        warning(
            "models",
            f"{one.id} cannot be used",
            why=f"{one.reason} ({one.path})",
            fix=fix,
            command=command,
        )
        for one in list_incomplete(place.paths)
        for fix, command in [fix_of(one, place.paths)]
    ]
    yield from faults or [ok("models", f"{len(library.models)} here, none of them damaged or too large")]


def _check_default(place: Place, default: Model | None) -> Check:
    try:
        check_model(place.settings.model.path, place.paths)
    except LocalAIError as exc:
        return wrong("default model", exc)
    return ok("default model", default.id if default else "the starter model, which a start prepares")


def _fault_of(model: Model, place: Place, most_bytes: int) -> Check | None:
    repository = repository_of(model.path, place.paths)
    again, pull = f"copy it into {model.path} again", ""
    if repository:
        again, pull = "", f"local-ai models pull {model.id}"
    if reason := damaged_weights(model.path):
        return warning(
            "models",
            f"{model.id} is damaged",
            why=reason,
            fix=whole_fix("remove it, then", again),
            command=pull,
        )
    if reason := _broken_tokenizer(model):
        return warning("models", f"{model.id} is damaged", why=reason, fix=again, command=pull)
    if why := why_too_large(model.size_bytes, most_bytes):
        return warning(
            "models",
            f"{model.id} does not fit",
            why=why,
            fix="take a smaller one, or one with fewer bits",
        )
    if repository and newer_commit(model.path, repository):
        return warning(
            "models",
            f"a newer version of {model.id} is only partly here",
            why=f"{repository / 'refs/main'} names another version than {model.path}",
            command=pull,
        )
    return None


def _broken_tokenizer(model: Model) -> str:
    file = model.path / "tokenizer.json"
    if not os.path.exists(file):
        return ""
    try:
        json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return f"{file} cannot be read as JSON"
    return ""
