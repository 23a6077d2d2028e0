"""`tracec plan`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from tracelang.cli import show
from tracelang.cli.emitting import emit_option, untouched_option
from tracelang.cli.foreseen import facts_of, text_of
from tracelang.cli.options import read_recipe, recipe_options
from tracelang.cli.progress import progress
from tracelang.cli.running import (
    config_option,
    device_options,
    mistakes,
    model_option,
    usable,
    variant_option,
)
from tracelang.cli.streams import FAILED, Lost
from tracelang.diagnostics import CompileError
from tracelang.diagnostics.formats import FORMATS

if TYPE_CHECKING:
    from tracelang.api import Bound
    from tracelang.cli.bound import Refusal
    from tracelang.diagnostics import Diagnostic
    from tracelang.engine.predicted import Predicted
    from tracelang.plan.types import Plan

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
@config_option
@variant_option
@device_options
@recipe_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Where it would be written: refuse what `apply` refuses of the place, such as want of room.",
)
@emit_option
@untouched_option
@click.option("--config-only", is_flag=True, help="Read no weights: leave the predicted collateral out.")
@click.option("--detailed-exitcode", is_flag=True, help="0 nothing to do, 1 error, 2 changes.")
@click.option(
    "--format",
    "style",
    type=click.Choice(list(FORMATS)),
    default="human",
    help="human and json show the plan and all findings, the others findings alone.",
)
@click.option("--json", "as_json", is_flag=True, help="As --format json.")
@click.pass_context
def command(
    ctx: click.Context,
    recipe: str,
    model: str,
    config: str | None,
    variant: str | None,
    device: str | None,
    dtype: str | None,
    params: Mapping[str, str],
    root: Path | None,
    out: Path | None,
    emit: tuple[str, ...] | None,
    untouched: Literal["copy", "link"],
    config_only: bool,
    detailed_exitcode: bool,
    style: str,
    as_json: bool,
) -> None:
    from tracelang import api
    from tracelang.cli.bound import refused
    from tracelang.cli.undecided import undecided_of
    from tracelang.cli.unread import unread_of

    style = "json" if as_json else style
    plan, findings = _read(recipe, params, root)
    told = Told(style, findings)
    if plan is None:
        told.end(ctx, {"format_version": 1})
    with mistakes():
        bind = partial(api.bind, plan, model, config=config, variant=variant)
        bound = _bound(ctx, bind, config_only, emit, told, lambda error: refused(error, recipe, params, root))
        if out is not None:  # one that is there may be replaced
            api.check_output(bound, out, emit=emit, force=True, untouched=untouched)
        changes = bool(plan.active)
        facts = facts_of(bound)
        if changes and not config_only:
            told.add(unread_of(bound, usable(device), dtype, recipe, params, root))
            if told.failed:
                told.end(ctx, facts)
        if not config_only:
            told.add(undecided_of(bound, recipe, params, root))
        if changes and not config_only and plan.prior:
            for prior, held in zip(facts["priors"], _held(bound, usable(device), dtype), strict=True):
                prior |= held
        if changes and not config_only:
            foreseen = _predicted(bound, usable(device), dtype)
            facts["collateral"] = foreseen.collateral if foreseen else None
            facts["residual"] = foreseen.residual if foreseen else None
            for name in ("free", "turned"):
                if foreseen and getattr(foreseen, name):
                    facts[name] = getattr(foreseen, name)
    told.show(facts)
    if detailed_exitcode and changes:
        ctx.exit(CHANGES)


@dataclass
class Told:
    """What is found on the way, shown in one format: for people as it comes, else all of it at the end."""

    style: str
    findings: list[Diagnostic]

    def __post_init__(self) -> None:
        if self.style == "human":
            show(self.findings)

    @property
    def failed(self) -> bool:
        return any(one.severity == "error" for one in self.findings)

    def add(self, found: list[Diagnostic]) -> None:
        self.findings += found
        if self.style == "human":
            show(found)

    def show(self, facts: dict[str, Any]) -> None:
        if self.style == "json":
            from tracelang.diagnostics.data import as_data

            ok = {"ok": not self.failed, "findings": [as_data(one) for one in self.findings]}
            click.echo(json.dumps(facts | ok, indent=2))
        elif self.style == "human":
            click.echo(text_of(facts))
        else:
            from tracelang.diagnostics.formats import render

            sys.stdout.buffer.write(render(self.style, self.findings).encode("utf-8", "backslashreplace"))

    def end(self, ctx: click.Context, facts: dict[str, Any]) -> NoReturn:
        """There is no plan of the model: show why, and exit with 1."""
        if self.style != "human":
            self.show(facts)
        ctx.exit(1)


def _read(recipe: str, params: Mapping[str, str], root: Path | None) -> tuple[Plan | None, list[Diagnostic]]:
    """The plan of a recipe or of a plan file, None where it has errors, and what is found in it."""
    if not recipe.endswith(".json"):
        from tracelang.plan.compile import compile_with_findings

        what, shown = read_recipe(recipe)
        return compile_with_findings(what, root=root, params=params, shown=shown)
    from tracelang.plan.load import load_plan

    if params:
        raise click.UsageError("--set changes a recipe; a compiled plan is fixed")
    try:
        return load_plan(recipe), []
    except CompileError as error:
        return None, list(error.diagnostics)


def _bound(
    ctx: click.Context,
    bind: Callable[[], Bound],
    config_only: bool,
    emit: tuple[str, ...] | None,
    told: Told,
    finding: Callable[[Refusal], Diagnostic],
) -> Bound:
    """The plan on the model. What that refuses is a finding; for people one of the model alone is a line, as it is of
    `apply`.
    """
    from tracelang import api
    from tracelang.models.single.reference import told as of_file
    from tracelang.plan.bind import BindError
    from tracelang.plan.family import FamilyError, ModelError
    from tracelang.plan.layers import SelectionError
    from tracelang.plan.windows import WindowError

    try:
        bound = bind()
        if bound.plan.active and not config_only:
            api.check_base(bound, emit)
    except (BindError, SelectionError, WindowError, ModelError) as error:
        if told.style == "human" and isinstance(error, ModelError) and not isinstance(error, FamilyError):
            raise
        found = finding(error)
        told.add([replace(found, message=of_file(found.message))])
        told.end(ctx, {"format_version": 1})
    return bound


def _held(bound: Bound, device: str, dtype: str | None) -> list[dict[str, Any]]:
    """Of each prior how many prompts it holds and leaves out on this model, and the digest of those held."""
    from tracelang.engine.cache import folder
    from tracelang.engine.options import Options
    from tracelang.engine.prior import held
    from tracelang.models import text_cache

    text = bound.family.text(bound.folder, device, dtype, text_cache.folder())
    with progress() as report:
        return held(bound.plan, text, Options(report, cache=folder()))[1]


def _predicted(bound: Bound, device: str, dtype: str | None) -> Predicted | None:
    from tracelang.checkpoint.merge import stored
    from tracelang.engine.predicted import closed_forms, predicted
    from tracelang.models import text_cache

    if not closed_forms(bound.on_model):
        return None
    text = bound.family.text(bound.folder, device, dtype, text_cache.folder())
    return predicted(bound.on_model, text, partial(stored, bound.folder))
