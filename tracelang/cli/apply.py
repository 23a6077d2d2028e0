"""`tracec apply`."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click

from tracelang.cli import WORDS, show
from tracelang.cli.emitting import emit_option, untouched_option
from tracelang.cli.masked import masked
from tracelang.cli.options import recipe_options
from tracelang.cli.progress import progress
from tracelang.cli.running import (
    config_option,
    device_options,
    mistakes,
    model_option,
    read_plan,
    usable,
    variant_option,
)
from tracelang.cli.shares import share
from tracelang.text import safe

INTERRUPTED = 130
LESS = "try --micro-batch 1 and --gradient-checkpointing"


def _summaries(out: Path) -> list[str]:
    """What the forms that have a size of their own say of it, from the manifest."""
    from tracelang.checkpoint.forms import form
    from tracelang.checkpoint.output import MARK

    manifest = json.loads((out / MARK).read_text(encoding="utf-8"))
    found = (manifest[form(name).KEY].get("summary") for name in manifest["emit"])
    return [told for told in found if told]


def _verdict(report: Path) -> str:
    try:
        return str(json.loads((report / "report.json").read_bytes())["verdict"])[:40]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "not readable"


@click.command(help="Apply RECIPE (an .erase file or a compiled .plan.json) to a model and write OUT.")
@click.argument("recipe", metavar="RECIPE")
@model_option
@config_option
@variant_option
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="The folder to write.")
@emit_option
@untouched_option
@click.option(
    "--lora-error",
    default="1%",
    callback=share(lambda value: 0 <= value < 1, "from 0% to below 100%"),
    show_default=True,
    metavar="SHARE",
    help="How much of each layer's change a LoRA may leave out; 0% keeps all of it.",
)
@click.option(
    "--lora-rank", type=click.IntRange(1), metavar="N", help="The rank of a LoRA instead, whatever is left out."
)
@click.option("--force", is_flag=True, help="Replace OUT where it exists.")
@click.option(
    "--micro-batch",
    type=click.IntRange(1),
    metavar="ROWS",
    help="Rows of a training step that are computed at once. Default: all. Fewer take less memory.",
)
@click.option(
    "--gradient-checkpointing",
    is_flag=True,
    help="While training, compute inner states again instead of keeping them: less memory, about a third more time.",
)
@device_options
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    recipe: str,
    model: str,
    config: str | None,
    variant: str | None,
    out: Path,
    emit: tuple[str, ...] | None,
    untouched: Literal["copy", "link"],
    lora_error: float,
    lora_rank: int | None,
    force: bool,
    micro_batch: int | None,
    gradient_checkpointing: bool,
    device: str | None,
    dtype: str | None,
    params: Mapping[str, str],
    root: Path | None,
    as_json: bool,
) -> None:
    from tracelang import api

    plan, home = read_plan(recipe, params, root)
    state = out.parent / f".{out.name}.state"
    with mistakes(LESS):
        from tracelang.checkpoint.forms import usual
        from tracelang.checkpoint.output import refuse, sweep
        from tracelang.cli.unread import unread_of

        refuse(out, force)  # before a hub is asked for gigabytes
        for left in sweep(out):
            click.echo(safe(f"note: {left}: what a killed run left of its output is removed"), err=True)
        bound = api.bind(plan, model, config=config, variant=variant)
        emit = usual(bound.folder, bound.plan) if emit is None else emit
        stood = (out / "report" / "report.json").is_file()
        api.check_output(bound, out, emit=emit, force=force, root=home, untouched=untouched, lora_rank=lora_rank)
        if plan.active:
            found = unread_of(bound, usable(device), dtype, recipe, params, root)
            show(found)
            if any(one.severity == "error" for one in found):
                ctx.exit(1)
        try:
            with progress() as report:
                applied = api.apply(
                    bound,
                    device=usable(device),
                    dtype=dtype,
                    progress=report,
                    state=state,
                    micro_batch=micro_batch,
                    gradient_checkpointing=gradient_checkpointing,
                )
            remarks = applied.save(
                out,
                emit=emit,
                force=force,
                root=home,
                untouched=untouched,
                params=params,
                lora_error=lora_error,
                lora_rank=lora_rank,
            )
        except KeyboardInterrupt:
            held = f"what is done so far is in {state}" if any(state.glob("*.safetensors")) else "no step is done yet"
            again = shlex.join(ctx.meta[WORDS])
            click.echo(f"\ninterrupted; {safe(held)}. Go on with: {safe(again)}", err=True)
            ctx.exit(INTERRUPTED)
        shutil.rmtree(state, ignore_errors=True)
    for remark in remarks:
        click.echo(safe(f"note: {remark}"), err=True)
    summaries = _summaries(out)
    if as_json:
        outcome = {
            "format_version": 1,
            "out": str(out),
            "plan": plan.digest,
            "tensors": len(applied.edit.sites),
            "figures": applied.edit.figures,
            "summaries": summaries,
            "notes": list(remarks),
        }
        click.echo(json.dumps(outcome, indent=2))
    else:
        written = ",".join(emit)
        changed = len(applied.edit.sites)
        click.echo(safe(f"{out}: {changed} matrices changed ({written}), {len(plan.erase)} erased"))
        for told in (*summaries, *masked(plan, applied.edit.figures)):
            click.echo(safe(told))
    if stood:
        kept = max((out / "report" / "earlier").iterdir())
        told = f"warning: {out}: held a report of the edit before ({_verdict(kept)}); it is kept in {kept}"
        click.echo(safe(told), err=True)
