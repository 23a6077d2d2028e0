"""What to write instead, where the tokens around a mistake tell it to the letter."""

from __future__ import annotations

import re

from tracelang.diagnostics import Edit, Fix, Source, Span
from tracelang.diagnostics.diagnostic import nearest
from tracelang.records import dataclass
from tracelang.syntax.tree import Token

UNITS = ("logsnr", "sigma", "t")
NAMING = frozenset({"concept", "group", "templates", "window", "layers", "param", "method", "as"})
DATE = re.compile(r"\d{4}-\d\d?-\d\d?")


@dataclass(frozen=True, slots=True)
class Advice:
    """A help, and the change that does it, where that is safe."""

    help: str
    fix: Fix | None = None


def advice(source: Source, before: list[Token], token: Token, after: list[Token]) -> Advice | None:
    """For a token that does not fit between others; None where they tell nothing."""
    last = before[-1] if before else None
    if last is None:
        return None
    if last.type == "NUMBER" and token.text in ("percent", "pct"):
        return _write(source, last.start, token.end, f"{last.text}%")
    if token.type == "NUMBER" and token.text[0] == "-" and last.type == "PERCENT" and len(before) > 1:
        end = after[0].end if after and after[0].type == "PERCENT" else token.end
        return _write(source, before[-2].start, end, f"{before[-2].text}%..{token.text[1:]}%")
    if token.type == "NUMBER" and last.type == "NUMBER" and (date := DATE.match(source.text, last.start)):
        return _write(source, date.start(), date.end(), f'"{date[0]}"')
    if token.type == "NUMBER" and last.type == "NAME" and after and after[0].text == "..":
        near = nearest(last.text, UNITS)
        what = f"did you mean `{near}`?" if near else "a range of progress has none"
        return Advice(f"no unit is called `{last.text}`: {what}")
    if token.text == "-" and len(before) > 1 and before[-2].text in NAMING and last.end == token.start:
        word = re.compile(r"[a-z0-9_-]+").match(source.text, last.start)
        if word:
            return Advice(f"a name has no hyphens: write `{word[0].strip('-').replace('-', '_')}`")
    if (token.text == ".." and _ends_with_param(before)) or (token.text == "param" and last.text in ("over", "seed")):
        return Advice("a param cannot stand here: write the number itself")
    return None


def _ends_with_param(before: list[Token]) -> bool:
    return len(before) > 2 and before[-2].text == "." and before[-3].text == "param"


def _write(source: Source, start: int, end: int, text: str) -> Advice:
    return Advice(f"write `{text}`", Fix(f"write `{text}`", (Edit(Span(source, start, end), text),)))
