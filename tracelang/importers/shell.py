"""The words of a shell script, with places. Nothing is run: a value that only a shell could work out stays unknown.

A line goes on where it ends in a backslash, in PowerShell's backtick or in the `^` of Windows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

SPACE = " \t\r"
BREAK = "\n;&|()<>"
VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
MAX_VALUES = 1 << 20
"""So many characters may come from variables, in all: variables made of variables could grow without end."""
CONTINUED = re.compile(r"[\\`^][ \t]*\r?\n")
FENCE = re.compile(r"^[ \t]*(```|~~~)", re.M)
ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.S)


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes; `known` unless a part of it is the shell's to work out."""

    text: str
    start: int
    end: int
    known: bool = True


@dataclass(slots=True)
class Variables:
    """What the script itself sets to a plain value."""

    values: dict[str, str] = field(default_factory=dict)
    left: int = MAX_VALUES

    def get(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is None or len(value) > self.left:
            return None
        self.left -= len(value)
        return value


class Unclosed(ValueError):
    """A quote without its end; `at` is where it opens."""

    def __init__(self, at: int) -> None:
        super().__init__("a quote is not closed")
        self.at = at


def commands(text: str) -> list[list[Word]]:
    """The commands of a script. A line that starts with `--` goes on with the command before it, as in a list of flags.

    Variables that the script sets to a plain value are put in. Raises `Unclosed`.
    """
    found: list[list[Word]] = [[]]
    values = Variables()
    at = 0
    while at < len(text):
        letter = text[at]
        if letter in SPACE:
            at += 1
        elif after := CONTINUED.match(text, at):
            at = after.end()
        elif letter == "#":
            at = _line_end(text, at)
        elif letter in BREAK:
            _closed(found, values)
            at += 1
        else:
            word = _word(text, at, values)
            if not found[-1] and word.text.startswith("--") and len(found) > 1 and found[-2]:
                found.pop()
            found[-1].append(word)
            at = word.end
    _closed(found, values)
    return [command for command in found if command]


def readable(text: str) -> tuple[list[list[Word]], Unclosed | None]:
    """The commands of a script, of a page those in its fenced blocks; and what is wrong with the first part that has
    flags and cannot be read. An apostrophe in prose is no such part.
    """
    fenced = FENCE.search(text) is not None
    if not fenced:
        try:
            whole = commands(text)
        except Unclosed:
            whole = []
        if whole and ("--" not in text or any(word.text.startswith("--") for one in whole for word in one)):
            return whole, None
    found: list[list[Word]] = []
    first: Unclosed | None = None
    for start, part in _parts(text, fenced):
        try:
            inside = commands(part)
        except Unclosed as error:
            if first is None and "--" in part:
                first = Unclosed(start + error.at)
            continue
        found += [[replace(word, start=word.start + start, end=word.end + start) for word in one] for one in inside]
    return found, first


def _parts(text: str, fenced: bool) -> Iterator[tuple[int, str]]:
    """The lines of a page, or of its fenced blocks, and where they begin, each with those that go on with it."""
    start = at = 0
    before = ""
    inside = not fenced
    for line in text.split("\n"):
        fence = fenced and FENCE.match(line)
        goes_on = line.lstrip().startswith("--") or CONTINUED.search(before + "\n", max(0, len(before) - 9))
        if fence or not goes_on:
            if inside and at > start:
                yield start, text[start:at]
            start = at
        if fence:
            inside, start = not inside, at + len(line) + 1
        at, before = at + len(line) + 1, "" if fence else line
    if inside and start < len(text):
        yield start, text[start:]


def _closed(found: list[list[Word]], values: Variables) -> None:
    """End a command; one that only sets a variable is remembered instead."""
    command = found[-1]
    if not command:
        return
    match = ASSIGNED.fullmatch(command[0].text)
    if match and len(command) == 1:
        if command[0].known:
            values.values[match[1]] = match[2]
        else:
            values.values.pop(match[1], None)
        command.clear()
    else:
        found.append([])


def _word(text: str, start: int, values: Variables) -> Word:
    parts: list[str] = []
    known = True
    at = start
    while at < len(text) and text[at] not in SPACE and text[at] not in BREAK:
        letter = text[at]
        if at > start and letter in "`^" and CONTINUED.match(text, at):
            break
        if letter == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise Unclosed(at)
            parts.append(text[at + 1 : end])
            at = end + 1
        elif letter == '"':
            inside, at, sure = _quoted(text, at, values)
            parts.append(inside)
            known = known and sure
        elif letter == "\\":
            following = text[at + 1 : at + 2]
            if following not in ("\n", "\r", ""):
                parts.append(following)
            at = text.find("\n", at) + 1 if following == "\r" and "\n" in text[at:] else at + 2
        else:
            part, at, sure = _plain(text, at, values)
            parts.append(part)
            known = known and sure
    return Word("".join(parts), start, min(at, len(text)), known)


def _quoted(text: str, start: int, values: Variables) -> tuple[str, int, bool]:
    parts: list[str] = []
    known = True
    at = start + 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and text[at + 1 : at + 2] in ('"', "\\", "$", "`", "\n"):
            parts.append(text[at + 1].replace("\n", ""))
            at += 2
        else:
            part, at, sure = _plain(text, at, values)
            parts.append(part)
            known = known and sure
    if at >= len(text):
        raise Unclosed(start)
    return "".join(parts), at + 1, known


def _plain(text: str, at: int, values: Variables) -> tuple[str, int, bool]:
    """One letter or one variable."""
    if text[at] == "`":
        return "`", at + 1, False
    if text[at] != "$":
        return text[at], at + 1, True
    match = VARIABLE.match(text, at)
    value = values.get(match[1] or match[2]) if match else None
    if match and value is not None:
        return value, match.end(), True
    return "$", at + 1, not (match or text[at + 1 : at + 2] in ("(", "{"))


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
