"""`tracec models`."""

from __future__ import annotations

import json

import click

from tracelang.cli.running import mistakes
from tracelang.text import safe


@click.command(help="List the embedded models and the model families that are installed.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> None:
    from tracelang.models.locate import embedded, families

    known, broken = dict[str, str](), dict[str, str]()
    with mistakes():
        names = sorted({name for family in families() for name in family.names})
        for name in embedded():
            _look(name, known, broken)
    if as_json:
        click.echo(json.dumps({"format_version": 1, "embedded": known, "broken": broken, "families": names}, indent=2))
        return
    for name, family in known.items():
        click.echo(f"{name}  ({family}, embedded)")
    for name, reason in broken.items():
        click.echo(safe(f"{name}  (embedded, cannot be used: {reason})"))
    if not known and not broken:
        click.echo("no embedded model is installed: pip install tracelang-micro")
    click.echo(f"families: {', '.join(names) or 'none installed'}; `--model` also takes a diffusers folder or a hub id")


def _look(name: str, known: dict[str, str], broken: dict[str, str]) -> None:
    """Put the model's family into `known`, or the reason why there is none into `broken`."""
    from tracelang.models.locate import family_of, locate
    from tracelang.plan.family import ModelError

    try:
        folder = locate(name)
        family = family_of(folder)
        family.check(folder)
        known[name] = family.name(folder)
    except (ModelError, OSError, ImportError, AttributeError) as error:
        broken[name] = " ".join(str(error).split())
