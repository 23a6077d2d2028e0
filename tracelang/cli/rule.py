"""`tracec rule`."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable
from typing import Any

import click

from tracelang.semantics.rulebook import Rule, rules


@click.command(
    help="Explain the finding CODE: what it means, why it is made, an example, the remedy. Without, list all."
)
@click.argument("code", required=False, metavar="[CODE]")
@click.option("--all", "every", is_flag=True, help="Explain every code.")
@click.option("--format", "style", type=click.Choice(["human", "json"]), default="human", help="How to print it.")
def command(code: str | None, every: bool, style: str) -> None:
    if code is not None and every:
        raise click.UsageError("--all explains every code: leave out the one, or --all")
    known = rules()
    wanted = known if code is None else {code.upper(): known.get(code.upper())}
    chosen = [rule for rule in wanted.values() if rule is not None]
    if not chosen:
        raise click.UsageError(f"no finding has the code {code!r}{_near(str(code), known)}; `tracec rule` lists all")
    if style == "json":
        click.echo(json.dumps(_data(chosen), indent=2))
    elif code is None and not every:
        for rule in chosen:
            click.echo(f"{rule.code}  {rule.severity:7}  {rule.title}")
    else:
        width = min(shutil.get_terminal_size().columns, 100)
        click.echo("\n".join(_shown(rule, width) for rule in chosen), nl=False)


def _data(chosen: Iterable[Rule]) -> dict[str, Any]:
    """Sections are Markdown, by their headings in words as `use_instead`."""
    return {
        "format_version": 1,
        "rules": [
            {
                "code": rule.code,
                "severity": rule.severity,
                "title": rule.title,
                **{heading.lower().replace(" ", "_"): text for heading, text in rule.sections.items()},
            }
            for rule in chosen
        ],
    }


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
