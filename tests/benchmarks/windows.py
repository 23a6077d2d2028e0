"""What the window is worth: `python -m tests.benchmarks.windows [THING …]`, by default the tuning objects.

For no window, the shipped one and two narrower ones, each with and without `hold`: how far the trained adapter moves
the prediction, relative to it, by noise level, for the erased concept and for preserved prompts, along the base
model's own trajectories (the closed form, which acts at every noise level, stands beside it); and the table of the
erasure benchmark. Prints both and what the shipped window is worth against none, writes JSON and a plot.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

import tracelang
from tests.benchmarks.erasure import RESULTS
from tracelang.engine.edit import Edit, applied
from tracelang.engine.protocol import Model
from tracelang.engine.rollout import Trajectories, sample, starts
from tracelang.engine.run import run
from tracelang.plan.types import Method, Plan, SteerPass, Window
from tracelang_micro import measure, table
from tracelang_micro.world.captions import with_article

SHIPPED, CLOSED = "shipped", "closed form"
NARROWER = (0.4, 0.6)


def windowed(plan: Plan, begin: float, hold: bool) -> Plan:
    """The plan with `push` during begin..100 % and `hold` before it, or without `hold`."""
    def changed(step: SteerPass) -> SteerPass:
        terms = []
        for term in step.terms:
            if term.kind == "push":
                term = term.model_copy(update={"during": Window(unit="progress", low=begin, high=1)})
            elif term.kind == "hold":
                if not hold or begin == 0:
                    continue
                term = term.model_copy(update={"during": Window(unit="progress", low=0, high=begin)})
            terms.append(term)
        return step.model_copy(update={"terms": tuple(terms)})

    passes = tuple(changed(step) if isinstance(step, SteerPass) else step for step in plan.method.passes)
    return plan.model_copy(update={"method": Method(name=plan.method.name, passes=passes)})


def begins(plan: Plan) -> dict[str, float]:
    """The windows to compare, by name: where `push` begins."""
    step = next(step for step in plan.method.passes if isinstance(step, SteerPass))
    low = next(term.during.low for term in step.terms if term.kind == "push")
    rows = {"no window": 0.0, f"{SHIPPED} {low:.0%}..100%": low}
    return rows | {f"{begin:.0%}..100%": begin for begin in NARROWER if begin > low}


@torch.no_grad()
def predictions(model: Model, edit: Edit, paths: Trajectories) -> torch.Tensor:
    """The edited model's predictions `[n, S, …]` on the trajectories' own latents."""
    known = {text: i for i, text in enumerate(dict.fromkeys(paths.prompts))}
    states = model.encode(list(known)).rows([known[text] for text in paths.prompts])
    with applied(model, edit) as edited:
        return torch.stack([
            edited.predict(paths.latents[:, i], torch.full((len(paths),), float(time)), states)
            for i, time in enumerate(paths.times)
        ], 1)


def relative(moved: torch.Tensor, paths: Trajectories) -> list[float]:
    """Mean of `‖moved‖ / ‖pred°‖` at each step."""
    return (moved.flatten(2).norm(dim=2) / paths.conditional.flatten(2).norm(dim=2)).mean(0).tolist()


def trajectories(model: Model, prompts: Sequence[str], n: int, steps: int) -> Trajectories:
    """Trajectories of the base model under noise that no training sees."""
    group = [[(prompt, None)] for prompt in prompts]
    return sample(model, starts(group, n, "window", 1), steps, model.guidance)


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
    axes[0].set_ylabel("relative change by the adapter")
    axes[1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("things", nargs="*", default=("cat", "airplane", "truck"))
    parser.add_argument("--method", default="method trace {}", help="the recipe's method statement")
    parser.add_argument("--n", type=int, default=40, help="pictures per erased prompt and probe")
    parser.add_argument("--kept", type=int, default=10, help="pictures per kept thing, style and ground")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "windows.json")
    options = parser.parse_args()
    on = measure.bench()
    model = on.model
    rows: dict[str, list[dict[str, float | str]]] = {}
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for thing in options.things:
        target = table.BY_NAME[thing]
        shipped = tracelang.compile(table.recipe(target, options.method))
        asked = table.ask(target, options.n, options.kept, options.kept, options.seed, everything=False)
        before = on.base(asked)
        kept = [f"a picture of {with_article(other, other.name)}" for other in table.neighbours(target)]
        paths = {
            "erased": trajectories(model, [f"a picture of {with_article(target, target.name)}"], 16, 20),
            "preserved": trajectories(model, kept, len(kept), 20),
        }
        for name, begin in begins(shipped).items():
            for hold in (True, False) if begin else (False,):
                plan = windowed(shipped, begin, hold)
                label = name if hold or not begin else f"{name}, no hold"
                edit = run(plan, model)
                figures = table.figures(before, on.after(edit, asked))
                rows.setdefault(label, []).append(figures)
                for kind, path in paths.items():
                    refined = predictions(model, Edit(edit.maps), path)
                    moved = predictions(model, edit, path) - refined
                    curves.setdefault(label, {}).setdefault(kind, []).append(relative(moved, path))
                    closed = relative(refined - path.conditional, path)
                    curves.setdefault(CLOSED, {}).setdefault(kind, []).append(closed)
                print(f"{thing}, {label}: {json.dumps(figures)}", flush=True)
    means = {label: table.mean(found) for label, found in rows.items()}
    average = {label: {kind: torch.tensor(many).mean(0).tolist() for kind, many in found.items()}
               for label, found in curves.items()}
    logsnr = [model.clock.logsnr(float(time)) for time in model.clock.times(20)]
    print(f"\nmeans over {', '.join(options.things)}\n{table.render(means)}\n")
    print("how far the adapter moves the prediction, by noise level")
    print("log-SNR " + " ".join(f"{value:6.1f}" for value in logsnr[::2]))
    for label, curve in average.items():
        for kind, values in curve.items():
            print(f"{label}, {kind}\n        " + " ".join(f"{value:6.3f}" for value in values[::2]))
    shipped_row = next(row for label, row in means.items() if label.startswith(SHIPPED) and "no hold" not in label)
    none = means["no window"]
    gain = {key: 100 * (float(shipped_row[key]) - float(none[key])) for key in ("erased", "probes", "kept_change")}
    words = ", ".join(f"{key.replace('_', ' ')} {value:+.1f}" for key, value in gain.items())
    print(f"\nthe shipped window against none, in points: {words}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"things": options.things, "n": options.n, "kept": options.kept, "seed": options.seed,
             "method": options.method, "model": model.fingerprint}
    options.out.write_text(json.dumps({"options": facts, "rows": means, "logsnr": logsnr, "change": average}) + "\n")
    plot(options.out.with_suffix(".png"), logsnr, average)


if __name__ == "__main__":
    main()
