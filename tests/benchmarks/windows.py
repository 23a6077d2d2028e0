"""What the window is worth: `python -m tests.benchmarks.windows [THING …]`, by default the tuning objects.

For no window, the shipped one and two narrower ones, each with and without `hold`: how far the trained adapter moves
the prediction, relative to it, by noise level, for the erased concept and for preserved prompts, along the base
model's own trajectories (the closed form, which acts at every noise level, stands beside it); how many pictures of
what the recipe preserves, and of what it does not, no longer show their thing, and how far they move from the base
model's of the same seed; and the table of the erasure benchmark, with its rule for anchors. Prints all three and what
the shipped window is worth against none, writes JSON and, unless brief, a plot. A row that is already in the JSON is
not measured again; a file of other options is left alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import tracelang
from tests.benchmarks.erasure import held, place, result, toward
from tests.engine.plans import run
from tracelang.engine.edit import Edit, applied
from tracelang.engine.rollout import Trajectories, predictions, record, starts
from tracelang.evidence.bench import draw
from tracelang.evidence.units.drift import relative
from tracelang.models.protocol import Model
from tracelang.plan.types import Method, Plan, Window
from tracelang.semantics.passes.steer import Steer
from tracelang_micro import measure, table
from tracelang_micro.table import Question
from tracelang_micro.world.captions import with_article
from tracelang_micro.world.concepts import Thing

SHIPPED, NONE, CLOSED = "shipped", "no window", "closed form"
NARROWER = (0.4, 0.6)
PAIRED = 3


def windowed(plan: Plan, begin: float, hold: bool) -> Plan:
    """The plan with `push` during begin..100 % and `hold` before it, or without `hold`."""

    def changed(step: Steer) -> Steer:
        terms = []
        for term in step.terms:
            if term.kind == "push":
                term = replace(term, during=Window(unit="progress", low=begin, high=1))
            elif term.kind == "hold":
                if not hold or begin == 0:
                    continue
                term = replace(term, during=Window(unit="progress", low=0, high=begin))
            terms.append(term)
        return replace(step, terms=tuple(terms))

    passes = tuple(changed(step) if isinstance(step, Steer) else step for step in plan.method.passes)
    return plan.model_copy(update={"method": Method(name=plan.method.name, passes=passes)})


def compared(plan: Plan, brief: bool) -> dict[str, tuple[float, bool]]:
    """The rows by name: where `push` begins, and whether `hold` acts before it. Brief: the shipped window and none."""
    step = next(step for step in plan.method.passes if isinstance(step, Steer))
    low = next(term.during.low for term in step.terms if term.kind == "push")
    rows = {NONE: (0.0, False), f"{SHIPPED} {low:.0%}..100%": (low, True)}
    if not brief:
        rows[f"{SHIPPED} {low:.0%}..100%, no hold"] = (low, False)
        for begin in NARROWER:
            rows |= {f"{begin:.0%}..100%": (begin, True), f"{begin:.0%}..100%, no hold": (begin, False)}
    return rows


def predicted(model: Model, edit: Edit, paths: Trajectories) -> torch.Tensor:
    """The edited model's predictions `[n, S, …]` on the trajectories' own latents."""
    with applied(model, edit) as edited:
        return predictions(edited, paths)


def trajectories(model: Model, target: Thing) -> dict[str, Trajectories]:
    """Trajectories of the base model under noise that no training sees: 16 of the target, one of each kept thing."""

    def of(things: Sequence[Thing], n: int) -> Trajectories:
        prompts = [[(f"a picture of {with_article(thing, thing.name)}", None)] for thing in things]
        return record(model, starts(prompts, n, "window", 1), 20, model.guidance)

    kept = table.neighbours(target)
    return {"erased": of([target], 16), "preserved": of(kept, len(kept))}


def pictures(on: measure.Bench, model: Model, asked: Sequence[Question]) -> torch.Tensor:
    """Pictures `[n, channel, y, x]` in 0..1."""
    return draw(model, [question.sample for question in asked], on.steps)


def spared(asked: Sequence[Question], target: Thing) -> dict[str, dict[str, list[Question]]]:
    """The pictures of each kept thing: of those that the recipe preserves, and of the others."""
    names = {thing.name for thing in table.neighbours(target)}
    found: dict[str, dict[str, list[Question]]] = {"preserved": {}, "other": {}}
    for question in asked:
        if question.row[0] == "kept":
            found["preserved" if question.row[1] in names else "other"].setdefault(question.row[1], []).append(question)
    return {kind: rows for kind, rows in found.items() if rows}


def plot(file: Path, logsnr: Sequence[float], curves: dict[str, dict[str, list[float]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6), sharex=True, sharey=True)
    for axis, kind in zip(axes, ("erased", "preserved"), strict=True):
        for name, curve in curves.items():
            axis.plot(logsnr, curve[kind], "--" if name.endswith("no hold") else "-", label=name, linewidth=1.2)
        axis.set_title(f"{kind} prompts")
        axis.set_xlabel("log-SNR (noise → image)")
    axes[0].set_yscale("log")
    axes[0].set_ylabel("relative change by the adapter")
    axes[1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def measured(
    on: measure.Bench,
    asked: Sequence[Question],
    plan: Plan,
    paths: dict[str, Trajectories],
    kept: dict[str, dict[str, list[Question]]],
    bases: dict[str, torch.Tensor],
) -> dict[str, Any]:
    """One row: the table's figures, how many kept pictures were lost, how far the first `PAIRED` of each thing moved
    from `bases` (root mean square of a pixel, 0..1), and the changes of the prediction by noise level, of adapter and
    closed form.
    """
    model = on.model
    edit = run(plan, model)
    before, after = on.base(asked), on.after(edit, asked)
    lost = {
        kind: sum(before.rates["kept", name].hits - after.rates["kept", name].hits for name in rows)
        for kind, rows in kept.items()
    }
    moved = {}
    with applied(model, edit) as edited:
        for kind, base in bases.items():
            apart = pictures(on, edited, first(kept[kind])) - base
            moved[kind] = float(apart.flatten(1).square().mean(1).sqrt().mean())
    change: dict[str, dict[str, list[float]]] = {"adapter": {}, CLOSED: {}}
    for kind, path in paths.items():
        refined = predicted(model, Edit(edit.maps), path)
        by = {"adapter": predicted(model, edit, path) - refined, CLOSED: refined - path.conditional}
        for source, difference in by.items():
            change[source][kind] = relative(difference, path.conditional).mean(0).tolist()
    return {"figures": table.figures(before, after), "lost": lost, "moved": moved, "change": change}


def first(rows: dict[str, list[Question]]) -> list[Question]:
    """The first pictures of each thing."""
    return [question for row in rows.values() for question in row[:PAIRED]]


def report(rows: dict[str, dict[str, Any]], logsnr: Sequence[float], refined: bool, file: Path | None) -> None:
    """Print the means over all things, and plot the changes by noise level into `file`. `refined` says whether the
    edits hold a closed form, which then stands beside the adapters: without one its change is rounding, and on a GPU
    not quite zero.
    """
    labels = list(next(iter(rows.values())))
    means = {label: table.mean([found[label]["figures"] for found in rows.values()]) for label in labels}
    print(f"\nmeans over {', '.join(rows)}\n{table.render(means)}\n")

    def average(label: str, source: str) -> dict[str, list[float]]:
        return {
            kind: torch.tensor([found[label]["change"][source][kind] for found in rows.values()]).mean(0).tolist()
            for kind in ("erased", "preserved")
        }

    curves = {label: average(label, "adapter") for label in labels}
    if refined:
        curves[CLOSED] = average(labels[0], CLOSED)
    print("how far the adapter moves the prediction, by noise level")
    print("log-SNR " + " ".join(f"{value:6.1f}" for value in logsnr[::2]))
    for label, curve in curves.items():
        for kind, values in curve.items():
            print(f"{label}, {kind}\n        " + " ".join(f"{value:6.3f}" for value in values[::2]))
    shipped = next(label for label in labels if label.startswith(SHIPPED) and "no hold" not in label)
    gain = {
        key: 100 * (float(means[shipped][key]) - float(means[NONE][key])) for key in ("erased", "probes", "kept_change")
    }
    words = ", ".join(f"{key.replace('_', ' ')} {value:+.1f}" for key, value in gain.items())
    print(f"\nthe shipped window against none, in points: {words}")
    kinds = list(next(iter(rows.values()))[NONE]["moved"])
    if all("lost" in row for found in rows.values() for row in found.values()):  # older rows lack the count
        print(f"\nhow many pictures of what is {' and of what is '.join(kinds)} are lost")
        for label in labels:
            counts = [sum(found[label]["lost"][kind] for found in rows.values()) for kind in kinds]
            print(f"{label:<30}" + " ".join(f"{count:8d}" for count in counts))
    print(f"\nhow far the pictures of what is {' and of what is '.join(kinds)} move")
    for label in labels:
        sizes = [sum(found[label]["moved"][kind] for found in rows.values()) / len(rows) for kind in kinds]
        print(f"{label:<30}" + " ".join(f"{size:8.4f}" for size in sizes))
    print("how far the adapter moves the predictions of erased and of preserved prompts, all noise levels")
    for label in labels:
        sizes = [sum(curves[label][kind]) / len(logsnr) for kind in ("erased", "preserved")]
        print(f"{label:<30}" + " ".join(f"{size:8.4f}" for size in sizes))
    if file is not None:
        plot(file, logsnr, curves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("things", nargs="*", default=("cat", "airplane", "truck"))
    parser.add_argument("--method", default="method trace {}", help="the recipe's method statement")
    parser.add_argument(
        "--stage",
        default="trace",
        choices=["trace", "fine-tuning alone"],
        help="after the closed form, which hides most of what a window does, or without it",
    )
    parser.add_argument("--brief", action="store_true", help="the shipped window and none, no narrower ones")
    parser.add_argument("--n", type=int, default=20, help="pictures per erased prompt and probe")
    parser.add_argument("--kept", type=int, default=10, help="pictures per kept thing, style and ground")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--anchor", help="erase toward this thing, or `none` for the neutral state; default: the rule")
    parser.add_argument("--everything", action="store_true", help="measure also what the recipe does not preserve")
    parser.add_argument("--model", default="micro-sd", help="an embedded model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.out is None:
        anchor = f"-toward-{options.anchor}" if options.anchor else ""
        options.out = result(f"windows-{options.stage.replace(' ', '-')}{anchor}", options.model, options.device)
    on = measure.bench(options.model, device=options.device)
    logsnr = [on.model.clock.logsnr(float(time)) for time in on.model.clock.times(20)]
    facts = {
        "n": options.n,
        "kept": options.kept,
        "paired": PAIRED,
        "seed": options.seed,
        "method": options.method,
        **({"everything": True} if options.everything else {}),
        **({"anchor": options.anchor} if options.anchor else {}),
        **place(options.device),
        "model": on.model.fingerprint,
    }
    rows: dict[str, dict[str, Any]] = held(options.out, facts).get("rows", {})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    shown: dict[str, dict[str, dict[str, Any]]] = {}
    for thing in options.things:
        target = table.BY_NAME[thing]
        whole = tracelang.compile(table.recipe(target, options.method, toward(target, options.anchor)))
        shipped = measure.stage(whole, options.stage)
        done, wanted = rows.setdefault(thing, {}), compared(shipped, options.brief)
        missing = [label for label in wanted if label not in done]
        if missing:
            paths = trajectories(on.model, target)
            asked = table.ask(target, options.n, options.kept, options.kept, options.seed, options.everything)
            kept = spared(asked, target)
            bases = {kind: pictures(on, on.model, first(rows)) for kind, rows in kept.items()}
        for label in missing:
            done[label] = measured(on, asked, windowed(shipped, *wanted[label]), paths, kept, bases)
            options.out.write_text(json.dumps({"options": facts, "logsnr": logsnr, "rows": rows}) + "\n")
        shown[thing] = {label: done[label] for label in wanted}
        for label, row in shown[thing].items():
            print(f"{thing}, {label}: {json.dumps(row['figures'])}", flush=True)
    refined = options.stage == "trace"
    report(shown, logsnr, refined, None if options.brief else options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
