"""When the engine begins anew, and when it must not."""

import signal
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from local_ai.engine.__main__ import _Stopping
from local_ai.engine.health import HealthBoard
from local_ai.engine.process.self_restart import SelfRestart
from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings
from local_ai.settings.state import make_state, write_state

OWN = version("local-ai")


class RestingBoard(HealthBoard):
    """A board that says how long it has rested."""

    def __init__(self, rest_s: float) -> None:
        super().__init__("mlx-lm")
        self._rest_s = rest_s

    def rests_without_model_s(self) -> float:
        return self._rest_s


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config", tmp_path, tmp_path / "data", tmp_path / "hub", tmp_path / "cache")


def is_due(paths: Paths, *, rest_s: float = 3, keeps: bool = False, started_by: str | None = OWN) -> bool:
    if started_by is not None:
        write_state(replace(make_state(LocalAISettings(), paths), version=started_by), paths.state_file)
    return SelfRestart(RestingBoard(rest_s), [lambda: False, lambda: keeps], paths.state_file).is_due()


def test_engine_at_rest_without_a_model_begins_anew(paths: Paths):
    assert is_due(paths)


@pytest.mark.parametrize(
    "reason",
    [{"rest_s": 1.0}, {"keeps": True}, {"started_by": "0.0.0"}, {"started_by": None}],
    ids=[
        "not for long",
        "keeps what may be asked for",
        "another version is installed now",
        "a new one could not read its settings",
    ],
)
def test_engine_stays_as_it_is(paths: Paths, reason: dict[str, Any]):
    assert not is_due(paths, **reason)


def test_signal_that_came_before_the_end_is_not_forgotten():
    told, not_told = _Stopping(), _Stopping()
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        with pytest.raises(SystemExit):
            told.stop(signal.SIGTERM, None)

        assert (told.let_signals_end_it(), not_told.let_signals_end_it()) == (False, True)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)


def test_rest_begins_when_a_model_is_unloaded_and_ends_with_a_request():
    board = HealthBoard("mlx-lm")
    board.imported(loads_next=False)
    never_loaded = board.rests_without_model_s()
    board.loaded("m")
    loaded = board.rests_without_model_s()

    board.loaded(None)
    unload = board.rests_without_model_s()
    board.count(running=1, waiting=0)
    board.count(running=0, waiting=0)

    assert (never_loaded, loaded, board.rests_without_model_s()) == (0, 0, 0)
    assert unload > 0
