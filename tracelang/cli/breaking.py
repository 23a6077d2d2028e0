"""`tracec breaking`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracelang.cli import show
from tracelang.cli.files import ENDING, STDIN, recipes
from tracelang.cli.options import recipe_options
from tracelang.diagnostics import CompileError, Diagnostic, Label, Source, Span
from tracelang.diagnostics.data import as_data
from tracelang.diagnostics.formats import FORMATS
from tracelang.records import dataclass, field
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.cli.revisions import Revision

HELP = """Find what each RECIPE, or each in a folder, promises less than before: targets, degrees, names, probes,
preserves, windows, layer sets, settings, passes, expectations and their samples, and what its header names. Recipes
that a revision has, and that are gone or moved since, are found too.

Exits with 0 if they promise no less, or are new since that revision; with 1 if one does; with 2 if two cannot be
compared."""

NOTHING_ERASED = "TL308"


@dataclass(slots=True)
class Compared:
    """A recipe with the digests of its two versions, None where there is none, and what was found."""

    recipe: str
    before: str | None = None
    after: str | None = None
    found: list[Diagnostic] = field(default_factory=list)
    failed: bool = False


@click.command(help=HELP)
@click.argument("places", nargs=-1, required=True, metavar="RECIPE|DIR...")
@click.option("--against", required=True, metavar="REV|FILE", help="What was promised: a revision, REV:path or a file.")
@click.option("--format", "style", type=click.Choice(list(FORMATS)), default="human", help="How to show findings.")
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="As --format json.")
@click.pass_context
def command(
    ctx: click.Context,
    places: tuple[str, ...],
    against: str,
    style: str,
    params: Mapping[str, str],
    root: Path | None,
    as_json: bool,
) -> None:
    from tracelang.cli.versions import revision

    if any(place.endswith(".json") for place in places):
        raise click.UsageError("a plan does not say where things were written: give the recipe")
    commits = {place: revision(against, place) for place in places}
    try:
        rows = list(_rows(commits, against, params, root))
    except CompileError as error:  # in a configuration
        show(error.diagnostics)
        ctx.exit(2)
    # a file that many recipes include is told of once
    every = (one for row in rows for one in row.found)
    found = list({(one.code, one.location, one.message): one for one in every}.values())
    breaks = any(one.severity == "error" for one in found)
    code = 2 if any(row.failed for row in rows) else 1 if breaks else 0
    if as_json or style == "json":
        outcome: dict[str, object] = {"format_version": 1, "ok": code == 0}
        if len(places) == 1 and not os.path.isdir(places[0]):
            outcome |= {"before": rows[0].before, "after": rows[0].after}
        else:
            outcome["recipes"] = [{"recipe": row.recipe, "before": row.before, "after": row.after} for row in rows]
        click.echo(json.dumps(outcome | {"diagnostics": [as_data(finding) for finding in found]}, indent=2))
    elif style == "human":
        show(found)
    else:
        from tracelang.diagnostics.formats import render

        sys.stdout.buffer.write(render(style, found).encode("utf-8", "backslashreplace"))
    ctx.exit(code)


def _rows(
    commits: Mapping[str, Revision | None], against: str, params: Mapping[str, str], root: Path | None
) -> Iterator[Compared]:
    """Every recipe of the places, and those that are no longer in one of them."""
    seen = set[str]()
    for place, commit in commits.items():
        if place != STDIN and not os.path.exists(place):
            continue
        for recipe in recipes((place,)):
            if os.path.abspath(recipe) not in seen:
                seen.add(os.path.abspath(recipe))
                yield from _compared(recipe, commit, against, params, root, named=not os.path.isdir(place))
    for place, commit in commits.items():
        lost = [] if commit is None or os.path.isfile(place) else list(_gone(place, commit, seen, params, root))
        if not lost and place != STDIN and not os.path.exists(place):
            raise click.UsageError(f"there is no file or folder {place!r}")
        yield from lost


def _compared(
    recipe: str, commit: Revision | None, against: str, params: Mapping[str, str], root: Path | None, *, named: bool
) -> Iterator[Compared]:
    """A recipe beside what it is held against; nothing of a file of definitions that a folder holds."""
    from tracelang.cli.versions import earlier, version
    from tracelang.plan.breaking import breaking, diluted

    row, before, moved = Compared(recipe), None, ""
    try:
        if commit is None:
            before = version(against, params, root, older=True)
        else:
            before, moved = earlier(recipe, commit, params, root)
        row.before = before.plan.digest if before else None
        after = version(recipe, params, root)
        row.after = after.plan.digest
    except CompileError as error:
        if not named and (before is None or commit is None) and _promises_nothing(error):
            return
        row.found, row.failed = list(error.diagnostics), True
    else:
        if before is None:
            again = f"if it had another path there, write --against {against}:PATH"
            click.echo(safe(f"{recipe} is new since {against}: there is nothing to compare it with; {again}"), err=True)
        else:
            row.found = breaking(before, after) + diluted(before, after)
        if moved:
            message = f"this recipe was {moved} in {against}"
            help = "see that whoever names the old path names this one"
            row.found.append(Diagnostic("TL428", "note", message, Label(after.here.start), help=help))
    yield row


def _promises_nothing(error: CompileError) -> bool:
    return all(one.code == NOTHING_ERASED for one in error.diagnostics)


def _gone(
    place: str, commit: Revision, seen: set[str], params: Mapping[str, str], root: Path | None
) -> Iterator[Compared]:
    """The recipes that a revision has at a place, and that are neither there nor elsewhere in what is looked at."""
    from tracelang.cli.revisions import within
    from tracelang.semantics.config import config_of

    start = within(place, commit.top)
    if start is None:
        return
    now = {old: new for new, old in commit.moved.items()}
    for path in [start] if start in commit.files else commit.below(start, ENDING):
        here = os.path.normpath(os.path.join(place, os.path.relpath(path, start)))
        elsewhere = now.get(path, "")
        if os.path.lexists(here) or (elsewhere and os.path.abspath(commit.top / elsewhere) in seen):
            continue
        if path != start and config_of(os.path.dirname(here)).excludes(here):
            continue
        row = _lost(here, path, commit, elsewhere, params, root)
        if row is not None:
            yield row


def _lost(
    place: str, path: str, commit: Revision, now: str, params: Mapping[str, str], root: Path | None
) -> Compared | None:
    """A finding about a recipe that is gone; None where it promised nothing, or could not be read as a recipe."""
    from tracelang.cli.versions import at_revision

    try:
        before = at_revision(commit, path, params, root)
    except CompileError:
        return None
    if before is None:
        return None
    message = f"this recipe is gone: {commit.name} has it" + (f"; it was moved to {now}" if now else "")
    help = f"name {now} instead" if now else f"put it back: `git checkout {commit.name} -- {path}`, from the top"
    finding = Diagnostic("TL427", "error", message, Label(Span(Source(place, ""), 0, 0)), help=help)
    return Compared(place, before.plan.digest, found=[finding])
