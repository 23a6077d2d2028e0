"""One column of a CSV, as the standard library's `csv` reads it from the whole text.

With `where`, of those rows that have a text in another column.

Lines that are blank or start with `# ` are left out where a row could begin, never inside a quoted cell. A line break
in a cell becomes a space: a prompt has one line. What would be lost or altered is an error at its row.

Benchmarks keep in their cells whatever an attack has found. What cannot be seen there is a warning, but for what steers
everybody who opens the file: the control characters of ASCII, and those that turn the direction of writing.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic, Findings, Label, Source
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.records import dataclass, field
from tracelang.semantics.rows import COMMENT, MAX_FINDINGS, doubtful, line_of, read_here, rows, warn
from tracelang.syntax import tree
from tracelang.syntax.text import foreign, normal, plain, quote

SEPARATORS = {";": "`;`", "\t": "tabs", "|": "`|`"}
BREAK = re.compile(r"\s*\n\s*")
TAG = re.compile(rf"{COMMENT}[^{COMMENT}\s]")
"""A comment without a blank after its mark, or a cell that starts with it: nobody can tell."""


@dataclass(slots=True)
class _Feed:
    """Lines for `csv.reader`, without those that stand between rows and are none."""

    lines: Iterator[tuple[int, str]]
    start: int = 0
    """Where the row began that is being read."""
    here: int = 0
    """Where its last line began."""
    fresh: bool = True
    """Whether a row begins with the next line."""
    unclear: list[int] = field(default_factory=list)
    """Where lines begin that may be a comment or a row."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for start, line in self.lines:
            if self.fresh:
                bare = line.strip()
                if not bare or bare[0] == COMMENT:
                    if TAG.match(bare):
                        self.unclear.append(start)
                    continue
                self.start, self.fresh = start, False
            self.here = start
            return line + "\n"
        raise StopIteration


def cells(source: Source, node: tree.ListFile, column: tree.Text, report: Findings) -> tuple[str, ...] | None:
    """The texts of a column, in order, without empty ones; None, reported, where there is an error."""
    text = source.text
    hidden, strange = not plain(text), foreign(text)
    if hidden and _controls(source, report):
        return None
    feed = _Feed(rows(text))
    reader = csv.reader(feed, strict=True)
    found: list[str] = []
    head: list[str] | None = None
    at = by = 0
    where = node.where
    met: dict[str, None] = {}
    errors: list[Diagnostic] = []
    empty: list[int] = []
    quoted: list[int] = []
    unseen: list[Diagnostic] = []
    while True:
        feed.fresh = True
        try:
            row = next(reader, None)
        except csv.Error as error:
            errors.append(_broken(source, feed, error, node))
            break
        if row is None:
            break
        if head is None:
            head = [normal(cell.strip()) for cell in row]
            place = _place(source, node, column, head, feed.start, report)
            other = _place(source, node, where.column, head, feed.start, report) if where else 0
            if place is None or other is None:
                _report([_unclear(source, start, node) for start in feed.unclear], report)
                return None
            at, by = place, other
        elif len(row) != len(head):
            errors.append(_torn(source, feed.start, len(row), len(head), node))
        elif where is None or _counts(row[by], where, met):
            cell = BREAK.sub(" ", row[at]) if "\n" in row[at] else row[at]
            if (hidden and not plain(cell)) or (strange and foreign(cell)):
                unseen += _unseen(source, row[at], feed)
            cell = cell.strip()
            if not cell:
                empty.append(feed.start)
                continue
            if len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "\"'":
                quoted.append(feed.start)
            found.append(normal(cell))
    errors += [_unclear(source, start, node) for start in feed.unclear]
    if errors:
        _report(errors, report)
        return None
    if where is not None and where.value.value.strip() not in met:
        _no_row(source, node, where, list(met), report)
        return None
    doubtful(unseen, node, report)
    help = "fill it, or take the row out"
    warn(source, empty, f"this row has no `{column.value}`", help, node, report)
    help = 'a quote that is meant to hold a cell stands right after the comma: `,"…"`'
    warn(source, quoted, "the quotes around this cell are part of the text", help, node, report)
    return tuple(found)


def _counts(cell: str, where: tree.Where, met: dict[str, None]) -> bool:
    """Whether a row with this cell counts; `met` are the texts that the column holds."""
    text = normal(BREAK.sub(" ", cell).strip())
    met[text] = None
    return text == where.value.value.strip()


def _no_row(source: Source, node: tree.ListFile, where: tree.Where, met: list[str], report: Findings) -> None:
    """Report a `where` that no row meets."""
    help = did_you_mean(where.value.value, [text for text in met if text]) or "write what its cells hold, case and all"
    message = f"no row has {quote(where.value.value)} in the column `{where.column.value}`"
    report.error("TL218", message, where.value.span, help=help)


