"""A CSV with a row for each concept, or for each prompt of one: MACE's, SPEED's, and any that says which rows stay."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import accumulate
from typing import Any

from tracelang.diagnostics import Source, Span
from tracelang.importers.draft import Draft, name_of_file, shown
from tracelang.syntax.text import quote

KINDS = {"object": "object", "style": "style"}

COLUMNS = {
    "concept": ("concept", "concepts", "name", "artist"),
    "anchor": ("mapping_concept", "mapping", "anchor"),
    "kind": ("type", "kind", "concept_type"),
}
GONE = ("erase", "erased", "forget", "forgotten", "remove", "removed", "unlearn", "unlearned")
KEPT = ("retain", "retained", "keep", "kept", "preserve", "preserved", "other", "others", "spare", "spared")
ROLES = {**dict.fromkeys(GONE, False), **dict.fromkeys(KEPT, True)}
"""What a cell says of its row: is the concept kept?"""
MEANT = {*ROLES, "anchor", "neutral", "guide", "role", "split", "action"}
"""Words in a column's name that say it decides what is erased."""
PICTURES = ("", "id", "prompt", "prompts", "text", "caption", "seed", "evaluation_seed", "sd_seed", "case_number")
"""Columns about the pictures that are drawn to look at the outcome."""

FACES = [
    "a portrait of {}",
    "an image capturing {} at a public event",
    "an oil painting of {}",
    "a sketch of {}",
    "{} in an official photo",
]
"""What MACE's prompts say of each person, in files without a column of concepts."""
ART = [
    "image in the style of {}",
    "art inspired by {}",
    "painting in the style of {}",
    "a reproduction of art by {}",
    "a famous artwork by {}",
]
"""And of each artist. The types of that file are numbers: 0 is what MACE's configuration of it erases."""
ART_ROLES = {"0": "erase", "1": "retain"}

Row = tuple[str, str, str, Span, bool]
"""Concept, anchor, type, the place, and whether the concept is kept."""


def is_table(source: Source) -> bool:
    """By its name; by its first line where it comes from standard input."""
    if source.path.lower().endswith(".csv"):
        return True
    cells = [cell.strip().lower() for cell in source.text.partition("\n")[0].split(",")]
    known = (*COLUMNS["concept"], "type", "prompt")
    return source.path == "<stdin>" and len(cells) > 1 and any(name in cells for name in known)


