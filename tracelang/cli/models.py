"""`tracec models`."""

from __future__ import annotations

import json

import click

from tracelang.cli.running import mistakes


@click.command(help="List the embedded models and the model families that are installed.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> None:
    from tracelang.checkpoint.locate import embedded, families, family_of, locate

    with mistakes():
        known = {name: family_of(locate(name)).name for name in embedded()}
        names = sorted({family.name for family in families()})
    if as_json:
        click.echo(json.dumps({"embedded": known, "families": names}, indent=2))
        return
    for name, family in known.items():
        click.echo(f"{name}  ({family}, embedded)")
    if not known:
        click.echo("no embedded model is installed: pip install tracelang-micro")
    click.echo(f"families: {', '.join(names) or 'none installed'}; `--model` also takes a diffusers folder or a hub id")
