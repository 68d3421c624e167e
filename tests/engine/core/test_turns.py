"""Which models make way, and until when a model that has to may go on."""

from __future__ import annotations

from dataclasses import dataclass

from local_ai.engine.core.turns import LINGER_S, TURN_S, may_leave, models_to_unload, turn_ends


@dataclass(frozen=True)
class Model:
    """A model as the rule sees it."""

    name: str
    n_bytes: int = 10
    last_used: float = 0.0
    loaded_at: float = 0.0
    is_busy: bool = False
    is_pinned: bool = False


def names(chosen: tuple[Model, ...] | None) -> list[str] | None:
    return None if chosen is None else [model.name for model in chosen]


def test_the_longest_unused_models_make_way_and_no_more_than_are_needed():
    models = [Model("new", last_used=3), Model("old", last_used=1), Model("middle", last_used=2)]

    assert names(models_to_unload(models, 0)) == []
    assert names(models_to_unload(models, 10)) == ["old"]
    assert names(models_to_unload(models, 11)) == ["old", "middle"]
    assert names(models_to_unload(models, 31)) is None


def test_pinned_models_never_make_way_and_busy_ones_only_where_no_idle_one_is_enough():
    pinned = Model("pinned", last_used=0, is_pinned=True)
    busy = [Model("busy later", is_busy=True, loaded_at=2), Model("busy", is_busy=True, loaded_at=1)]
    idle = Model("idle", last_used=9)

    assert names(models_to_unload([pinned, *busy, idle], 10)) == ["idle"]
    assert names(models_to_unload([pinned, *busy, idle], 15)) == ["idle", "busy"]
    assert names(models_to_unload([pinned], 1)) is None


def test_a_turn_lasts_for_what_waited_as_it_began_and_for_a_bounded_time_more():
    assert turn_ends(Model("a", loaded_at=0), claimed=100) == 100 + TURN_S
    assert turn_ends(Model("a", loaded_at=200), claimed=100) == 200  # the claim waited for long already


def test_an_idle_model_is_left_to_a_client_that_asks_on_but_not_beyond_its_turn():
    model = Model("a", last_used=50)

    assert not may_leave(model, claimed=49, now=50 + LINGER_S / 2)
    assert may_leave(model, claimed=49, now=50 + LINGER_S)
    assert may_leave(model, claimed=49 - TURN_S, now=50 + LINGER_S / 2)
    assert not may_leave(Model("a", is_busy=True), claimed=0, now=1000)
