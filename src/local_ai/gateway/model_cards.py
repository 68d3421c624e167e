"""The models of this machine as the page shows them: what each is and can, and whether it fits."""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_ai.entry import as_called
from local_ai.errors import whole_fix
from local_ai.models.catalog import STARTER_ID, Incomplete, Model, list_incomplete
from local_ai.models.incomplete import Fault
from local_ai.models.library import library_of
from local_ai.models.memory import total_bytes
from local_ai.models.not_found import fix_of
from local_ai.models.places import repository_of
from local_ai.models.recommended import as_of, best_for, recommended_models
from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths
from local_ai.settings.state import State
from local_ai.status.figures import why_too_large
from local_ai.status.report import Report

Abilities = Callable[[Model], Sequence[str] | None]


@dataclass(frozen=True)
class ModelCard:
    """One model that can be used."""

    id: str
    path: str
    size_bytes: int  # of its weights
    quantisation: str
    family: str
    context_tokens: int | None
    generates_text: bool
    can: tuple[str, ...] | None  # of tools, thoughts, pictures; None: not known yet
    default: bool
    default_next: bool  # the settings name it, and the running server takes it with its next start
    loaded: bool
    loading: bool
    pinned: bool  # in memory, and never unloaded by itself
    fits: bool
    too_large: str  # why it does not fit; "" where it does
    marked: str  # why requests to it are refused; "" where they are not
    aliases: tuple[str, ...]
    own: bool  # in a place that local-ai may change, so it can be removed


@dataclass(frozen=True)
class IncompleteCard:
    """A folder that cannot be used as a model as it is."""

    id: str
    path: str
    reason: str
    fix: str
    pulls: bool  # another pull makes it whole
    own: bool


@dataclass(frozen=True)
class RecommendedCard:
    """A model of the list to begin with."""

    name: str
    size_gb: float
    context_tokens: int
    licence: str
    memory_gb: float  # that a machine should have for it
    fits: bool
    here: bool


@dataclass(frozen=True)
class PeerCard:
    """Another server whose models are asked for here."""

    id: str  # its name
    url: str
    state: str  # asking | ready | away
    since: float  # seconds since 1970, when it entered that state
    why: str  # it is away
    models: tuple[str, ...]  # as they are asked for here
    paths: tuple[str, ...]  # of ours that it answers


@dataclass(frozen=True)
class ModelCards:
    """All of them."""

    models: tuple[ModelCard, ...]  # the newest first
    incomplete: tuple[IncompleteCard, ...]
    recommended: tuple[RecommendedCard, ...]  # the smallest first
    best: str | None  # of these, the largest that fits
    as_of: str  # when the list was written, YYYY-MM
    memory_bytes: int  # that this machine has
    only_starter: bool  # it is the default, so nothing better has been chosen yet
    peers: tuple[PeerCard, ...] = ()  # in the settings' order


def read_cards(state: State, report: Report, abilities: Abilities) -> ModelCards:
    """Read the model folders and the settings file."""
    library = library_of(state)
    configured = configured_default(state)
    marked = {one.model: one.reason for one in report.queue.marked_models} if report.queue else {}
    engine = report.engine
    in_memory = engine.in_memory if engine else frozenset()
    pinned = {each.id for each in engine.models if each.pinned} if engine else set()
    room = engine.loadable_bytes if engine else None

    def card(model: Model) -> ModelCard:
        too_large, can = why_too_large(model.size_bytes, room), abilities(model)
        return ModelCard(
            id=model.id,
            path=str(model.path),
            size_bytes=model.size_bytes,
            quantisation=model.quantisation,
            family=model.family,
            context_tokens=model.context_tokens,
            generates_text=model.generates_text,
            can=tuple(can) if can is not None else None,
            default=model == library.default,
            default_next=configured in (model.id, str(model.path)) and model != library.default,
            loaded=model.id in in_memory,
            loading=engine is not None and engine.loading == model.id,
            pinned=model.id in pinned,
            fits=not too_large,
            too_large=too_large,
            marked=marked.get(model.id, ""),
            aliases=tuple(library.aliases_of(model)),
            own=_is_own(model.path, state.paths),
        )

    here = {model.id for model in library.models}
    memory = total_bytes()
    listed = recommended_models()
    best = best_for(memory, listed)
    return ModelCards(
        models=tuple(map(card, library.models)),
        incomplete=tuple(
            _incomplete(one, state.paths) for one in list_incomplete(state.paths, state.settings.model.path)
        ),
        recommended=tuple(
            RecommendedCard(**vars(each), fits=each.fits(memory), here=each.name in here) for each in listed
        ),
        best=best.name if best else None,
        as_of=as_of(),
        memory_bytes=memory,
        only_starter=library.default is not None and library.default.id == STARTER_ID and configured is None,
    )


def configured_default(state: State) -> str | None:
    """Return `model.path` as the next start would find it in the settings file.

    One that the start was given by hand wins. A file that is broken counts as it was read by the start.
    """
    if given := state.given.values.get("model.path"):
        return str(given)
    try:
        file = tomllib.loads(read_regular(state.file).decode())
        found = file.get("model", {}).get("path")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError):
        return state.settings.model.path
    return found if isinstance(found, str) else None


def _incomplete(one: Incomplete, paths: Paths) -> IncompleteCard:
    is_cached = repository_of(one.path, paths) is not None
    return IncompleteCard(
        id=one.id,
        path=str(one.path),
        reason=one.reason,
        fix=as_called(whole_fix(*fix_of(one, paths))),
        pulls=is_cached and one.fault in (Fault.UNFINISHED, Fault.FILES),
        own=_is_own(one.path, paths),
    )


def _is_own(folder: Path, paths: Paths) -> bool:
    return folder.parent == paths.models_dir or repository_of(folder, paths) is not None
