"""Our light `@dataclass(frozen=True)`, beside the real one."""

import copy
import dataclasses

import pytest

from local_ai import frozen


def make(decorate, field):
    @decorate(frozen=True)
    class Point:
        """A point."""

        x: int
        y: int = 2
        names: dict[str, int] = field(default_factory=dict)

        @property
        def sum(self) -> int:
            return self.x + self.y

    return Point


Light, Real = make(frozen.dataclass, frozen.field), make(dataclasses.dataclass, dataclasses.field)


@pytest.mark.parametrize("values", [((1,), {}), ((1, 3), {}), ((), {"x": 1, "names": {"a": 1}})])
def test_it_is_made_and_shown_as_the_real_one(values):
    positional, named = values
    light, real = Light(*positional, **named), Real(*positional, **named)

    assert dataclasses.asdict(light) == dataclasses.asdict(real)
    assert (repr(light), light.sum) == (repr(real), real.sum)


@pytest.mark.parametrize(
    "values", [((), {}), ((1, 2, {}, 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})], ids=str
)
def test_wrong_values_are_refused_as_by_the_real_one(values):
    positional, named = values

    for one in (Light, Real):
        with pytest.raises(TypeError):
            one(*positional, **named)


def test_equal_values_are_equal_and_hash_alike():
    assert Light(1) == Light(1, 2)
    assert Light(1) != Light(2)
    assert Light(1) != Real(1)

    hashable = make(frozen.dataclass, frozen.field)(1, 2, ())
    assert hash(hashable) == hash(copy.copy(hashable))


def test_nothing_can_be_changed():
    point = Light(1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x


def test_a_made_default_is_not_shared():
    assert Light(1).names is not Light(1).names


def test_dataclasses_own_functions_work():
    moved = dataclasses.replace(Light(1), y=5)

    assert moved == Light(1, 5)
    assert [field.name for field in dataclasses.fields(Light)] == ["x", "y", "names"]
    assert dataclasses.is_dataclass(moved)


def test_it_can_be_matched():
    match Light(1):
        case Light(x, y):
            assert (x, y) == (1, 2)
