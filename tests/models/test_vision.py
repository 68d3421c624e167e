"""Which models see, by their config.json."""

from __future__ import annotations

from typing import Any

import pytest

from local_ai.models.vision import may_see

_SEEING: dict[str, Any] = {"model_type": "gemma4", "vision_config": {}}


@pytest.mark.parametrize(
    ("config", "sees"),
    [
        (_SEEING, True),
        (_SEEING | {"model_type": "unheard_of"}, False),
        (_SEEING | {"vision_config": None}, False),
        (_SEEING | {"model_file": "own.py"}, False),
    ],
    ids=["family", "unknown family", "no eyes", "own code"],
)
def test_a_model_may_see_by_its_family_and_its_own_code_is_not_run(config: dict[str, Any], sees: bool):
    assert may_see(config) is sees
