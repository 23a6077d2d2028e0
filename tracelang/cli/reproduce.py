"""`tracec reproduce`."""

from __future__ import annotations

import shlex
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracelang.cli import WORDS
from tracelang.cli.progress import progress
from tracelang.cli.refusals import COULD_NOT, INTERRUPTED, refusals
from tracelang.cli.running import config_option, mistakes, usable
from tracelang.cli.shares import share
from tracelang.cli.verify import control_option, warn
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.evidence.reproduce import Reproduced

TOLD = 5
"""So many differences of a unit are told; the rest is counted."""


@click.command(
    help="Draw again what OUT's report is of, and compare it with what was kept, record by record and picture by "
    "picture. OUT stays as it is.\n\nExits with 0 where all of it came out bit for bit, 1 where anything differs, and "
    "2 where it could not be drawn."
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--share",
    default="100%",
    callback=share(lambda value: 0 < value <= 1, "above 0% and up to 100%"),
    show_default=True,
    help="So many of the units, picked by --seed.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which of them.")
@click.option(
    "--into",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep what is drawn there, to go on after an interruption. Default: nowhere.",
)
@click.option(
    "--judge",
    "judges",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Default: the run's, as far as they need no folder.",
)
@click.option("--model", metavar="MODEL", help="The base model, where it was a folder or a file.")
@config_option
@control_option
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps. Default: the run's.")
@click.pass_context
def command(
    ctx: click.Context,
    out: Path,
    share: float,
    seed: int,
    into: Path | None,
    judges: tuple[str, ...],
    model: str | None,
    config: str | None,
    controls: list[tuple[str, tuple[str, ...]]],
    device: str | None,
) -> None:
    with refusals(), mistakes("take a larger machine", code=COULD_NOT):
        from tracelang.evidence.reproduce import reproduce

        place = nullcontext(str(into)) if into else tempfile.TemporaryDirectory(prefix="tracec-")
        try:
            with place as folder, progress() as report:
                found = reproduce(
                    out,
                    Path(folder),
                    judges,
                    usable(device) if device else None,
                    model,
                    report,
                    controls=controls,
                    share=share,
                    seed=seed,
                    config=config,
                    say=warn,
                )
        except KeyboardInterrupt:
            again = f"Go on with: {shlex.join(ctx.meta[WORDS])}" if into else "Nothing is kept without --into"
            click.echo(f"\ninterrupted. {safe(again)}", err=True)
            ctx.exit(INTERRUPTED)
        _tell(found)
        ctx.exit(0 if found.same else 1)


def _tell(found: Reproduced) -> None:
    for line in found.circumstances:
        click.echo(safe(f"not as then: {line}"))
    for unit in found.units:
        for one in sorted(unit.differing, key=lambda one: -one.far)[:TOLD]:
            click.echo(safe(f"{unit.key}: {one.where}: {one.there} then, {one.here} now ({one.far:.2g})"))
        if (more := len(unit.differing) - TOLD) > 0:
            click.echo(safe(f"{unit.key}: and {more} more"))
    values, pictures = sum(unit.values for unit in found.units), sum(unit.pictures for unit in found.units)
    same = sum(not unit.differing for unit in found.units)
    drawn = f"{len(found.units)} of {found.of} units drawn again: {values:,} values and {pictures} pictures compared"
    apart = sum(len(unit.differing) for unit in found.units)
    click.echo(f"{drawn}; {same} of these units agree bit for bit; {apart} values or pictures differ")
