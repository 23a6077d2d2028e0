"""`tracec plan`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracelang.cli.options import recipe_options
from tracelang.cli.running import device_options, mistakes, model_option, read_plan, usable
from tracelang.cli.streams import FAILED, Lost
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.api import Bound
    from tracelang.plan.types import Member, Plan

CHANGES = 2


class _Wrong(click.UsageError):
    exit_code = 1


class _Detailed(click.Command):
    """With `--detailed-exitcode` 2 means changes, so a usage error, click's 2, is a 1 there."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        with _ones("--detailed-exitcode" in args):
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _ones(ctx.params["detailed_exitcode"]):
            return super().invoke(ctx)


@contextmanager
def _ones(detailed: bool) -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if not detailed:
            raise
        raise _Wrong(error.format_message(), error.ctx) from error
    except Lost as error:
        raise Lost(1 if detailed and error.code == FAILED else error.code) from error


@click.command(
    cls=_Detailed,
    help="Show what RECIPE would change in a model: tensors, windows, cost, predicted collateral.",
)
@click.argument("recipe", metavar="RECIPE")
@model_option
@device_options
@recipe_options
@click.option("--config-only", is_flag=True, help="Read no weights: leave the predicted collateral out.")
@click.option("--detailed-exitcode", is_flag=True, help="0 nothing to do, 1 error, 2 changes.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    recipe: str,
    model: str,
    device: str | None,
    dtype: str | None,
    params: Mapping[str, str],
    root: Path | None,
    config_only: bool,
    detailed_exitcode: bool,
    as_json: bool,
) -> None:
    from tracelang import api

    plan, _ = read_plan(recipe, params, root)
    with mistakes():
        bound = api.bind(plan, model)
        changes = bool(plan.active)
        facts = _facts(bound)
        if changes and not config_only:
            api.check_weights(bound)
            facts["collateral"] = _collateral(bound, usable(device), dtype)
    click.echo(json.dumps(facts, indent=2) if as_json else _text(facts))
    if detailed_exitcode and changes:
        ctx.exit(CHANGES)


def _facts(bound: Bound) -> dict[str, Any]:
    from tracelang.models.weights import find

    edited = sum(prod(site.shape) for site in bound.sites)
    components = {site.component for site in bound.sites}
    total = sum(prod(entry.shape) for name in components for _, entry in find(bound.folder / name).tensors.values())
    return {
        "format_version": 1,
        "plan": bound.plan.digest,
        "model": bound.name,
        "family": bound.family.name(bound.folder),
        "tensors": [site.tensor for site in bound.sites],
        "parameters": {"edited": edited, "of": total},
        "passes": [
            {
                "label": step.label,
                "kind": step.kind,
                "tensors": len(step.sites),
                "windows": [
                    {
                        "label": w.label,
                        "written": f"{w.window.unit} {w.window.low:g}..{w.window.high:g}",
                        "logsnr": [_finite(w.logsnr.low), _finite(w.logsnr.high)],
                        "progress": list(w.progress),
                        "times": list(w.times),
                    }
                    for w in step.windows
                ],
                "rows": {"frozen": step.cost.frozen, "trained": step.cost.trained},
            }
            for step in bound.passes
        ],
    }


def _finite(value: float) -> float | None:
    return value if abs(value) != float("inf") else None


def _collateral(bound: Bound, device: str, dtype: str | None) -> dict[str, dict[str, float]] | None:
    """The largest relative change of the text states that the layers read, from `T` alone, by role and concept.

    None where the method has no closed form.
    """
    from tracelang.engine.edit import Edit
    from tracelang.engine.run import refine
    from tracelang.engine.text_map import collateral
    from tracelang.models import text_cache
    from tracelang.plan.prompts import edit_prompts
    from tracelang.semantics.passes.refine import Refine

    plan = bound.plan
    steps = [step for step in plan.method.passes if isinstance(step, Refine)]
    if not steps:
        return None
    text = bound.family.text(bound.folder, device, dtype, text_cache.folder())
    edit = Edit()
    for step in steps:
        edit = refine(plan, step, text, edit)

    def change(member: Member) -> float:
        prompts = edit_prompts(plan, member)
        states, start = text.encode([prompt.text for prompt in prompts]), text.layout(prompts[0]).start
        return float(collateral(edit.text_maps, states, start).max())

    return {role: {" & ".join(member): change(member) for member in members} for role, members in _roles(plan).items()}


def _roles(plan: Plan) -> dict[str, list[Member]]:
    """The plan's concepts by their part in it; a neighbour is what it names besides, a half of `A & B` for one."""
    roles: dict[str, list[Member]] = {
        "erased": [erasure.targets for erasure in plan.active],
        "anchors": [erasure.anchor for erasure in plan.active if erasure.anchor is not None],
        "preserved": [entry.concepts for entry in plan.preserve],
    }
    named = {member for members in roles.values() for member in members}
    roles["neighbours"] = [(concept.name,) for concept in plan.concepts if (concept.name,) not in named]
    return {role: list(dict.fromkeys(members)) for role, members in roles.items()}


def _text(facts: dict[str, Any]) -> str:
    share = facts["parameters"]["edited"] / max(1, facts["parameters"]["of"])
    lines = [
        f"plan {facts['plan'][:12]} on {facts['model']} ({facts['family']})",
        f"{len(facts['tensors'])} tensors, {facts['parameters']['edited']:,} parameters ({share:.2%} of the component)",
    ]
    for step in facts["passes"]:
        rows = step["rows"]
        cost = f", about {rows['frozen']:,} rows sampled and {rows['trained']:,} trained" if rows["trained"] else ""
        lines.append(f"  {step['label']}: {step['tensors'] or 'no'} tensors of its own{cost}")
        for window in step["windows"]:
            low, high = (
                ("-inf" if i == 0 else "inf") if v is None else f"{v:.2f}" for i, v in enumerate(window["logsnr"])
            )
            times = "..".join(f"{time:.0f}" if time > 1 else f"{time:.3g}" for time in window["times"])
            progress = "..".join(f"{100 * part:.4g}%" for part in window["progress"])
            lines.append(
                f"    {window['label']:8} {window['written']:22} "
                f"progress {progress}  log-SNR {low}..{high}  time {times}"
            )
    if "collateral" in facts:
        lines.append("predicted change of text states, from the closed form alone (largest first):")
        if facts["collateral"] is None:
            lines.append("  no closed form in this method")
        for role, changes in (facts["collateral"] or {}).items():
            ranked = sorted(changes.items(), key=lambda item: -item[1])
            lines += [f"  {role}", *(f"    {change:7.2%}  {name}" for name, change in ranked)] if ranked else []
    return "\n".join(map(safe, lines))