def rows(draft: Draft) -> Iterator[Row]:
    """The rows of a CSV whose first row names the columns.

    Where cells say of each row whether it is erased or kept, that holds. A table that names kinds or anchors, and
    nothing about pictures, is one of what is erased. What says neither is refused, never guessed.
    """
    source, report = draft.source, draft.report
    reader = csv.reader(StringIO(source.text, newline=""), strict=True)
    try:
        read = [(number, row) for number, row in _numbered(reader) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        end = len(source.text)
        report.error("TL131", f"not a CSV (line {reader.line_num}): {error}", Span(source, end, end))
        return
    if not read:
        report.error("TL131", "the file is empty", Span(source, 0, 0))
        return
    lines = source.text.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]

    def place(number: int) -> Span:
        return Span(source, starts[number - 1], starts[number - 1] + len(lines[number - 1].rstrip("\r")))

    first, body = read[0], [(place(number), [cell.strip() for cell in row]) for number, row in read[1:]]
    head = [cell.strip().lower() for cell in first[1]]
    columns = {what: next((head.index(name) for name in names if name in head), -1) for what, names in COLUMNS.items()}
    art = _numbered_art(head, [row for _, row in body])
    if art:
        message = "its types are numbers: 0 is what MACE erases of this file, 1 what it keeps"
        draft.changed(message, place(first[0]), help="compare the recipe's first names with MACE's configuration")
        at = head.index("type")
        body = [(span, [*row[:at], ART_ROLES[row[at]], *row[at + 1 :]]) for span, row in body]
    if columns["concept"] < 0 and (people := _people(head, [row for _, row in body])):
        draft.remarks.append("The file has no column of concepts: they are read from MACE's wordings of a portrait.")
        columns["concept"] = len(head)
        head = [*head, "concept"]
        body = [(span, [*row, person]) for (span, row), person in zip(body, people, strict=True)]
    if columns["concept"] < 0:
        help = f"call it one of {', '.join(COLUMNS['concept'])}"
        if "prompt" in head:
            help += "; prompts to draw are no concepts: MACE's own are in its configuration, configs/…/*.yaml"
        report.error("TL131", "no column of concepts", place(first[0]), help=help)
        return
    names = {at for what, at in columns.items() if what != "kind"}
    roles = [
        at for at in range(len(head)) if at not in names and any(_cell(row, at).lower() in ROLES for _, row in body)
    ]
    used = {*columns.values(), *roles}
    _unused(draft, [name for at, name in enumerate(head) if at not in used], place(first[0]))
    kinds = {_cell(row, columns["kind"]).lower() for _, row in body} if columns["kind"] >= 0 else set()
    if not roles and columns["anchor"] < 0 and kinds <= set(KINDS) and (not kinds or set(head) & set(PICTURES[2:])):
        used_as = f"list {quote(name_of_file(source.path))} column {quote(first[1][columns['concept']].strip())}"
        help = f"put `erase` or `retain` into a column `type`; as it is, a recipe can use it: `{used_as}`"
        report.error("TL131", "nothing in this table says what becomes of its concepts", place(first[0]), help=help)
        return
    unclear: dict[str, list[Span]] = {}
    kind_at = columns["kind"] if columns["kind"] not in roles else -1
    usual = "style" if head[columns["concept"]] == "artist" else "object"
    for span, row in body:
        words = {_cell(row, at).lower() for at in roles}
        kind = _cell(row, kind_at).lower() or usual
        wrong = next((word for word in words if word not in ROLES), None if kind in KINDS else kind)
        if any(row[len(head) :]):
            report.error("TL131", "more cells than columns", span, help="put a text with a comma in it in quotes")
        elif wrong is not None or len({ROLES[word] for word in words}) > 1:
            unclear.setdefault(" and ".join(sorted(words)) if wrong is None else wrong, []).append(span)
        else:
            kept = any(ROLES[word] for word in words)
            yield _cell(row, columns["concept"]), _cell(row, columns["anchor"]), kind, span, kept
    for word, spans in unclear.items():
        more = f" (and {len(spans) - 1} more rows)" if len(spans) > 1 else ""
        help = "write `erase` or `retain`, or in a file of what is erased `object` or `style`"
        report.error(
            "TL131", f"the type {shown(word)} does not say what becomes of the concept{more}", spans[0], help=help
        )


def _numbered_art(head: list[str], rows: list[list[str]]) -> bool:
    """Whether this is MACE's table of artists: its columns, its wordings, and both of its numbers."""
    if set(head) - {""} != {"type", "artist", "prompt", "evaluation_seed"} or any(
        len(row) != len(head) for row in rows
    ):
        return False
    kind, artist, prompt = (head.index(name) for name in ("type", "artist", "prompt"))
    said = all(row[prompt].lower() in [wording.format(row[artist].lower()) for wording in ART] for row in rows)
    return said and {row[kind] for row in rows} <= set(ART_ROLES)


def _people(head: list[str], rows: list[list[str]]) -> list[str] | None:
    """Whom the prompts of MACE's tables show, row by row; None where a prompt is in other words."""
    if "type" not in head or "prompt" not in head or any(len(row) != len(head) for row in rows):
        return None
    prompt = head.index("prompt")
    shapes = [re.compile(re.escape(wording).replace(r"\{\}", "(.+)"), re.I) for wording in FACES]
    found = []
    for row in rows:
        match = next(filter(None, (shape.fullmatch(row[prompt]) for shape in shapes)), None)
        if match is None:
            return None
        found.append(match[1])
    return found


def _cell(row: list[str], at: int) -> str:
    return row[at] if 0 <= at < len(row) else ""


def _unused(draft: Draft, names: list[str], span: Span) -> None:
    """Report columns that nothing is made of. One whose name says that it decides what is erased is refused."""
    for name in names:
        if MEANT & set(re.split(r"[\W_]+", name)):
            help = "put `erase` or `retain` into a column `type`"
            draft.report.error(
                "TL131", f"the column {shown(name)} may say what is kept, in other words", span, help=help
            )
    pictures = [name for name in names if name in PICTURES]
    if any(pictures):
        draft.left_out(f"columns about pictures: {', '.join(filter(None, pictures))}", span)
    unknown = [shown(name) for name in names if name not in PICTURES]
    if unknown:
        draft.changed(f"unknown columns: {', '.join(unknown)}", span)


def _numbered(reader: Any) -> Iterable[tuple[int, list[str]]]:
    """Each row with the line that it starts in."""
    line = 1
    for row in reader:
        yield line, row
        line = reader.line_num + 1
