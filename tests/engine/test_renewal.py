"""When the engine begins anew, and when it must not."""

from importlib.metadata import version
from typing import Any

import pytest

from local_ai.engine.health import HealthBoard
from local_ai.engine.renewal import Renewal

OWN = version("local-ai")


class RestingBoard(HealthBoard):
    """A board that says how long it has rested."""

    def __init__(self, rest_s: float) -> None:
        super().__init__("mlx-lm")
        self._rest_s = rest_s

    def rests_without_model_s(self) -> float:
        return self._rest_s


def renewal(*, rest_s: float = 3, keeps: bool = False, own_version: str = OWN) -> Renewal:
    return Renewal(RestingBoard(rest_s), [lambda: False, lambda: keeps], own_version=own_version)


def test_engine_at_rest_without_a_model_begins_anew():
    assert renewal().is_due()


@pytest.mark.parametrize(
    "reason",
    [{"rest_s": 1.0}, {"keeps": True}, {"own_version": "0.0.0"}],
    ids=["not for long", "keeps what may be asked for", "another version is installed now"],
)
def test_engine_stays_as_it_is(reason: dict[str, Any]):
    assert not renewal(**reason).is_due()


def test_rest_begins_when_a_model_is_put_away_and_ends_with_a_request():
    board = HealthBoard("mlx-lm")
    board.imported(loads_next=False)
    never_loaded = board.rests_without_model_s()
    board.loaded("m")
    loaded = board.rests_without_model_s()

    board.loaded(None)
    put_away = board.rests_without_model_s()
    board.count(running=1, waiting=0)
    board.count(running=0, waiting=0)

    assert (never_loaded, loaded, board.rests_without_model_s()) == (0, 0, 0)
    assert put_away > 0
