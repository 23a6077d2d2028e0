"""From `on suite "path" as hub` to rows: the files inside the recipe root, each read once; what of them is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import category

from tracelang.diagnostics import Label
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.records import replace
from tracelang.semantics.concepts import folded
from tracelang.semantics.context import Context
from tracelang.semantics.paths import Located, locate
from tracelang.semantics.program import File, Member, Suite
from tracelang.semantics.scope import Scope
from tracelang.semantics.suites.row import Row, Unreadable
from tracelang.semantics.tables import METRICS, SUITES
from tracelang.syntax import tree
from tracelang.syntax.read import MAX_LIST_BYTES, read
from tracelang.syntax.text import normal
from tracelang.syntax.unseen import DIRECTION
from tracelang.text import joined

MAX_FILES = 1_000
MAX_ROWS = 100_000
MAX_BYTES = 64 << 20
"""Of all files of a suite together."""
DEEP = 8
"""So deep the folders of a suite lie in each other; what is deeper is not looked at."""
NEAR, SHOWN = 1_000, 80
"""Concepts of a suite among which the one that was meant is looked for, and characters of one that are shown."""
POINTER = "version https://git-lfs"
BREAK = re.compile(r"\s*\n\s*")


def suite(
    context: Context,
    scope: Scope,
    node: tree.Assertion,
    asked: tree.Suite,
    members: Iterable[Member],
    attack: str | None = None,
) -> Suite | None:
    """The rows of a suite that an assertion asks about, for each of its concepts; None, reported, where it has none."""
    report, name = context.report, node.metric.text
    if not METRICS[name].suite:
        allowed = ", ".join(f"`{other}`" for other, one in METRICS.items() if one.suite)
        message = f"`{name}` cannot be asked of a suite's prompts"
        report.error("TL305", message, asked.span, help=f"`on suite` goes with {allowed}")
        return None
    reader = asked.reader.text
    if attack is not None:
        message = f"`{attack}` makes prompts of its own, and `on suite` gives others"
        help = f"leave out `, {attack}`, or `on suite`"
        report.error("TL305", message, asked.span, help=help)
        return None
    if reader not in SUITES:
        report.error("TL207", f"no suite is called `{reader}`", asked.reader.span, help=did_you_mean(reader, SUITES))
        return None
    located = locate(scope.place, asked.path, "suite", report)
    if located is None:
        return None
    every = _rows(context, located, asked)
    if every is None:
        return None
    found = []
    for member in members:
        rows = _of(context, node, asked, every, member)
        if rows is None:
            return None
        found.append((member, rows))
    return Suite(located.name, reader, tuple(found))


def _of(
    context: Context, node: tree.Assertion, asked: tree.Suite, every: tuple[Row, ...], member: Member
) -> tuple[Row, ...] | None:
    report, metric = context.report, METRICS[node.metric.text]
    indirect = metric.rows == ("probes",)
    if len(member) > 1:
        message = f"a suite asks about one concept at a time, and {joined(member)} is several"
        report.error("TL305", message, node.arguments.span, help="ask about each by itself")
        return None
    names = {folded(text) for text in context.concepts[member[0]].names}
    own = [
        row
        for row in every
        if not (row.spared and metric.subject == "erased")
        and (not row.concepts or not names.isdisjoint(map(folded, row.concepts)))
    ]
    once: dict[tuple[str, int | None, float | None], Row] = {}
    for row in own:
        if metric.control or row.indirect == indirect:
            once.setdefault((row.prompt, row.seed, row.guidance), row)
    rows = tuple(once.values())
    if rows:
        return rows
    if own:
        message = f"`{asked.path.value}` has no prompts that {'suggest' if indirect else 'name'} {joined(member)}"
        other = "`shown` or `kept`, for they name it" if indirect else "`probed`, for they suggest it without naming it"
        report.error("TL305", message, asked.span, help=f"ask about its prompts with {other}")
        return None
    known = list(dict.fromkeys(concept for row in every for concept in row.concepts))
    near = did_you_mean(next(iter(names)), (folded(one)[:SHOWN] for one in known[:NEAR]))
    first = ", ".join(one[:SHOWN] for one in known[:8])
    help = near or f"give the concept one of the suite's names: {first}{', …' * (len(known) > 8)}"
    report.error("TL305", f"`{asked.path.value}` has no prompts of {joined(member)}", asked.span, help=help)
    return None


def _rows(context: Context, located: Located, asked: tree.Suite) -> tuple[Row, ...] | None:
    """Every row of a file or of a folder's files; what is wrong with one is said once."""
    key = (id(context), f"{asked.reader.text} {located.path}")
    if key not in context.done:
        context.done[key] = _read(context, located, asked)
    known: tuple[Row, ...] | None = context.done[key]
    return known


