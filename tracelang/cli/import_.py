"""`tracec import`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tracelang.cli import show
from tracelang.cli.writing import write_text
from tracelang.diagnostics import Findings
from tracelang.importers import MAX_BYTES, TOOLS, convert, limit
from tracelang.plan.compile import compile_with_findings
from tracelang.syntax.read import decode, read

FILES = "; ".join(f"{tool}: the {what}" for tool, what in TOOLS.items())


@click.command(
    name="import",
    help=f"Turn FILE (- for standard input) of another tool into a recipe. {FILES}. "
    "What a recipe cannot say is reported, and stands in it as a comment.",
)
@click.argument("tool", type=click.Choice(list(TOOLS)))
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="OUT", default="-", help="Where the recipe goes: standard output.")
@click.option("--force", is_flag=True, help="Replace an OUT that exists.")
@click.pass_context
def command(ctx: click.Context, tool: str, file: str, output: str, force: bool) -> None:
    report = Findings()
    if file == "-":
        found = decode(sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>", MAX_BYTES, report)
    else:
        found = read(Path(file), file, limit(file), report)
    text = None
    if found is not None:
        try:
            text = convert(tool, found.source, str(Path(file).parent), report)
        except ModuleNotFoundError as error:
            if error.name != "yaml":
                raise
            raise click.ClickException("reading YAML needs PyYAML: pip install 'tracelang[import]'") from error
    show(report.in_order())
    if text is None:
        ctx.exit(1)
    # A recipe that does not compile is of no use: the last gate for what no importer foresaw.
    plan, findings = compile_with_findings(text, shown="<recipe>")
    if plan is None:
        show(findings)
        ctx.exit(1)
    write_text(output, text, force=force)