def without_column(source: Source, node: tree.ListFile, report: Findings) -> None:
    """Report a CSV of which no column is named."""
    feed = _Feed(rows(source.text))
    try:
        head = [normal(cell.strip()) for cell in next(csv.reader(feed, strict=True), [])]
    except csv.Error:
        head = []
    known = [quote(cell) for cell in head if cell]
    help = f"name its column: `{node.span.text} column {known[0]}`" if known else 'name its column: `column "…"`'
    if len(known) > 1:
        help += f"; it has {', '.join(known[:12])}"
    also = [Label(line_of(source, feed.start), "its first row")] if known else []
    report.error("TL227", "of a CSV, a list is one column", node.span, also=also, help=help)


def _place(
    source: Source, node: tree.ListFile, column: tree.Text, head: list[str], start: int, report: Findings
) -> int | None:
    """The number of a column, None, reported, where the first row does not name it once."""
    line = line_of(source, start)
    count = head.count(column.value)
    if count == 1:
        return head.index(column.value)
    if count:
        message = f"the column `{column.value}` stands here {count} times"
        report.error("TL226", message, line, also=[read_here(node)], help="give each column a name of its own")
        return None
    mark = next((mark for mark in SEPARATORS if len(head) == 1 and mark in head[0]), "")
    help = did_you_mean(column.value, [cell for cell in head if cell])
    if mark:
        help = f"its cells seem to be parted by {SEPARATORS[mark]}: save it with commas"
    also = [Label(line, "its first row, which names the columns")]
    report.error("TL218", f"the list has no column `{column.value}`", column.span, also=also, help=help)
    return None


def _torn(source: Source, start: int, cells: int, wanted: int, node: tree.ListFile) -> Diagnostic:
    has = f"{cells} cell{'s' * (cells != 1)}"
    help = "put quotes around a cell with a comma or a line break in it"
    if cells < wanted:
        help = "write every cell, an empty one too; put quotes around a cell with a line break in it"
    message = f"this row has {has}, the first one {wanted}"
    return Diagnostic("TL226", "error", message, Label(line_of(source, start)), (read_here(node),), help=help)


def _broken(source: Source, feed: _Feed, error: csv.Error, node: tree.ListFile) -> Diagnostic:
    reason, help = str(error), "a quote inside a quoted cell is written twice"
    if "end of data" in reason:
        reason, help = "a quote that opens in this row does not close", 'close it, or write it twice inside of "…"'
    elif "expected after" in reason:
        reason = "in this row, text follows a quote that closes a cell"
    also = [read_here(node)]
    if feed.here != feed.start and "does not close" not in reason:
        also.insert(0, Label(line_of(source, feed.here), "here"))
    return Diagnostic("TL226", "error", reason, Label(line_of(source, feed.start)), tuple(also), help=help)


def _unclear(source: Source, start: int, node: tree.ListFile) -> Diagnostic:
    message = "this may be a comment, or a row that starts with `#`"
    help = "a comment starts with `#` and a blank; a cell that starts with `#` stands in quotes"
    return Diagnostic("TL226", "error", message, Label(line_of(source, start)), (read_here(node),), help=help)


LATER = dict.fromkeys([*b"\r", *range(0x80, 0xA0), 0x2028, 0x2029], " ")
"""Control characters that are looked at in their cell, or by themselves."""


def _controls(source: Source, report: Findings) -> bool:
    """Report what steers a reader of the file, wherever in it that stands."""
    from tracelang.syntax.unseen import CONTROL, TURNING, findings, lone_returns, raw

    pieces = [raw("\r", at) for at in lone_returns(source.text)]
    pieces += [raw(line.translate(LATER), start) for start, line in rows(source.text) if not plain(line)]
    found = findings(source, pieces, MAX_FINDINGS, (CONTROL, TURNING))
    report.findings += found
    return bool(found)


def _unseen(source: Source, cell: str, feed: _Feed) -> list[Diagnostic]:
    """What cannot be seen in a cell, or is not what it looks like; at its row, where it is not written as it reads."""
    from tracelang.syntax.lookalikes import findings as lookalikes
    from tracelang.syntax.unseen import findings, raw

    end = source.text.find("\n", feed.here)
    end = len(source.text) if end < 0 else end
    tries = (source.text.find(mark + cell, feed.start, end) + len(mark) for mark in (",", '"', ""))
    at = next((at for at in tries if source.text.startswith(cell, at) and at >= feed.start), None)
    inside = source if at is not None else Source(source.path, cell)
    whole = Label(line_of(source, feed.start))
    pieces = [raw(cell, at or 0)]
    return [
        Diagnostic(one.code, "warning", one.message, one.primary if inside is source else whole, help=one.help)
        for one in (*(() if plain(cell) else findings(inside, pieces)), *lookalikes(inside, pieces))
    ]


def _report(errors: list[Diagnostic], report: Findings) -> None:
    """The first errors of a file; the last one says how many more there are."""
    shown = errors[:MAX_FINDINGS]
    if len(errors) > len(shown):
        last = shown[-1]
        note = f"{len(errors) - len(shown):,} more of these follow in this file"
        shown[-1] = Diagnostic(last.code, last.severity, last.message, last.primary, last.secondary, last.help, note)
    report.findings += shown
