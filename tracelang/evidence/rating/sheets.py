"""A rater's sheet: a CSV with what is in each picture. Whoever gives one is not trusted."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tracelang.evidence.rating.errors import RatingError
from tracelang.evidence.rating.kept import AND, NONE
from tracelang.evidence.rating.key import Key
from tracelang.text import few

SHEET, PICTURE, SHOWS = "sheet.csv", "picture", "shows"
LARGEST = 2**20
"""Bytes of a sheet."""
TOLD = 40
"""Characters that are told of what stands in one."""

Answers = Mapping[str, frozenset[str]]
"""By picture, the concepts that a rater sees in it."""


def read(files: Sequence[Path], key: Key) -> list[Answers]:
    """What each rater says of every picture of the key. Raises RatingError with a line for each fault of any sheet."""
    lines = [f"{file}: is given twice; every rater has a sheet" for file in _twice(files)]
    found: list[Answers] = []
    for file in files:
        try:
            found.append(_sheet(file, key))
        except RatingError as error:
            lines.extend(error.lines)
    if lines:
        raise RatingError(*lines)
    return found


def _sheet(file: Path, key: Key) -> Answers:
    rows = list(_rows(file))
    words = {one.word.casefold(): one.concept for one in key.asked}
    names = {one.name for one in key.pictures}
    found: dict[str, frozenset[str]] = {}
    lines: list[str] = []
    seen: dict[str, int] = {}
    for number, name, shows in rows:
        where = f"{file}:{number}"
        if name not in names:
            lines.append(f"{where}: {name[:TOLD]!r} is no picture of this key; leave it out, or give its own key")
        elif name in seen:
            lines.append(f"{where}: {name} stands in line {seen[name]} already; leave one of them")
        else:
            seen[name] = number
            said = [" ".join(part.split()).casefold() for part in shows.split(AND)]
            unknown = [part for part in said if part and part != NONE and part not in words]
            if not shows.strip():
                lines.append(f"{where}: {name} has no answer; write a word, or {NONE}")
            elif unknown or "" in said:
                one = (unknown or [""])[0][:TOLD]
                lines.append(f"{where}: {one!r} is none of the words: {few([*words, NONE])}")
            elif NONE in said and len({*said}) > 1:
                lines.append(f"{where}: {name} has {NONE} beside a word; leave one of them")
            else:
                found[name] = frozenset(words[part] for part in said if part != NONE)
    lines += [
        f"{file}: has no line for {one.name}; every picture needs one" for one in key.pictures if one.name not in seen
    ]
    if lines:
        raise RatingError(*lines)
    return found


def _rows(file: Path) -> Iterator[tuple[int, str, str]]:
    """Line, picture and answer, with commas or semicolons, as spreadsheets write them."""
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise RatingError(f"{file}: is no file; give the sheet that a rater filled")
        if about.st_size > LARGEST:
            raise RatingError(
                f"{file}: is larger than {LARGEST // 2**20} MiB and no sheet; give the one that was filled"
            )
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RatingError(f"{file}: cannot be read ({error.strerror}); give the sheet that a rater filled") from None
    except UnicodeDecodeError:
        raise RatingError(f"{file}: is not UTF-8; save the sheet as CSV in UTF-8") from None
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in head else ",", strict=True)
    try:
        if not {PICTURE, SHOWS} <= {*(reader.fieldnames or ())}:
            raise RatingError(f"{file}: lacks the column {PICTURE} or {SHOWS}; fill the sheet of the export")
        for row in reader:
            yield reader.line_num, (row[PICTURE] or "").strip(), row[SHOWS] or ""
    except csv.Error as error:
        raise RatingError(f"{file}: is no CSV ({error}); save the sheet as CSV in UTF-8") from None


def _twice(files: Sequence[Path]) -> list[Path]:
    seen: set[Path] = set()
    return [file for file in files if (real := file.resolve()) in seen or seen.add(real)]  # type: ignore[func-returns-value]
