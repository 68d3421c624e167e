"""Reads a request's body field by field, so that none is ignored: each is taken, or refused by name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from local_ai.engine.errors import EngineError, bad_field

_SHORT = 80


class Fields:
    """A JSON object whose fields are taken one after the other; null counts as absent."""

    def __init__(self, body: object, *, at: str = "") -> None:
        if not isinstance(body, dict):
            raise bad_field(at or "the body", "it must be a JSON object", "send a JSON object")
        self._left: dict[str, Any] = {name: value for name, value in body.items() if value is not None}
        self._at = at
        self._taken: set[str] = set()
        self._refused: set[str] = set()

    def name(self, field: str) -> str:
        """Name a field as an error does: with the way to it."""
        return f"{self._at}.{field}" if self._at else field

    @property
    def known(self) -> frozenset[str]:
        """Every field asked about so far, whether it was there or not."""
        return frozenset(self._taken | self._refused)

    def has(self, field: str) -> bool:
        return field in self._left

    def any(self, field: str) -> Any:
        self._taken.add(field)
        return self._left.pop(field, None)

    def text(self, field: str, *, required: bool = False) -> str | None:
        value = self._required(field) if required else self.any(field)
        if value is not None and not isinstance(value, str):
            raise self.wrong(field, value, "a text")
        return value

    def flag(self, field: str, default: bool = False) -> bool:
        value = self.any(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(field, value, "true or false")
        return value

    def number(self, field: str, *, least: float, most: float) -> float | None:
        value = self.any(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(field, value, f"a number from {least:g} to {most:g}")
        if not least <= value <= most:
            raise self.wrong(field, value, f"from {least:g} to {most:g}")
        return float(value)

    def integer(self, field: str, *, least: int, most: int) -> int | None:
        value = self.any(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(field, value, f"a whole number from {least} to {most}")
        if not least <= value <= most:
            raise self.wrong(field, value, f"from {least} to {most}")
        return value

    def items(self, field: str, *, required: bool = False) -> list[Any] | None:
        value = self._required(field) if required else self.any(field)
        if value is not None and not isinstance(value, list):
            raise self.wrong(field, value, "a list")
        return value

    def part(self, field: str) -> Fields | None:
        """Take an object, to read field by field in turn."""
        value = self.any(field)
        return None if value is None else Fields(value, at=self.name(field))

    def choice(self, field: str, allowed: Iterable[str]) -> str | None:
        value = self.any(field)
        allowed = tuple(allowed)
        if value is not None and value not in allowed:
            raise self.wrong(field, value, f"one of {', '.join(allowed)}")
        return None if value is None else str(value)

    def refuse(self, reasons: Mapping[str, str]) -> None:
        """Refuse the known fields that cannot be honoured, with the reason for each."""
        self._refused |= reasons.keys()
        for field, why in reasons.items():
            if self.has(field):
                raise bad_field(self.name(field), why, "leave it out")

    def drop(self, fields: Iterable[str]) -> None:
        """Take fields that ask for nothing an answer depends on."""
        for field in fields:
            self.any(field)

    def finish(self) -> None:
        """Refuse whatever was not taken: nobody here knows it."""
        for field in self._left:
            near = difflib.get_close_matches(field, self._taken, n=1)
            raise bad_field(
                self.name(field)[:_SHORT],
                "there is no such field here",
                f"did you mean {near[0]}?" if near else "leave it out",
                code="unknown_parameter",
            )

    def wrong(self, field: str, value: object, expected: str) -> EngineError:
        shown = repr(value)
        shown = shown if len(shown) <= _SHORT else shown[: _SHORT - 1] + "…"
        return bad_field(
            self.name(field), f"it must be {expected}, got {shown}", "correct it or leave it out"
        )

    def _required(self, field: str) -> Any:
        value = self.any(field)
        if value is None:
            raise bad_field(self.name(field), "it is required and missing", "add it")
        return value
