"""`tracec rule`."""

from __future__ import annotations

import shutil
import textwrap

import click

from tracelang.semantics.rulebook import Rule, rules


@click.command(
    help="Explain the finding CODE: what it means, why it is made, an example, the remedy. Without, list all."
)
@click.argument("code", required=False, metavar="[CODE]")
def command(code: str | None) -> None:
    known = rules()
    if code is None:
        for rule in known.values():
            click.echo(f"{rule.code}  {rule.severity:7}  {rule.title}")
        return
    wanted = known.get(code.upper())
    if wanted is None:
        raise click.UsageError(f"no finding has the code {code!r}{_near(code, known)}; `tracec rule` lists all")
    click.echo(_shown(wanted, min(shutil.get_terminal_size().columns, 100)), nl=False)


def _near(code: str, known: dict[str, Rule]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(code.upper(), known, n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


def _shown(rule: Rule, width: int) -> str:
    """A rule's Markdown for a terminal: paragraphs wrapped, fenced code indented."""
    lines = [f"{rule.code}: {rule.title} ({rule.severity})"]
    for heading, text in rule.sections.items():
        lines += ["", f"{heading}:"]
        for i, part in enumerate(text.split("```")):
            if i % 2:
                lines.append(textwrap.indent(part.partition("\n")[2].rstrip("\n"), "    "))
            else:
                paragraphs = (paragraph for paragraph in part.split("\n\n") if paragraph.strip())
                lines += [
                    textwrap.fill(
                        " ".join(paragraph.split()),
                        width,
                        initial_indent="  ",
                        subsequent_indent="  ",
                        break_long_words=False,
                        break_on_hyphens=False,
                    )
                    for paragraph in paragraphs
                ]
    return "\n".join(lines) + "\n"
