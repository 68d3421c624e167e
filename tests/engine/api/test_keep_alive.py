"""How long a model is kept, as Ollama's clients write it."""

from __future__ import annotations

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from local_ai.engine.api.ollama.options import KeepAlive

ADAPTER: TypeAdapter[float | None] = TypeAdapter(KeepAlive)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        (0, 0),
        ("0s", 0),
        (300, 300),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (-1, math.inf),
        ("-1m", math.inf),
        (None, None),
    ],
)
def test_a_duration_is_read_as_go_writes_it_and_below_0_is_for_ever(written: object, seconds: float | None):
    assert ADAPTER.validate_python(written) == seconds


@pytest.mark.parametrize("written", ["-1", "300", "soon", True, "", "5 m"])
def test_what_go_does_not_read_is_refused(written: object):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(written)
