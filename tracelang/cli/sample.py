"""`tracec sample`."""

from __future__ import annotations

from pathlib import Path

import click

from tracelang.cli.progress import progress
from tracelang.cli.running import device_options, mistakes


@click.command(help="Draw images of prompts from MODEL (or from OUT of `apply`) into one PNG.")
@click.argument("model", metavar="MODEL")
@click.option("--prompt", "prompts", multiple=True, required=True, help="May be given several times.")
@click.option("--against", metavar="MODEL", help="Another model, drawn below with the same seeds.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("samples.png"), show_default=True)
@click.option("--count", type=click.IntRange(1, 64), default=6, show_default=True, help="Images per prompt.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first image.")
@click.option("--steps", type=click.IntRange(2, 1000), default=20, show_default=True, help="Sampler steps.")
@click.option("--guidance", type=click.FloatRange(0), help="Default: the model's own.")
@device_options
def command(
    model: str, prompts: tuple[str, ...], against: str | None, out: Path, count: int, seed: int, steps: int,
    guidance: float | None, device: str | None, dtype: str | None,
) -> None:
    from tracelang import api
    from tracelang.checkpoint.locate import family_of, locate
    from tracelang.engine.sampling import sample
    from tracelang.evidence.picture import Panel, sheet, write

    with mistakes(), progress() as report:
        rows: dict[str, dict[str, object]] = {prompt: {} for prompt in prompts}
        for name in dict.fromkeys([model, *([against] if against else [])]):
            inside = Path(name) / "model"
            folder = locate(str(inside) if (inside / "model_index.json").is_file() else name)
            family = family_of(folder)
            family.check(folder)
            loaded = family.load(folder, device or api.best_device(), dtype)
            images = sample(
                loaded, [prompt for prompt in prompts for _ in range(count)],
                [seed + i for _ in prompts for i in range(count)], steps=steps, guidance=guidance,
                progress=lambda done, of, name=name: report(f"sampling {name}", done, of),  # type: ignore[misc]
            )
            for i, prompt in enumerate(prompts):
                rows[prompt][Path(name).name] = images[i * count : (i + 1) * count]
        write(sheet([("", [Panel(prompt, row) for prompt, row in rows.items()])]), out)  # type: ignore[arg-type]
    click.echo(f"{out}: {len(prompts) * count} images a model, seeds {seed}..{seed + count - 1}")
