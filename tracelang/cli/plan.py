"""`tracec plan`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracelang.cli.foreseen import facts_of, text_of
from tracelang.cli.options import recipe_options
from tracelang.cli.progress import progress
from tracelang.cli.running import config_option, device_options, mistakes, model_option, read_plan, usable
from tracelang.cli.streams import FAILED, Lost

if TYPE_CHECKING:
    from tracelang.api import Bound
    from tracelang.diagnostics import Diagnostic, Span
    from tracelang.engine.predicted import Predicted

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
    config: str | None,
    device: str | None,
    dtype: str | None,
    params: Mapping[str, str],
    root: Path | None,
    config_only: bool,
    detailed_exitcode: bool,
    as_json: bool,
) -> None:
    from tracelang import api
    from tracelang.cli import show
    from tracelang.cli.unread import written
    from tracelang.diagnostics.data import as_data

    plan, _ = read_plan(recipe, params, root)
    with mistakes():
        bound = api.bind(plan, model, config=config)
        changes = bool(plan.active)
        facts = facts_of(bound)
        if changes and not config_only:
            api.check_base(bound)
            found = _unread(bound, usable(device), dtype, *written(recipe, params, root))
            facts["findings"] = [as_data(one) for one in found]
            show(found)
            if any(one.severity == "error" for one in found):
                if as_json:
                    click.echo(json.dumps(facts, indent=2))
                ctx.exit(1)
        if changes and not config_only and plan.prior:
            for prior, held in zip(facts["priors"], _held(bound, usable(device), dtype), strict=True):
                prior |= held
        if changes and not config_only:
            told = _predicted(bound, usable(device), dtype)
            facts["collateral"] = told.collateral if told else None
            facts["residual"] = told.residual if told else None
    click.echo(json.dumps(facts, indent=2) if as_json else text_of(facts))
    if detailed_exitcode and changes:
        ctx.exit(CHANGES)


def _unread(
    bound: Bound, device: str, dtype: str | None, places: Mapping[str, Span], nowhere: Span
) -> list[Diagnostic]:
    """What the text encoders do not get, as far as an edited matrix reads it."""
    from tracelang.cli.unread import unread
    from tracelang.models import text_cache

    read = {site.reads for site in bound.sites}
    text = bound.family.text(bound.folder, device, dtype, text_cache.folder())
    return unread(bound.plan, text, None if None in read else {one for one in read if one}, places, nowhere)


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
    from tracelang.engine.predicted import closed_forms, predicted
    from tracelang.models import text_cache

    if not closed_forms(bound.on_model):
        return None
    return predicted(bound.on_model, bound.family.text(bound.folder, device, dtype, text_cache.folder()))
