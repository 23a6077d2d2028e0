"""Quoted texts: escapes and normal form."""

from __future__ import annotations

import re

ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|(.))")


def unquote(literal: str) -> str:
    """The text that a quoted literal stands for, NFC. A bad escape stays as written (`bad_escapes` finds it)."""
    text = literal[1:-1]
    if "\\" in text:
        text = ESCAPE.sub(lambda match: resolved(match) or match[0], text)
    return normal(text)


def bad_escapes(literal: str) -> list[tuple[int, int]]:
    """Where in the literal an escape is none of `\\\\" \\\\\\\\ \\\\n \\\\t \\\\u{…}`, as offsets."""
    if "\\" not in literal:
        return []
    return [match.span() for match in ESCAPE.finditer(literal[:-1]) if resolved(match) is None]


def quote(text: str) -> str:
    """The literal of a text: the inverse of `unquote` for NFC text."""
    parts = []
    for character in text:
        if character in '"\\':
            parts.append("\\" + character)
        elif character == "\n":
            parts.append("\\n")
        elif character == "\t":
            parts.append("\\t")
        elif character.isprintable():
            parts.append(character)
        else:
            parts.append(f"\\u{{{ord(character):x}}}")
    return '"' + "".join(parts) + '"'


def normal(text: str) -> str:
    """NFC."""
    if text.isascii():
        return text
    from unicodedata import normalize

    return normalize("NFC", text)


def plain(text: str) -> bool:
    """Whether everything in a text is seen, but for tabs and line ends, LF or CR LF: which most texts are.

    Others are not therefore at fault: `unseen` looks at them.
    """
    rest = text.replace("\r\n", "").replace("\n", "").replace("\t", "")
    return rest.isprintable() and (rest.isascii() or not any(map(_shows_nothing, set(rest))))


def foreign(text: str) -> bool:
    """Whether a text has letters among which those are that look like ASCII: phonetic, Greek, Cyrillic and their like,
    but no Latin with accents, no Chinese, Japanese or Korean, and no emoji.
    """
    return not text.isascii() and re.search(_FOREIGN, text) is not None


_FOREIGN = "[\u0250-\u02af\u0370-\u1dff\u1f00-\u1fff\u2c00-\u2dff\ua4d0-\uabff\U00010000-\U0001efff]"
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc\ufffd\U00016fe4\U0001d159"


def _shows_nothing(character: str) -> bool:
    """Whether a printable character is one of `diagnostics.characters.HIDDEN`, or U+FFFD; without its tables."""
    if character < "\u034f":
        return False
    return (
        character in _BLANK
        or "\ufe00" <= character <= "\ufe0f"
        or "\U00013430" <= character <= "\U00013446"
        or character >= "\U000e0000"
    )


def resolved(match: re.Match[str]) -> str | None:
    """The character of an escape, None where there is no such escape."""
    if match[1] is None:
        return ESCAPES.get(match[2])
    number = int(match[1], 16)
    return chr(number) if number < 0xD800 or 0xDFFF < number < 0x110000 else None
