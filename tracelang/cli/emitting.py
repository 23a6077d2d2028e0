"""What an output holds: options of the commands that write one or foresee it."""

from __future__ import annotations

import click


def _kinds(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    from tracelang.checkpoint.forms import known

    kinds = tuple(dict.fromkeys(kind.strip() for kind in value.split(",")))
    for kind in kinds:
        if kind not in known():
            raise click.BadParameter(f"{kind!r} is not one of {', '.join(known())}", ctx, param)
    return kinds


emit_option = click.option(
    "--emit",
    callback=_kinds,
    show_default="folder,lora; of a single file single-file,lora",
    metavar="KINDS",
    help="What OUT holds: one form or several, joined by commas.",
)
untouched_option = click.option(
    "--untouched",
    default="copy",
    type=click.Choice(["copy", "link"]),
    show_default=True,
    help="What becomes of weights files without an edited matrix: copies, or hard links to the model's own files.",
)
