"""Pydantic's findings, ready to be put into words: the way to the field, its bounds and choices."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    path: tuple[str | int, ...]  # names and places in lists; the tags of unions are left out
    kind: str  # pydantic's error type
    value: Any
    message: str  # pydantic's words
    context: dict[str, Any] = field(default_factory=dict)
    siblings: tuple[str, ...] = ()  # the fields that are known where it is
    notes: tuple[Any, ...] = ()  # what the field's annotation says besides its type

    @property
    def name(self) -> str:
        """Write the way to it: "messages[0].content"."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.removeprefix(".")

    @property
    def choices(self) -> tuple[str, ...]:
        """List what a value must be one of."""
        stated = str(self.context.get("expected_tags") or self.context.get("expected") or "")
        return tuple(re.findall(r"'([^']*)'", stated)) or ((stated,) if stated else ())

    def bound(self, name: Literal["ge", "gt", "le", "lt"]) -> float | int | None:
        """Return a bound of a number, None if it has no such."""
        return next((getattr(note, name) for note in self.notes if hasattr(note, name)), None)


def read_finding(error: ErrorDetails, model: type[BaseModel]) -> Finding:
    """Find the field that an error is about."""
    walk = _Walk([model])
    for part in error["loc"]:
        walk.step(part)
    return Finding(
        path=tuple(walk.path),
        kind=error["type"],
        value=error.get("input"),
        message=error["msg"],
        context=error.get("ctx", {}),
        siblings=tuple(walk.siblings),
        notes=tuple(walk.notes),
    )


class _Walk:
    """A way into a model, part by part."""

    def __init__(self, models: list[type[BaseModel]]) -> None:
        self.path: list[str | int] = []
        self.siblings: list[str] = []
        self.notes: list[Any] = []
        self._models = models

    def step(self, part: str | int) -> None:
        if isinstance(part, int):
            self.path.append(part)
            return
        if len(self._models) > 1 and (tagged := [m for m in self._models if _has_tag(m, part)]):
            self._models = tagged
            return
        known = [model.model_fields[part] for model in self._models if part in model.model_fields]
        self.siblings = [name for model in self._models for name in model.model_fields]
        if known:
            self.path.append(part)
            self.notes = [*known[0].metadata, *_notes(known[0].annotation)]
            self._models = [inner for each in known for inner in _models(each.annotation)]
        elif others := [inner for model in self._models for inner in _models(_extras(model))]:
            self.path.append(part)
            self.notes, self._models = [], others
        elif self._models and not part.startswith("("):
            # A key that no model knows; a union's own tags begin with a bracket.
            self.path.append(part)
            self.notes, self._models = [], []


def _extras(model: type[BaseModel]) -> Any:
    """Return the type of a model's keys that it does not name."""
    return get_type_hints(model).get("__pydantic_extra__")


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    return any(tag in _literals(each.annotation) for each in model.model_fields.values())


def _literals(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(value for inner in _inside(annotation) for value in _literals(inner))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for inner in get_args(annotation):
        yield from _models(inner)


def _notes(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        for note in get_args(annotation)[1:]:
            yield from note.metadata if isinstance(note, FieldInfo) else (note,)
    for inner in _inside(annotation):
        yield from _notes(inner)


def _inside(annotation: Any) -> Iterable[Any]:
    return get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
