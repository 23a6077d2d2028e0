"""Quoted texts: escapes and normal form."""

from __future__ import annotations

import re

ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|(.))")


def unquote(literal: str) -> str:
    """The text that a quoted literal stands for, NFC. A bad escape stays as written (`bad_escapes` finds it)."""
    text = literal[1:-1]
    if "\\" in text:
        text = _ESCAPE.sub(lambda match: _resolve(match) or match[0], text)
    return normal(text)


def bad_escapes(literal: str) -> list[tuple[int, int]]:
    """Where in the literal an escape is none of `\\\\" \\\\\\\\ \\\\n \\\\t \\\\u{…}`, as offsets."""
    if "\\" not in literal:
        return []
    return [match.span() for match in _ESCAPE.finditer(literal[:-1]) if _resolve(match) is None]


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


def _resolve(match: re.Match[str]) -> str | None:
    if match[1] is None:
        return ESCAPES.get(match[2])
    number = int(match[1], 16)
    return chr(number) if number < 0xD800 or 0xDFFF < number < 0x110000 else None
