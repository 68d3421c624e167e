"""Which of mlx-vlm's families see, against the package and the page."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from local_ai.models.vision import FAMILIES, ONE_AT_A_TIME, REFUSED, answers_one_at_a_time, may_see

DOCS = Path(__file__).parents[2] / "docs"
# InternVL's would be of a tokenizer's name, which no folder gives; MiniCPM's ask whether it is wanted.
_HARMLESS = {"internvl_chat", "minicpmo", "minicpmv4_6"}


def folders() -> dict[str, Path]:
    """Return the folders of mlx-vlm's families whose modules have a tower, without importing any."""
    spec = find_spec("mlx_vlm")
    assert spec is not None
    models = Path(str(spec.origin)).parent / "models"
    return {
        file.parent.name: file.parent for file in models.glob("*/__init__.py") if "Vision" in file.read_text()
    }


def folder_of(family: str) -> str:
    from mlx_vlm.utils import get_model_type

    return str(get_model_type({"model_type": family}))


def test_every_family_with_a_tower_sees_or_is_refused_for_a_reason():
    accounted = {folder_of(family) for family in FAMILIES | ONE_AT_A_TIME | set(REFUSED)}

    assert sorted(set(folders()) - accounted) == []
    assert sorted(accounted - set(folders()) - {"inkling"}) == []
    assert not set(REFUSED) & (FAMILIES | ONE_AT_A_TIME)


def test_the_page_names_every_family_that_answers_one_at_a_time_and_every_refused_one():
    page = (DOCS / "vision.md").read_text()
    named = set(re.findall(r"`([\w.-]+)`", page))

    assert sorted(ONE_AT_A_TIME - named) == []
    for family, why in REFUSED.items():
        assert re.search(rf"^\|.*`{re.escape(family)}`.*\| {re.escape(why)} \|$", page, re.MULTILINE), family


def test_no_processor_of_a_family_that_sees_runs_code_of_models():
    trusting = {
        file.parent.name
        for family in FAMILIES | ONE_AT_A_TIME
        for file in folders()[folder_of(family)].glob("*.py")
        if "trust_remote_code=True" in file.read_text()
    }

    assert trusting - _HARMLESS == set()


@pytest.mark.parametrize(
    ("config", "sees"),
    [
        ({"model_type": "llava", "vision_config": {}}, True),
        ({"model_type": "LLaVA", "vision_config": {}}, True),
        ({"model_type": "llava"}, False),
        ({"model_type": "phi3_v"}, True),
        ({"model_type": "llava", "vision_config": {}, "model_file": "own.py"}, False),
        ({"model_type": "diffusion_gemma", "vision_config": {}}, False),
    ],
    ids=str,
)
def test_a_family_that_answers_one_at_a_time_is_told_from_its_config(config: dict[str, Any], sees: bool):
    assert may_see(config) is answers_one_at_a_time(config) is sees


def test_a_family_with_a_module_of_its_own_answers_side_by_side():
    assert not answers_one_at_a_time({"model_type": "qwen2_vl", "vision_config": {}})
