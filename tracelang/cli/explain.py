"""`tracec explain`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracelang.cli import show
from tracelang.cli.options import read_recipe, recipe_options
from tracelang.plan.compile import compile_with_findings
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.evidence.asked import Asked
    from tracelang.plan.types import Plan

HELP = """Print RECIPE (a recipe, a plan, or - for standard input) with every default spelled out.

With --prompts, every prompt that the edit uses and that verification would draw, for approval before anything runs:
nothing is drawn for it, and none of a protected concept is printed."""


@click.command(help=HELP)
@click.argument("recipe", metavar="RECIPE")
@click.option("--prompts", is_flag=True, help="Print prompts, by concept and by what they are for.")
@click.option("--concept", metavar="NAME", help="Only the prompts of this concept.")
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    recipe: str,
    prompts: bool,
    concept: str | None,
    params: Mapping[str, str],
    root: Path | None,
    as_json: bool,
) -> None:
    from tracelang.plan.explain import explain

    if concept is not None and not prompts:
        raise click.UsageError("--concept chooses among prompts: give --prompts with it")
    if recipe.endswith(".json"):
        from tracelang.plan.load import load_plan

        if params:
            raise click.UsageError("--set changes a recipe; a compiled plan is fixed: explain its recipe instead")
        plan = load_plan(recipe)
    else:
        what, shown = read_recipe(recipe)
        found, findings = compile_with_findings(what, root=root, params=params, shown=shown)
        show(findings)
        if found is None:
            ctx.exit(1)
        plan = found
    if prompts:
        text = _prompts(plan, concept, as_json)
    elif as_json:
        text = _json({"plan": plan.digest, "recipe": explain(plan)})
    else:
        text = explain(plan)
    sys.stdout.buffer.write(text.encode())


def _prompts(plan: Plan, concept: str | None, as_json: bool) -> str:
    from tracelang.evidence.asked import asked
    from tracelang.evidence.errors import EvidenceError

    try:
        parts = asked(plan)
    except EvidenceError as error:
        raise click.ClickException(safe(str(error))) from error
    if concept is not None:
        parts = _chosen(parts, concept)
    if as_json:
        return _json({"plan": plan.digest, "prompts": [_data(part) for part in parts]})
    lines: list[str] = []
    for subject in dict.fromkeys(part.subject for part in parts):
        lines += ["", safe(subject)] if lines else [safe(subject)]
        for part in parts:
            if part.subject == subject:
                count = f"{len(part.prompts)} prompt{'s' * (len(part.prompts) != 1)}"
                lines.append(safe(f"  {part.stage}: {part.purpose} ({count}){_more(part)}"))
                lines += [safe(f"    {prompt}") for prompt in part.prompts]
    return "".join(f"{line}\n" for line in lines)


def _chosen(parts: tuple[Asked, ...], concept: str) -> tuple[Asked, ...]:
    """The parts of one concept, alone or beside another. Raises UsageError where there are none."""
    from difflib import get_close_matches

    named = [(part, {part.subject, *(name.strip('"') for name in part.concepts)}) for part in parts if part.concepts]
    chosen = tuple(part for part, names in named if concept in names)
    if not chosen:
        near = get_close_matches(concept, sorted({name for _, names in named for name in names}), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(safe(f"no statement of the recipe leads to prompts of a concept {concept!r}{hint}"))
    return chosen


def _more(part: Asked) -> str:
    """What is said of prompts that do not follow."""
    told = [f"{part.withheld} withheld: they speak of a protected concept"] if part.withheld else []
    return "".join(f"; {one}" for one in (*told, *([part.note] if part.note else [])))


def _data(part: Asked) -> dict[str, Any]:
    return {
        "concepts": list(part.concepts),
        "stage": part.stage,
        "purpose": part.purpose,
        "prompts": list(part.prompts),
        "withheld": part.withheld,
        "note": part.note or None,
    }


def _json(told: dict[str, Any]) -> str:
    import json

    return json.dumps({"format_version": 1, **told}, indent=2) + "\n"
