"""From the words of a concept to a judge's class, by name or alias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

LEADING = ("in the style of ", "the style of ", "in ", "a ", "an ", "the ", "style of ", "by ")
TRAILING = ("'s style", " style", " artwork", " drawing", " drawings")


def plain(word: str) -> str:
    """A word as classes are compared: case folded, one blank between parts, no article."""
    return _without(" ".join(word.casefold().replace("_", " ").split()), ("a ", "an ", "the "), ())


def style(word: str) -> str:
    """The name of a style out of what people write for it: `in the style of noto`, `noto style` and `noto` are one."""
    found = " ".join(word.casefold().replace("_", " ").split())
    while (shorter := _without(found, LEADING, TRAILING)) != found:
        found = shorter
    return found


def match(words: Sequence[str], classes: Mapping[str, Iterable[str]]) -> str | None:
    """The class that `words` mean, all plain already; `classes` gives each class's aliases.

    Class names count before aliases, and a plural for its singular. None where no word fits, and where the words fit
    several classes: looking for one of them would miss the others.
    """
    for names in ({label: (label,) for label in classes}, classes):
        found = {label for word in words for label, known in names.items() if _in(word, known)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _in(word: str, known: Iterable[str]) -> bool:
    forms = {word, word.removesuffix("s"), word.removesuffix("es")}
    return any(plain(name) in forms for name in known)


def _without(word: str, leading: Sequence[str], trailing: Sequence[str]) -> str:
    for prefix in leading:
        if word.startswith(prefix) and len(word) > len(prefix):
            return word[len(prefix) :]
    for suffix in trailing:
        if word.endswith(suffix) and len(word) > len(suffix):
            return word[: -len(suffix)]
    return word
