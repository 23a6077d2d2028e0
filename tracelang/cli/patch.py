"""`tracec patch`."""

from __future__ import annotations

from pathlib import Path

import click

from tracelang.cli.running import mistakes, model_option
from tracelang.text import safe


@click.command(
    help="Turn a model into the edit that DELTA holds, or back. DELTA is the delta.safetensors of an output; the model "
    "must be the very one that it was made of, and so must the result: digests are compared before and after."
)
@click.argument("delta", metavar="DELTA", type=click.Path(path_type=Path))
@model_option
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="The folder to write.")
@click.option("--revert", is_flag=True, help="The model is the edit: write its base.")
def command(delta: Path, model: str, out: Path, revert: bool) -> None:
    with mistakes(dtype=False):
        from tracelang.checkpoint import delta as deltas
        from tracelang.checkpoint.output import OutputError
        from tracelang.models.locate import locate

        found = deltas.read(delta)
        if Path(model).expanduser().is_file():
            raise OutputError(
                f"{model}: is one file, and a delta is of a folder's files; pass the folder that it is of"
            )
        made = deltas.apply(found, locate(model), out, revert)
        changed = len({tensor for names in found.edited.values() for tensor in names})
        side = "the base again" if revert else "the edit"
        click.echo(safe(f"{out}: {changed} matrices changed, {side}: {len(made.files)} files, digests as stated"))
