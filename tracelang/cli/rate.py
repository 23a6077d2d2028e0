"""`tracec rate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracelang.cli.judge import tell
from tracelang.cli.refusals import COULD_NOT, refusals
from tracelang.cli.running import mistakes
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.evidence.rating.figures import Agreed


@click.group(
    help="Let people judge pictures of a verification without knowing which is which, and hold its judges against them."
)
def command() -> None:
    pass


@command.command(
    "export",
    help="Put a random sample of the pictures that OUT's verification kept into a new FOLDER for raters: base and "
    "edited mixed, numbered, with a sheet to fill and a page to click through. Which is which stands in the key alone.",
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--n", type=click.IntRange(1), default=50, show_default=True, help="How many pictures.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which, and in which order.")
@click.option("-o", "--out", "folder", required=True, metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where the key goes, which no rater may see.  [default: FOLDER.key.json]",
)
def _export(out: Path, n: int, seed: int, folder: Path, key: Path | None) -> None:
    with _told():
        from tracelang.evidence.rating.export import export

        file = key or folder.with_name(f"{folder.name}.key.json")
        found = export(out, folder, file, n=n, seed=seed)
        click.echo(
            safe(f"{folder}: {len(found.pictures)} pictures; every rater fills a copy of {folder / 'sheet.csv'}")
        )
        click.echo(safe(f"{file}: the key; then: tracec rate import {out} {file} SHEET.csv SHEET.csv"))


@command.command(
    "import",
    help="Read the SHEETs of one or more raters, tell how far they agree, and write how often each judge of the "
    "verification says what most of them say, as NAME.known.json for `verify` and `merge --judge-known`.",
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("key", metavar="KEY", type=click.Path(path_type=Path))
@click.argument("sheets", metavar="SHEET...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", "folder", default=".", metavar="FOLDER", type=click.Path(path_type=Path), help="[default: here]"
)
def _import(out: Path, key: Path, sheets: tuple[Path, ...], folder: Path) -> None:
    with _told():
        from tracelang.evidence.known import write
        from tracelang.evidence.rating.figures import rate

        found = rate(out, key, sheets)
        for one in found.agreed:
            click.echo(safe(f"{one.word}: {_agreement(one, found.raters)}"))
        for known in found.known:
            file = folder / f"{known.judge}.known.json"
            write(known, file)
            click.echo(safe(f"the judge {known.judge}, against most of the raters:"))
            tell(known)
            if lost := found.failed[known.judge]:
                click.echo(f"{lost} of {known.pictures} pictures it failed on are left out")
            click.echo(safe(f"written: {file}; use it: tracec merge {out} --judge-known {file}"))


def _agreement(one: Agreed, raters: int) -> str:
    if raters == 1:
        return f"one rater of {one.pictures} pictures, and nobody to agree with"
    by = "Cohen's" if raters == 2 else "Fleiss'"
    kappa = "none, for all say one thing" if one.kappa is None else f"{one.kappa:.2f}"
    split = f"; {one.split} left out, as many for as against" if one.split else ""
    return f"{raters} raters say the same of {one.same} of {one.pictures} pictures, {by} kappa {kappa}{split}"


@contextmanager
def _told() -> Iterator[None]:
    """Refusals in a line each."""
    with refusals(), mistakes("close other programs", code=COULD_NOT, dtype=False):
        from tracelang.evidence.rating.errors import RatingError

        try:
            yield
        except RatingError as error:
            for line in error.lines:
                click.echo(f"error: {safe(' '.join(line.split()))}", err=True)
            raise click.exceptions.Exit(COULD_NOT) from error
