"""`dataclass` as in the standard library, with all its work put off until somebody needs it.

The standard one writes and compiles six methods for each class, half a millisecond; the compiler has a hundred classes
and a cold `tracec lint` calls few of those methods. Here all classes share them, `__init__` is compiled for a class
that is much used, and the standard library describes the fields when it is first asked. What comes out is a dataclass
all the same: the standard `fields`, `replace` and `asdict`, `match` and pickling work. Taken of the standard arguments:
`frozen`, `slots`, `eq`; of a field's: `default`, `default_factory`, `compare`, `repr`, `kw_only`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field", "replace"]

FEW = 100
"""So many instances are made before `__init__` is compiled: that costs as much as making them without."""

Options = dict[str, Any]
"""What a class says of a field: the standard arguments of `field`."""

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:

    def field(**options: Any) -> Any:
        """A field with options."""
        return _Given(options)

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, eq: bool = True) -> Any:
        """Make a dataclass of a class."""

        def made(cls: type) -> type:
            body = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
            own = {name: _options(body, name) for name in body.get("__annotations__", ())}
            body["__qualname__"] = cls.__qualname__
            body["__options__"] = {**getattr(cls, "__options__", {}), **own}
            body["__dataclass_fields__"] = _Described()
            named = [name for name, options in own.items() if not options.get("kw_only")]
            body["__match_args__"] = tuple(dict.fromkeys((*getattr(cls, "__match_args__", ()), *named)))
            if slots:
                body["__slots__"] = tuple(own)
            methods = METHODS | (COMPARED if eq else {}) | (FROZEN if frozen else {})
            if eq and not frozen:
                methods["__hash__"] = None
            new = type(cls)(cls.__name__, cls.__bases__, methods | body)
            if "__init__" not in body:
                new.__init__ = _init_of(new)
            return new

        return made if cls is None else made(cls)

    def replace(record: Any, /, **changes: Any) -> Any:
        """A record like another, but for some fields."""
        return type(record)(**(_state(record) | changes))


class _Given:
    """Stands in a class for a field, as a default would."""

    def __init__(self, options: Options) -> None:
        self.options = options


def _options(body: dict[str, Any], name: str) -> Options:
    """The options of a field, taken out of a class's body."""
    if name not in body:
        return {}
    value = body.pop(name)
    return value.options if isinstance(value, _Given) else {"default": value}


def _having(record: Any, option: str) -> list[tuple[str, Any]]:
    """The fields that an option does not leave out, by name, with their values."""
    return [(name, getattr(record, name)) for name, options in record.__options__.items() if options.get(option, True)]


class _Described:
    """The fields as the standard library describes them, in place of this from the first look on."""

    def __get__(self, instance: object, cls: Any) -> Any:
        import dataclasses

        body: dict[str, Any] = {"__module__": cls.__module__, "__annotations__": {}}
        for one in reversed(cls.__mro__):
            body["__annotations__"] |= vars(one).get("__annotations__", {})
        body |= {name: dataclasses.field(**options) for name, options in cls.__options__.items()}
        plain: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(type(cls.__name__, (), body))
        cls.__dataclass_fields__ = plain.__dataclass_fields__
        return plain.__dataclass_fields__


def _init_of(cls: Any) -> Any:
    """An `__init__` that has itself replaced when it is called often or with what does not fit."""
    calls = iter(range(FEW))

    def __init__(self: Any, /, *values: Any, **named: Any) -> None:
        if next(calls, None) is None or not _fill(self, cls, values, named):
            cls.__init__ = _compiled(cls)
            cls.__init__(self, *values, **named)

    return __init__


def _fill(self: Any, cls: Any, values: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Set every field; False where the values do not fit them."""
    given = dict(zip(cls.__match_args__, values, strict=False))
    if len(values) > len(given) or not named.keys().isdisjoint(given):
        return False
    given |= named
    for name, options in cls.__options__.items():
        if name in given:
            value = given.pop(name)
        elif "default" in options:
            value = options["default"]
        elif "default_factory" in options:
            value = options["default_factory"]()
        else:
            return False
        object.__setattr__(self, name, value)
    return not given


def _compiled(cls: Any) -> Any:
    """The `__init__` of a class: one parameter a field, keyword-only ones last."""
    names: dict[str, Any] = {"_set": object.__setattr__, "_missing": object()}
    line = " self.{0} = {0}" if cls.__setattr__ is object.__setattr__ else " _set(self, {0!r}, {0})"
    parameters = ["self"]
    keywords: list[str] = []
    lines: list[str] = []
    for name, options in cls.__options__.items():
        parameter = name
        if "default" in options:
            names[f"_default_{name}"] = options["default"]
            parameter = f"{name}=_default_{name}"
        elif "default_factory" in options:
            names[f"_make_{name}"] = options["default_factory"]
            parameter = f"{name}=_missing"
            lines.append(f" if {name} is _missing: {name} = _make_{name}()")
        lines.append(line.format(name))
        (keywords if options.get("kw_only") else parameters).append(parameter)
    head = ", ".join([*parameters, "*", *keywords] if keywords else parameters)
    exec("\n".join([f"def __init__({head}):", *lines]), names)
    names["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return names["__init__"]


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple([value for _, value in _having(self, "compare")])


def _eq(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={value!r}" for name, value in _having(self, "repr"))
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, *value: Any) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to or delete field {name!r}")


def _state(self: Any) -> dict[str, Any]:
    return {name: getattr(self, name) for name in self.__options__}


def _restore(self: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        object.__setattr__(self, name, value)


METHODS: dict[str, Any] = {"__repr__": _repr}
COMPARED: dict[str, Any] = {"__eq__": _eq, "__hash__": _hash}
FROZEN: dict[str, Any] = {
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__getstate__": _state,
    "__setstate__": _restore,
}
