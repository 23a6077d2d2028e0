"""`tracec judge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracelang.cli.progress import progress
from tracelang.cli.refusals import COULD_NOT, refusals
from tracelang.cli.running import mistakes
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.evidence.known import Known


@click.command(
    help="Measure how often the judge NAME[=VALUE] is right on a labelled set, class by class, and write that as a "
    "file for `verify --judge-known`.\n\nA set is a folder that holds CLASS/*.png and none/*.png, or labels.csv with "
    "the columns file and label."
)
@click.argument("name", metavar="NAME[=VALUE]")
@click.option("--set", "folder", required=True, metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    metavar="RECIPE",
    help="Whose concepts are the classes of a judge that takes a recipe's, as clip does.  [default: the set's]",
)
@click.option("-o", "--out", metavar="FILE", type=click.Path(path_type=Path), help="[default: NAME.known.json]")
@click.option("--json", "as_json", is_flag=True, help="Print what is written as JSON.")
def command(name: str, folder: Path, recipe: str | None, out: Path | None, as_json: bool) -> None:
    with refusals(), mistakes("close other programs", code=COULD_NOT, dtype=False):
        from tracelang.evidence.known import measure, write
        from tracelang.evidence.labelled import SetError, read
        from tracelang.evidence.panel import alone

        concepts = []
        if recipe is not None:
            from tracelang.cli.running import read_plan

            concepts = [one for one in read_plan(recipe, {}, None)[0].concepts if one.kind != "protected"]
        try:
            labelled = read(folder)
            judge, card = alone(name, concepts, labelled.labels)
            with progress() as report:
                found = measure(judge, card, labelled, lambda n: report("pictures", n, len(labelled.pictures)))
        except SetError as error:
            for line in error.lines:
                click.echo(f"error: {safe(' '.join(line.split()))}", err=True)
            raise click.exceptions.Exit(COULD_NOT) from error
        file = out or Path(f"{found.judge}.known.json")
        write(found, file)
        if as_json:
            click.echo(found.model_dump_json(indent=1))
            return
        tell(found)
        click.echo(safe(f"written: {file}; use it: tracec verify OUT --judge {name} --judge-known {file}"))


def tell(found: Known) -> None:
    """A line for each class."""
    from tracelang.evidence.report.wording import NO_BREAK, between, counted, percent

    for one in found.accuracy:
        parts = [
            f"{what} {percent(side.share)} ({counted(side)}, 95 % interval {between(side)})"
            if side and side.n
            else f"{what} not measured"
            for what, side in (("sensitivity", one.sensitivity), ("specificity", one.specificity))
        ]
        click.echo(safe(f"{one.label}: {', '.join(parts)}".replace(NO_BREAK, " ")))
