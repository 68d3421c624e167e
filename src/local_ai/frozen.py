"""`@dataclass(frozen=True)` for the types that every command passes through, without what dataclasses costs.

Importing dataclasses (with inspect) and having it generate methods for two dozen types took 17 ms of the
64 ms of a `status`, measured on Python 3.11. For type checkers these are the real ones, and
`dataclasses.fields`, `replace` and `asdict` work: they find the real fields, made when first asked for. Only
frozen classes without base classes; anything else should use dataclasses itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:

    class _Factory:
        def __init__(self, make):
            self.make = make

    class _Fields:
        """The class's `__dataclass_fields__`, made by dataclasses itself from a copy of the class."""

        def __init__(self, annotations, defaults):
            self._annotations = annotations
            self._defaults = defaults

        def __get__(self, instance, owner):
            import dataclasses

            body = {"__annotations__": self._annotations, "__module__": owner.__module__}
            for name, default in self._defaults.items():
                is_made = isinstance(default, _Factory)
                body[name] = dataclasses.field(default_factory=default.make) if is_made else default
            twin = dataclasses.dataclass(frozen=True)(type(owner.__name__, (), body))
            owner.__dataclass_fields__ = twin.__dataclass_fields__
            return owner.__dataclass_fields__

    def field(*, default_factory):
        """Name what makes a default that must not be shared, such as `dict`."""
        return _Factory(default_factory)

    def replace(record, **changes):
        """Return the same with other values."""
        return type(record)(**record.__dict__ | changes)

    def dataclass(*, frozen):
        """Make a class of values: its annotations are the fields, in order."""
        assert frozen
        return _decorate

    def _decorate(cls):
        annotations = cls.__annotations__
        defaults = {name: cls.__dict__[name] for name in annotations if name in cls.__dict__}
        names = tuple(annotations)

        def init_(self, *values, **named):
            if len(values) > len(names):
                raise TypeError(f"{cls.__name__} takes {len(names)} values, got {len(values)}")
            given = dict(zip(names, values, strict=False))
            if twice := given.keys() & named.keys():
                raise TypeError(f"{cls.__name__} got {', '.join(sorted(twice))} twice")
            given.update(named)
            own = self.__dict__
            for name in names:
                if name in given:
                    own[name] = given.pop(name)
                elif name in defaults:
                    default = defaults[name]
                    own[name] = default.make() if isinstance(default, _Factory) else default
                else:
                    raise TypeError(f"{cls.__name__} misses {name}")
            if given:
                raise TypeError(f"{cls.__name__} has no {', '.join(sorted(given))}")

        def eq_(self, other):
            return self.__dict__ == other.__dict__ if other.__class__ is self.__class__ else NotImplemented

        def hash_(self):
            return hash(tuple(self.__dict__.values()))

        def repr_(self):
            shown = ", ".join(f"{name}={self.__dict__[name]!r}" for name in names)
            return f"{cls.__qualname__}({shown})"

        cls.__init__, cls.__eq__, cls.__hash__, cls.__repr__ = init_, eq_, hash_, repr_
        cls.__setattr__ = cls.__delattr__ = _refuse
        cls.__match_args__ = names
        cls.__dataclass_fields__ = _Fields(annotations, defaults)
        return cls

    def _refuse(self, name, *value):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")
