"""`tracec lsp`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

HELP = """Answer an editor: findings as you type, fixes, hovers, completion, definitions, formatting, renaming.

The editor starts it and speaks the Language Server Protocol with it over standard input and output."""


@click.command(help=HELP)
@click.option("--root", type=click.Path(path_type=Path), help="The folder that imports and lists stay in.")
def command(root: Path | None) -> None:
    try:
        from tracelang.lsp.server import server
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in ("pygls", "lsprotocol"):
            raise
        raise click.ClickException(f"`lsp` needs {module}: pip install 'tracelang[lsp]'") from error
    if sys.stdin.isatty():
        raise click.UsageError("an editor starts this command and speaks to it: see docs/editors.md")
    server(root).start_io()