def _read(context: Context, located: Located, asked: tree.Suite) -> tuple[Row, ...] | None:
    reader: Any = import_module(f"{__package__}.{asked.reader.text}")
    files = _files(context, located, asked, reader.FILES)
    if files is None:
        return None
    found: list[Row] = []
    size = 0
    for path, name in files:
        shown = name if name != located.name else located.shown
        text = read(path, shown, MAX_LIST_BYTES, context.report, asked.path.span)
        if text is None:
            return None
        size += len(text.data)
        if size > MAX_BYTES:
            message = f"`{asked.path.value}` holds more than {MAX_BYTES >> 20} MiB"
            context.report.error("TL229", message, asked.path.span, help="name one of its files")
            return None
        context.lists.files[path] = File(name, text.data, "suite")
        try:
            if text.source.text.startswith(POINTER):
                raise Unreadable("is a Git-LFS pointer and no prompts: fetch the files with `git lfs pull`")
            rows = reader.rows(name, text.source.text.replace("\r\n", "\n"))
            made = (row for one in rows if (row := _clean(one)).prompt)
            found += islice(made, MAX_ROWS + 1 - len(found))
        except Unreadable as error:
            message, also = f"`{shown}` {error}", [Label(asked.reader.span, f"read as {SUITES[asked.reader.text]}")]
            context.report.error("TL229", message, asked.path.span, also=also, help="give the file as it is published")
            return None
        if len(found) > MAX_ROWS:
            message = f"`{asked.path.value}` has more than {MAX_ROWS:,} prompts"
            context.report.error("TL229", message, asked.path.span, help="name one of its files")
            return None
    if not found:
        message = f"`{asked.path.value}` has no prompts"
        context.report.error("TL229", message, asked.path.span, help="name the suite's folder, or one of its files")
        return None
    return tuple(found)


def _files(
    context: Context, located: Located, asked: tree.Suite, patterns: tuple[str, ...]
) -> list[tuple[Path, str]] | None:
    """The files that the reader knows, by their names below the wall; a file that is named itself is taken as it is."""
    if not located.path.is_dir():
        return [(located.path, located.name)]
    wall = Path(located.place.wall).resolve()
    found: list[tuple[Path, str]] = []
    try:
        below = list(_below(located.path))
    except OSError as error:
        message = f"`{asked.path.value}` cannot be read: {(error.strerror or 'as a folder').lower()}"
        context.report.error("TL108", message, asked.path.span)
        return None
    for one in below:
        name = f"{located.name}/{one.relative_to(located.path).as_posix()}".removeprefix("./")
        if not any(PurePosixPath(name).match(pattern) for pattern in patterns):
            continue
        path = one.resolve()
        if not path.is_relative_to(wall):
            message = f"`{name}` is a link that leaves the recipe root"
            context.report.error("TL217", message, asked.path.span, help="copy the file")
            return None
        try:
            name.encode()
        except UnicodeEncodeError:
            context.report.error("TL108", f"`{name}` has a name that is not UTF-8", asked.path.span, help="rename it")
            return None
        found.append((path, name))
    if found and len(found) <= MAX_FILES:
        return found
    message = f"`{asked.path.value}` has {'more than ' + format(MAX_FILES, ',') if found else 'none'} of its files"
    help = "name one of its files" if found else f"its files are {', '.join(patterns[:6])}"
    context.report.error("TL229", message, asked.path.span, help=help)
    return None


def _below(folder: Path, deep: int = DEEP) -> Iterator[Path]:
    """Files below a folder in order; no link to a folder is followed. Raises OSError."""
    for one in sorted(folder.iterdir()):
        if one.is_dir() and not one.is_symlink():
            yield from _below(one, deep - 1) if deep else ()
        elif one.is_file():
            yield one


def _clean(row: Row) -> Row:
    """A prompt on one line, NFC; control characters, and those that turn the direction of writing, are spaces.

    Raises Unreadable for half of a surrogate pair, which JSON can name and no file can hold.
    """
    try:
        row.prompt.encode()
    except UnicodeEncodeError:
        raise Unreadable("has half of a surrogate pair in a prompt") from None
    text = BREAK.sub(" ", row.prompt)
    text = "".join(" " if category(one) == "Cc" or one in DIRECTION else one for one in text)
    return replace(row, prompt=normal(text.strip()))
