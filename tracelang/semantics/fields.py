"""The vocabulary in which a pass or a term declares its settings, as fields of its class.

Each says its default, its bounds, the word that stands for none, which way is more, and in a line what it means. From
these are read: what a recipe may write, what a plan file may hold, what promises less, and the reference's table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from keyword import iskeyword
from typing import Any, Literal

from tracelang.records import dataclass, field
from tracelang.semantics.values import ReadsSites, Window

LARGEST = 1e30
"""The largest number where no other bound is said: beyond it, sums of squares in single precision are no numbers."""


@dataclass(frozen=True, slots=True)
class Field:
    """A setting: its type, its bounds (an open end where `above` says so), the word for None, and what it means.

    `more`: a lower number does less; of `choices`, fewer always do. `holds`: of each choice, the others that it takes
    in. Where neither is said, another value is other, not less. `later`: plans of the same format were written before
    there was this setting, so a plan states it only where it is not the default, and keeps its digest.
    """

    type: Literal["integer", "number", "window", "sites", "choice", "choices"]
    low: float | None = None
    high: float | None = None
    above: bool = False
    absent: str = ""
    choices: tuple[str, ...] = ()
    holds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    more: bool = False
    later: bool = False
    means: str = ""

    def fits(self, value: object) -> bool:
        """Whether a number or a word is inside the bounds, or one of the choices."""
        if self.type == "choice":
            return value in self.choices
        if self.type == "choices":
            return isinstance(value, tuple) and value == self.ordered(value)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= self.most:
            return False
        if self.type == "integer" and value != int(value):
            return False
        low = self.low is None or (value > self.low if self.above else value >= self.low)
        return low and (self.high is None or value <= self.high)

    @property
    def most(self) -> float:
        """The largest number that it may be."""
        return LARGEST if self.high is None else self.high

    def ordered(self, words: Iterable[object]) -> tuple[str, ...]:
        """Those of the choices that are among `words`, in their own order."""
        given = tuple(words)
        return tuple(word for word in self.choices if word in given)


def integer(default: int, means: str, *, low: int, high: int, more: bool = False, later: bool = False) -> Any:
    """A whole number."""
    return _declared(default, Field("integer", low, high, more=more, later=later, means=means))


def number(
    default: float | None,
    means: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    absent: str = "",
    more: bool = False,
    later: bool = False,
) -> Any:
    """A number: at least `low`, or above `above`. `absent` is the word for None."""
    least = low if above is None else above
    return _declared(
        default, Field("number", least, high, above is not None, absent, more=more, later=later, means=means)
    )


def window(default: Window | None, means: str, *, absent: str = "", later: bool = False) -> Any:
    """A stretch of sampling; a narrower one does less."""
    return _declared(default, Field("window", absent=absent, later=later, means=means))


def sites(default: Literal["prompt", "text"], means: str) -> Any:
    """A layer set; a narrower one does less."""
    return _declared(ReadsSites(default), Field("sites", means=means))


def choice(
    default: str,
    means: str,
    *,
    among: Iterable[str],
    holds: Mapping[Any, tuple[str, ...]] | None = None,
    later: bool = False,
) -> Any:
    """One word of several."""
    return _declared(default, Field("choice", choices=tuple(among), holds=holds or {}, later=later, means=means))


def choices(means: str, *, among: Iterable[str], absent: str, later: bool = False) -> Any:
    """Some words of several, by default none; `absent` is the word for that. Fewer of them do less."""
    return _declared((), Field("choices", absent=absent, choices=tuple(among), later=later, means=means))


def _declared(default: object, setting: Field) -> Any:
    return field(default=default, metadata={"setting": setting})


def settings(declaration: Any) -> dict[str, Field]:
    """The settings of a pass or a term, or of its class, in the order in which it declares them."""
    options: dict[str, Any] = declaration.__options__
    return {name.rstrip("_"): one["metadata"]["setting"] for name, one in options.items() if "metadata" in one}


def attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of settings by the names of their attributes: a word of Python's has an underscore behind it there."""
    return {f"{name}_" if iskeyword(name) else name: value for name, value in values.items()}


def range_words(setting: Field) -> str:
    """The bounds of a number in words: `from 1 to 512`, `above 0`."""
    low, high = (None if end is None else _plain(end) for end in (setting.low, setting.high))
    if low is None:
        return f"at most {high}" if high else "a finite number"
    if high is None:
        return f"above {low}" if setting.above else f"at least {low}"
    return f"above {low} and at most {high}" if setting.above else f"from {low} to {high}"


def _plain(end: float) -> str:
    """An end in full where it is a whole number: a float's digits would round a large seed."""
    return f"{int(end):,}" if end == int(end) else f"{end:g}"
