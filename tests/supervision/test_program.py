"""The nouns that come in from outside."""

from dataclasses import asdict

import pytest

from local_ai.status.health import EngineHealth, EngineState, Failure

HEALTH = EngineHealth(
    state=EngineState.BUSY,
    since=1.5,
    model="m",
    running=1,
    waiting=0,
    text="mlx-lm",
    failure=Failure("it stopped", "of rust", "oil it"),
    steps=7,
    tokens={"m": {"prompt": 5, "cached": 2, "answer": 3}},
)


def test_engine_health_survives_the_way_through_json():
    assert EngineHealth.from_json(asdict(HEALTH)) == HEALTH


def test_health_of_an_older_engine_is_read_without_what_it_does_not_know():
    raw = {name: value for name, value in asdict(HEALTH).items() if name not in ("steps", "tokens")}

    health = EngineHealth.from_json(raw)

    assert health is not None
    assert (health.state, health.steps, health.tokens) == ("busy", 0, {})


def test_health_of_a_newer_engine_is_read_without_what_we_do_not_know():
    assert EngineHealth.from_json(asdict(HEALTH) | {"colour": "green"}) == HEALTH


@pytest.mark.parametrize("raw", [None, [], "busy", {}, {"service": "local-ai"}, {"state": "asleep"}])
def test_what_is_no_health_is_none(raw: object):
    assert EngineHealth.from_json(raw) is None
