"""`tracec sample`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracelang.cli.progress import progress
from tracelang.cli.running import config_option, device_options, mistakes, usable, variant_option
from tracelang.cli.unread import listed
from tracelang.text import safe

if TYPE_CHECKING:
    from torch import Tensor

    from tracelang.models.protocol import Lost


PNG = click.Path(path_type=Path, dir_okay=False, writable=True)


@click.command(help="Draw images of prompts from MODEL (or from OUT of `apply`) into one PNG.")
@click.argument("model", metavar="MODEL")
@click.option("--prompt", "prompts", multiple=True, required=True, help="May be given several times.")
@click.option("--against", metavar="MODEL", help="Another model, drawn below with the same seeds.")
@click.option("--out", type=PNG, default=Path("samples.png"), show_default=True)
@click.option("--count", type=click.IntRange(1, 64), default=6, show_default=True, help="Images per prompt.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first image.")
@click.option("--steps", type=click.IntRange(2, 1000), default=20, show_default=True, help="Sampler steps.")
@click.option("--guidance", type=click.FloatRange(0), help="Default: the model's own.")
@config_option
@variant_option
@device_options
def command(
    model: str,
    prompts: tuple[str, ...],
    against: str | None,
    out: Path,
    count: int,
    seed: int,
    steps: int,
    guidance: float | None,
    config: str | None,
    variant: str | None,
    device: str | None,
    dtype: str | None,
) -> None:
    from tracelang.engine.sampling import sample
    from tracelang.evidence.sheet import Strip, sheet, write
    from tracelang.models.locate import family_of
    from tracelang.plan.prompts import Prompt

    unread = dict[str, None]()
    prompts = tuple(dict.fromkeys(prompts))
    names = list(dict.fromkeys([model, *([against] if against else [])]))
    for name in names:
        _refuse(Path(name), prompts)
    with mistakes("lower --count"), progress() as report:
        out.parent.mkdir(parents=True, exist_ok=True)  # before anything is drawn for it
        rows: dict[str, dict[str, Tensor]] = {prompt: {} for prompt in prompts}
        for name, label in zip(names, labels(names), strict=True):
            folder = located(name, config, variant)
            family = family_of(folder)
            family.check(folder)
            loaded = family.load(folder, usable(device), dtype)
            unread |= dict.fromkeys(map(_unread, loaded.lost([Prompt(prompt, prompt) for prompt in prompts])))
            images = sample(
                loaded,
                [prompt for prompt in prompts for _ in range(count)],
                [seed + i for _ in prompts for i in range(count)],
                steps=steps,
                guidance=guidance,
                fast=True,  # as `verify` draws, whose hits are drawn again by this command
                progress=lambda _, done, of, label=label: report(f"sampling {label}", done, of),  # type: ignore[misc]
            )
            for i, prompt in enumerate(prompts):
                rows[prompt][label] = images[i * count : (i + 1) * count]
        write(sheet([("", [Strip(prompt, row) for prompt, row in rows.items()])]), out)
    for line in unread:
        click.echo(safe(f"warning: {line}"), err=True)
    click.echo(safe(f"{out}: {len(prompts) * count} images a model, seeds {seed}..{seed + count - 1}"))


def _unread(lost: Lost) -> str:
    """Pictures look no worse for words that the model never got, so this has to be said."""
    told = f"the text input `{lost.reads}`"
    of = f"of {lost.prompt.text[:60]!r}"
    if lost.tokens > lost.length:
        return f"{told} reads {lost.length} of the {lost.tokens} tokens {of} and loses {listed(lost.cut)}; shorten it"
    return f"{told} has no token for {listed(lost.unknown)} {of}: all unknown words are one to it"


def located(name: str, config: str | None, variant: str | None = None) -> Path:
    """The folder of a model, or of the checkpoint in an OUT. A single file there has its configs beside it; `config` is
    for what they lack, and for single files. A checkpoint there is run from the variant that its base was run from,
    unless another is asked for; `variant` is for folders.
    """
    from tracelang.models.locate import locate
    from tracelang.models.single.prepare import DRAWS

    out = Path(name)
    if (out / "model" / "model_index.json").is_file():
        return locate(str(out / "model"), variant=variant or _variant(out))
    try:
        held = json.loads((out / "manifest.json").read_bytes())["single-file"]
        file, lacking = out / Path(held["file"]).name, held["lacking"]
    except (OSError, ValueError, KeyError, TypeError):
        return locate(name, config if Path(name).is_file() else None, None if Path(name).is_file() else variant)
    own = str((out / "config").absolute())  # never a hub id
    return locate(str(file), config or (own if {*lacking} <= {DRAWS} else None))


def _variant(out: Path) -> str | None:
    """The variant that the base of an OUT was run from, as its manifest says it."""
    try:
        told = json.loads((out / "manifest.json").read_bytes())["model"].get("variant")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return told if isinstance(told, str) else None


def _refuse(out: Path, prompts: Sequence[str]) -> None:
    """Refuse what the plan of an OUT protects, for every model that is drawn beside it, its base too."""
    from tracelang.plan.load import load_plan
    from tracelang.plan.protected import refuse

    out = Path(os.path.realpath(out))  # `.` and links name the same model
    for folder in (out, out.parent) if out.name == "model" else (out,):
        if (folder / "plan.json").is_file() and (folder / "lock.json").is_file():
            with mistakes():
                refuse(load_plan(str(folder / "plan.json")), prompts, click.ClickException)


def labels(models: Sequence[str]) -> list[str]:
    """The shortest ends of the paths that tell the models apart; where none do, what was typed."""
    paths = [Path(model).parts for model in models]
    for length in range(1, max(map(len, paths)) + 1):
        ends = [str(Path(*parts[-length:])) for parts in paths]
        if len(set(ends)) == len(ends):
            return ends
    return list(models)
