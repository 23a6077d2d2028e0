"""Text that is no token: what to say about it, and which token stands in for it so that reading goes on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from unicodedata import category, combining, normalize

from tracelang.characters import HIDDEN
from tracelang.diagnostics import Diagnostic, Edit, Fix, Label, Source, Span
from tracelang.syntax.phrases import phrases
from tracelang.syntax.text import quote

QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019'`"


BOUNDS = {"<": ("AT_MOST", "<="), ">": ("AT_LEAST", ">=")}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stretch without a token, the finding about it, and the type and text of its stand-in, if it has one."""

    finding: Diagnostic
    start: int
    end: int
    stand_in: tuple[str, str] | None = None


def unreadable(source: Source, at: int, word: int | None, keywords: Iterable[str]) -> Unreadable:
    """What stands at `at`; `word`: where the name begins that ends there, if one does."""
    character = source.text[at]
    if character == '"':
        return _unclosed(source, at)
    if character in QUOTES:
        return _curly(source, at)
    if (character.isalpha() or character == "_") and not HIDDEN.match(character):
        return _word(source, at, word, keywords)
    span = Span(source, at, at + 1)
    name = character if character.isprintable() else ascii(character)[1:-1]
    if character not in phrases().character and not " " < character <= "~":
        return _named(span, name)
    fix = Fix("remove it", (Edit(span, ""),)) if character == ";" else None
    help = phrases().character.get(character, "")
    if character in BOUNDS:
        kind, bound = BOUNDS[character]
        fix = Fix(f"write `{bound}`", (Edit(span, bound),))
        return Unreadable(_error("TL104", f"`{name}` has no meaning here", span, help, fix), at, at + 1, (kind, bound))
    if character == ":" and word is not None and source.text[word:at] in ("names", "probes", "templates"):
        help = f'write `{source.text[word:at]} "…"`, without a mark'
        fix = Fix("remove it", (Edit(span, ""),))
    return Unreadable(_error("TL104", f"`{name}` has no meaning here", span, help, fix), at, at + 1)


def _named(span: Span, name: str) -> Unreadable:
    """A character that most keyboards do not have: its number and name say what it is."""
    from tracelang.syntax.unseen import called

    character = span.text
    if category(character) == "Zs":
        help = f"it is {called(character)}, which looks like a space and is none: write a space"
        fix = Fix("write a space", (Edit(span, " "),))
    elif not character.isprintable() or HIDDEN.match(character):
        help = f"it is {called(character)}, which cannot be seen: remove it"
        fix = Fix("remove it", (Edit(span, ""),), safe=False)
    else:
        help, fix = f"it is {called(character)}; quote it if it is part of a text", None
    return Unreadable(_error("TL104", f"`{name}` has no meaning here", span, help, fix), span.start, span.end)


def _unclosed(source: Source, at: int) -> Unreadable:
    end = source.text.find("\n", at)
    end = len(source.text) if end < 0 else end
    help = 'close it with " on the same line; write a line break as \\n'
    finding = _error("TL103", "this text has no closing quote", Span(source, at, end), help)
    return Unreadable(finding, at, end, ("STRING", '""'))


def _curly(source: Source, at: int) -> Unreadable:
    """A text in other quotes: up to the quote that closes it, else the mark alone."""
    text = source.text
    closing = re.compile(f'[{QUOTES}"\n]').search(text, at + 1)
    span = Span(source, at, at + 1)
    message = "texts stand in straight double quotes"
    if closing is None or closing[0] in '"\n':
        return Unreadable(_error("TL104", message, span, 'write "…"'), at, at + 1)
    end = closing.end()
    literal = quote(text[at + 1 : end - 1])
    fix = Fix(f"write {literal}", (Edit(Span(source, at, end), literal),))
    return Unreadable(_error("TL104", message, span, 'write "…"', fix), at, end, ("STRING", literal))


def _word(source: Source, at: int, word: int | None, keywords: Iterable[str]) -> Unreadable:
    text = source.text
    end = at + 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    start = at if word is None else word
    span = Span(source, start, end)
    if word is None and at and text[at - 1].isdigit():
        message = "a number is made of digits, a point and an exponent"
        return Unreadable(_error("TL104", message, Span(source, at, end), "write `1000`, `0.5` or `1e-3`"), at, end)
    plain = _plain(span.text)
    foreign = next((letter for letter in span.text if letter.isalpha() and not _plain(letter)), "")
    if foreign:
        return _foreign(span, foreign, plain, keywords)
    advice = f"write `{plain}`, or quote it if it is a text" if plain else "quote it if it is a text"
    message = "a name is made of a-z, 0-9 and _, and starts with a letter"
    fix = Fix(f"write `{plain}`", (Edit(span, plain),), safe=False) if plain else None
    return Unreadable(_error("TL104", message, span, advice, fix), start, end, ("NAME", plain or "unreadable"))


def _plain(text: str) -> str:
    """The name that is left of a word, without capitals and accents."""
    return re.sub(r"[^a-z0-9_]", "", normalize("NFKD", text).lower()).lstrip("_0123456789")


def _foreign(span: Span, letter: str, plain: str, keywords: Iterable[str]) -> Unreadable:
    """A word with a letter that is none of a-z under its accent: nobody can tell which was meant, but for a keyword."""
    from tracelang.syntax.unseen import called

    message = f"`{letter}` in this word is {called(letter)}: a name is made of a-z, 0-9 and _"
    if not plain:
        finding = _error("TL104", message, span, "quote it if it is a text")
        return Unreadable(finding, span.start, span.end, ("NAME", "unreadable"))
    letters = (one if one.isascii() else "." for one in normalize("NFKD", span.text).lower() if not combining(one))
    shape = re.compile("".join(letters))
    meant = next((word for word in keywords if word.isalpha() and shape.fullmatch(word)), "")
    if meant:
        fix = Fix(f"write `{meant}`", (Edit(span, meant),), safe=False)
        finding = _error("TL104", message, span, f"write `{meant}` in Latin letters", fix)
        return Unreadable(finding, span.start, span.end, ("NAME", meant))
    finding = _error("TL104", message, span, "write the whole word in Latin letters, or quote it if it is a text")
    return Unreadable(finding, span.start, span.end, ("NAME", plain))


def _error(code: str, message: str, span: Span, help: str, fix: Fix | None = None) -> Diagnostic:
    return Diagnostic(code, "error", message, Label(span), help=help, fix=fix)
