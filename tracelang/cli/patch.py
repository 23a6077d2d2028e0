"""`tracec patch`."""

from __future__ import annotations

from pathlib import Path

import click

from tracelang.cli.running import mistakes, model_option
from tracelang.text import safe


@click.command(
    help="Turn a model into the edit that DELTA holds, or back. DELTA is the delta.safetensors of an output; the model "
    "must be the very one that it was made of, and so must the result: digests are compared before and after. Of a "
    "single file OUT is a file too."
)
@click.argument("delta", metavar="DELTA", type=click.Path(path_type=Path))
@model_option
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="What to write.")
@click.option("--revert", is_flag=True, help="The model is the edit: write its base.")
def command(delta: Path, model: str, out: Path, revert: bool) -> None:
    with mistakes(dtype=False):
        from tracelang.checkpoint import delta as deltas
        from tracelang.checkpoint.output import OutputError
        from tracelang.models.locate import locate

        found = deltas.read(delta)
        file = Path(model).expanduser()
        if found.single is not None:
            if not file.is_file():
                raise OutputError(f"{model}: is no file, and {delta} is of one, {found.single}; pass that file")
            deltas.apply_to_file(found, file, out, revert)
            files = "1 file"
        elif file.is_file():
            raise OutputError(
                f"{model}: is one file, and {delta} is of a folder's files; pass the folder that it is of"
            )
        else:
            files = f"{len(deltas.apply(found, locate(model), out, revert).files)} files"
        changed = len({tensor for names in found.edited.values() for tensor in names})
        side = "the base again" if revert else "the edit"
        click.echo(safe(f"{out}: {changed} matrices changed, {side}: {files}, digests as stated"))
