"""Characters that a reader cannot see, or does not see as what they are: in texts, comments and lists.

What a recipe erases is what a text encoder reads, and what people approve is what they see: the two have to be one.
Most of it is decided by Unicode's own general categories and character names (`unicodedata`), so that a joiner inside
a Persian or Hindi word, a selector after an ideograph and the parts of an emoji are nothing to speak of, and the same
characters in "cat" are. `text.plain` says first whether any of this is needed: a file in ASCII never comes here.

The sets below are facts of the Unicode Character Database (https://www.unicode.org/Public/UCD/, Unicode License V3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from unicodedata import category, combining, east_asian_width, name, unidata_version

from tracelang.characters import BLANK, EMPTY, HIDDEN, SELECTOR
from tracelang.diagnostics import Diagnostic, Edit, Fix, Label, Severity, Source, Span
from tracelang.records import dataclass
from tracelang.syntax.text import ESCAPE, plain, resolved
from tracelang.syntax.tree import Comment, Token

CONTROL, TURNING, INVISIBLE, DOUBTFUL = "TL109", "TL110", "TL111", "TL112"

DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""The property Bidi_Control."""

NON_JOINER, JOINER, WORD_SPACE, FULL_SPACE, LOST, KEYCAP = "\u200c", "\u200d", "\u200b", "\u3000", "\ufffd", "\u20e3"

FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
"""The flag of a part of a country: a black flag, its code in tags, and their end."""

JOINING = {
    "ARABIC", "SYRIAC", "MANDAIC", "NKO", "MONGOLIAN", "PHAGS", "ADLAM", "HANIFI", "SOGDIAN", "MANICHAEAN",
    "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM",
    "SINHALA", "MYANMAR", "KHMER", "TIBETAN", "BALINESE", "JAVANESE", "SUNDANESE", "BATAK", "CHAKMA", "GRANTHA",
    "NEWA", "TIRHUTA", "SHARADA", "KHOJKI", "MODI", "BRAHMI", "KAITHI", "LIMBU", "LEPCHA", "MEETEI",
    "SAURASHTRA",
}  # fmt: skip
"""The first word in the names of the letters of scripts that join letters, by which joiners change what is seen."""

UNSPACED = {"KHMER", "THAI", "LAO", "MYANMAR", "TIBETAN", "JAVANESE", "BALINESE", "NEW", "TAI"}
"""Of scripts that write words without a space between them."""

FORMED = {"SHORTHAND": "DUPLOYAN"} | {
    own: own for own in ["ARABIC", "SYRIAC", "KAITHI", "MONGOLIAN", "BRAILLE", "EGYPTIAN", "KHITAN", "MUSICAL"]
}
"""Scripts with format characters or blanks of their own, by the first word of those characters' names."""

CONTROLS = {
    0x00: "NULL",
    0x07: "BELL",
    0x08: "BACKSPACE",
    0x0B: "LINE TABULATION",
    0x0C: "FORM FEED",
    0x0D: "CARRIAGE RETURN",
    0x1B: "ESCAPE",
    0x7F: "DELETE",
    0x85: "NEXT LINE",
}
"""`unicodedata` has no names for them."""

MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Piece:
    """Characters to look at together, and where each begins in its source; the last place is the end of all."""

    text: str
    places: Sequence[int]
    comment: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the character at one place of a text."""

    code: str
    severity: Severity
    message: str
    help: str
    instead: str | None = ""
    """What to put in its place, where that can be known."""


def in_recipe(source: Source, tokens: Sequence[Token], comments: Sequence[Comment]) -> list[Diagnostic]:
    """What cannot be seen in the texts and comments of a recipe; and every carriage return that ends no line."""
    pieces = [literal(token.text, token.start) for token in tokens if token.type == "STRING" and not seen(token.text)]
    pieces += [raw(one.text.replace("\r", " "), one.span.start, True) for one in comments if not plain(one.text)]
    pieces += [raw("\r", at) for at in lone_returns(source.text)]
    return findings(source, pieces)


def seen(token: str) -> bool:
    """Whether a quoted text has neither an escape for a character nor anything that is not plain."""
    return plain(token) and "\\u" not in token


def lone_returns(text: str) -> Iterator[int]:
    """Where a carriage return stands without a line feed after it, the first such place of each line."""
    return (match.end() - 1 for match in re.finditer("(?:^|\n)(?:[^\r\n]|\r(?=\n))*\r(?!\n)", text))


def raw(text: str, start: int, comment: bool = False) -> Piece:
    return Piece(text, range(start, start + len(text) + 1), comment)


def literal(token: str, start: int) -> Piece:
    """The characters that a quoted text stands for, with the places at which they are written."""
    text, places, at = "", [], 1
    while at < len(token) - 1:
        match = ESCAPE.match(token, at)
        character = resolved(match) if match else " " if token[at] == "\r" else token[at]
        if match and character is None:  # reported as no such escape
            character = " "
        text += character or ""
        places.append(start + at)
        at = match.end() if match else at + 1
    return Piece(text, [*places, start + at])


def findings(
    source: Source,
    pieces: Iterable[Piece],
    limit: int = MAX_FINDINGS,
    wanted: tuple[str, ...] = (CONTROL, TURNING, INVISIBLE, DOUBTFUL),
) -> list[Diagnostic]:
    """A finding for the first fault of each wanted code in a piece, up to a limit."""
    found: list[Diagnostic] = []
    for piece in pieces:
        codes: set[str] = set()
        for start, end, fault in faults(piece.text):
            if fault.code in codes or fault.code not in wanted or (piece.comment and fault.code == DOUBTFUL):
                continue
            codes.add(fault.code)
            span = Span(source, piece.places[start], piece.places[end])
            found.append(_finding(span, fault))
            if len(found) == limit:
                return found
    return found


def _finding(span: Span, fault: Fault) -> Diagnostic:
    fix = None
    if fault.instead is not None:
        fix = Fix("write a space" if fault.instead else "remove it", (Edit(span, fault.instead),), safe=False)
    return Diagnostic(fault.code, fault.severity, fault.message, Label(span), help=fault.help, fix=fix)


def faults(text: str) -> Iterator[tuple[int, int, Fault]]:
    """Every fault of a text without line ends, neighbours of one code as one."""
    if text.replace("\n", " ").replace("\t", " ").isprintable() and not HIDDEN.search(text) and LOST not in text:
        return
    flags = {at for match in FLAG.finditer(text) for at in range(*match.span())}
    last: tuple[int, int, Fault] | None = None
    for at, character in enumerate(text):
        if " " <= character <= "~" or character in "\t\n" or at in flags:
            continue
        fault = _fault(text, at)
        if last and fault and last[1] == at and last[2].code == fault.code:
            last = (last[0], at + 1, last[2])
            continue
        if last:
            yield last
        last = (at, at + 1, fault) if fault else None
    if last:
        yield last


def called(character: str) -> str:
    """A character by its number and name: `U+200B ZERO WIDTH SPACE`."""
    words = CONTROLS.get(ord(character)) or name(character, "")
    return f"U+{ord(character):04X} {words}".rstrip()


def refused(text: str) -> str:
    """The first character of a text that no recipe may hold, by number and name, or nothing."""
    return next((called(text[start]) for start, _, fault in faults(text) if fault.severity == "error"), "")


def _fault(text: str, at: int) -> Fault | None:
    character = text[at]
    sort = category(character)
    if sort == "Cc" or sort in ("Zl", "Zp"):
        return _control(character)
    if sort == "Cs" or (sort == "Cn" and (character in NEVER or ord(character) & 0xFFFE == 0xFFFE)):
        return Fault(CONTROL, "error", f"U+{ord(character):04X} is no character", "remove it")
    if character in DIRECTION:
        message = f"{called(character)} turns the direction of writing: what is read is not what is seen"
        return Fault(TURNING, "error", message, "remove it; right-to-left letters need no such mark")
    if EMPTY.match(character):
        return _invisible(character)
    if sort == "Zs":
        return None if _space_of_its_script(text, at) else _blank(character)
    if character == LOST:
        message = f"{called(character)} stands where a letter was lost when the file was converted"
        return Fault(DOUBTFUL, "warning", message, "write the letter that was meant")
    if character == WORD_SPACE and {_script(text, at - 1), _script(text, at + 1)} & UNSPACED:
        message = f"{called(character)} cannot be seen, and makes this another text than the same without it"
        return Fault(DOUBTFUL, "warning", message, "remove it, unless the text encoder was trained on it")
    if sort == "Cf" or BLANK.match(character) or SELECTOR.match(character):
        return None if _has_a_use(text, at) else _invisible(character)
    if sort == "Co":
        message = f"U+{ord(character):04X} is for private use: what it shows depends on the font"
        return Fault(DOUBTFUL, "warning", message, "write what is meant in letters")
    if sort == "Cn" and not _pictograph(character):
        message = f"U+{ord(character):04X} is no character of Unicode {unidata_version}"
        return Fault(DOUBTFUL, "warning", message, "remove it, unless a newer Unicode has it")
    return None


NEVER = frozenset(map(chr, range(0xFDD0, 0xFDF0)))
"""Noncharacters, beside the last two of every plane."""


def _control(character: str) -> Fault:
    what = called(character)
    if character == "\r":
        message = f"{what} alone ends a line for some readers and not for others"
        return Fault(CONTROL, "error", message, "end every line with LF, or with CR LF", None)
    if character in "\u2028\u2029\x85\x0b\x0c":
        message, help = f"{what} ends a line for some readers and not for others", "remove it, or begin a new line"
    else:
        message, help = f"{what} is a control character: it cannot be seen, and may steer what shows it", "remove it"
    return Fault(CONTROL, "error", message, help)


def _invisible(character: str) -> Fault:
    message = f"{called(character)} cannot be seen here, and makes this another text than the one that is read"
    return Fault(INVISIBLE, "error", message, "remove it")


def _blank(character: str) -> Fault:
    return Fault(DOUBTFUL, "warning", f"{called(character)} looks like a space and is none", "write a space", " ")


def _space_of_its_script(text: str, at: int) -> bool:
    around = (text[max(at - 1, 0) : at], text[at + 1 : at + 2])
    if text[at] == FULL_SPACE:
        return any(one and east_asian_width(one) in "WF" for one in around)
    return text[at] == "\u1680" and "OGHAM" in (_script(text, at - 1), _script(text, at + 1))


def _has_a_use(text: str, at: int) -> bool:
    """Whether a format character, a selector or a blank does something where it stands that is seen."""
    character = text[at]
    before, after = text[max(at - 1, 0) : at], text[at + 1 : at + 2]
    if character in (NON_JOINER, JOINER):
        return _joins(text, at) or (character == JOINER and _pictograph(after) and _pictograph(_base(text, at)))
    if character in "\ufe0e\ufe0f":
        return _pictograph(before) or (before != "" and before in "0123456789#*" and after == KEYCAP)
    if "\ufe00" <= character <= "\ufe0d":
        wide = before != "" and (category(before) == "Sm" or east_asian_width(before) in "WF")
        return wide or _script(text, at - 1) in ("MYANMAR", "PHAGS")
    if SELECTOR.match(character):
        return _script(text, at - 1) == "CJK"
    own = FORMED.get(_script(text, at), "")
    around = [_script(text, i) for i in (at - 1, at + 1) if 0 <= i < len(text) and _shows(text[i])]
    # a sign around a number is seen
    return own != "" and (own in around or (own in ("ARABIC", "KAITHI") and after != "" and category(after) == "Nd"))


def _joins(text: str, at: int) -> bool:
    """Whether a joiner stands where it changes the form of a letter of its script."""
    if not _shaped(text, at - 1):
        return False
    if _shaped(text, at + 1) or combining(text[at - 1]) == VIRAMA:
        return True
    return text[at] == JOINER and _script(text, at - 1) == "ARABIC"


VIRAMA = 9
"""The combining class of the signs that take a consonant's vowel away."""


def _shaped(text: str, at: int) -> bool:
    return 0 <= at < len(text) and category(text[at])[0] in "LM" and _script(text, at) in JOINING


def _shows(character: str) -> bool:
    return category(character)[0] in "LMNPS" and not HIDDEN.match(character)


def _base(text: str, at: int) -> str:
    """The emoji before a place, past its selector and the tone of its skin."""
    at -= 1
    while at > 0 and (text[at] in "\ufe0e\ufe0f" or "\U0001f3fb" <= text[at] <= "\U0001f3ff"):
        at -= 1
    return text[at] if at >= 0 else ""


def _pictograph(character: str) -> bool:
    """Whether a character may be an emoji, of this or of a later version of Unicode."""
    if not character or character.isascii():
        return False
    if "\U0001f000" <= character <= "\U0001faff" or "\U0001fc00" <= character <= "\U0001fffd":
        return True
    return category(character) in ("So", "Sm") or character in "\u203c\u2049\u2139\u3030"


def _script(text: str, at: int) -> str:
    """The first word of a character's name, which for letters is their script's."""
    return re.split("[ -]", name(text[at], ""), maxsplit=1)[0] if 0 <= at < len(text) else ""
