"""Does the window keep more than none at equal erasure? `python -m tests.benchmarks.window [--device cuda]` decides it.

Fixed before it is run: recipe, concepts, seeds, counts and rule stand here and are no options.

**Recipe.** The trajectory losses of `trace` alone, its settings, on every attention and feed-forward matrix. *Late*:
`push` during 20 %..100 % and `hold` before it. *None*: `push` always, no `hold`. All else is equal, the seeds too.

**Concepts.** The reported things and style: dog, ship, santa, knife (toward the rule's anchor, the rest of the group
and the everyday things preserved) and blueprint (`recipes/micro/style.erase`). Nothing was chosen on them.

**Seeds.** Four trainings of each concept and arm, seeds 0 to 3, and for each its own pictures, the same for both arms.

**How many.** What is decided is a difference of one point of all pictures of unnamed things, at 95 %. Of a cell (a
concept and a training seed) the difference of the two arms has two sources. Pictures: about 5 % of paired pictures show
their thing in one arm alone, so over the m = 20 to 26 unnamed things at k = 32 pictures, m k ≥ 640, its standard
deviation is √(0.05/640) = 0.9 points at most. Training: what a seed changes, about 1.3 points. Together σ = 1.6. Over
C = 5 concepts and S = 4 seeds the standard error is σ/√(C S) = 0.36 points, and with t(0.975; C (S − 1) = 15) = 2.13
half the interval is 0.76: a true point is seen in about three of four runs. More pictures would not help (without any
picture's noise it is 0.62), so training seeds are what is paid for. By name 100 pictures, by synonym 40: 2,000 and
about 2,000 an arm. Of the things that the recipe preserves, 8 each, for the record.

**Rule.** `d` is late minus none, in points, a cell's mean over its pictures; means are over the seeds of a concept,
then over concepts; the interval is Student's with the variance within concepts, pooled. Erasure is equal where the
upper end of `d` is at most 1 for pictures by name, and at most 2 for synonyms (bars of one and two points are what the
default is held to). The window *keeps more* where erasure is equal and the lower end of `d` for unnamed things is above
0: then the default has it. In every other case, a doubtful one too, the default drops it.

`--also auto` measures beside them a window that the model chooses (30 %, `hold` before it); it decides nothing. Rows go
to `results/window.json` (`window-cuda.json` on a GPU), one a cell and arm; an interrupted run goes on behind the last.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scipy.stats import t

import tracelang
from tests.benchmarks.erasure import held, place, result
from tests.benchmarks.windows import spared, windowed
from tests.engine.plans import run
from tracelang.plan.types import Method, Plan
from tracelang.semantics.passes.steer import Steer
from tracelang.semantics.values import Auto
from tracelang_micro import measure, table
from tracelang_micro.table import Question
from tracelang_micro.world.concepts import Style, Thing

CONCEPTS = ("dog", "ship", "santa", "knife", "blueprint")
SEEDS = (0, 1, 2, 3)
PICTURES, NAMED, SYNONYM, UNNAMED, PRESERVED = 1000, 100, 40, 32, 8
"""The seed that pictures begin at, and how many there are of the concept, of each synonym and of each thing."""
MARGIN = {"named": 1.0, "synonyms": 2.0}
BEGIN = 0.2
METHOD = """
define method wide {
  steer on query, key, value, out, feedforward {
    rank = 8  steps = 400  rate = 1e-3  loss = velocity  batch = 16  trajectories = 80  sampler_steps = 20
    push during 20%..100% { strength = 0.25 }
    hold during 0%..20%   { weight = 0.5 }
    blank                 { weight = 0.5 }
    keep                  { weight = 3.0 }
  }
  fuse {}
}
"""
KINDS = ("named", "synonyms", "unnamed", "preserved")
Row = dict[str, tuple[int, int]]
"""Of each kind, how many pictures show their thing, and how many there are."""


def plan(concept: str) -> Plan:
    """What erases a concept, with the fixed method."""
    if concept in table.BY_NAME:
        target = table.BY_NAME[concept]
        return tracelang.compile(table.recipe(target, f"{METHOD}method wide", table.anchor(target).name))
    whole = tracelang.compile(Path("recipes/micro/style.erase"))
    method = tracelang.compile(f'erase "x" {METHOD} method wide').method
    return whole.model_copy(update={"method": method})


def arm(whole: Plan, name: str, seed: int) -> Plan:
    """The plan with an arm's windows and a training seed."""
    shaped = whole if name == "auto" else windowed(whole, BEGIN if name == "late" else 0.0, name == "late")

    def changed(step: Steer) -> Steer:
        during = {"push": Auto(0.3), "hold": Auto(0.3, "before")} if name == "auto" else {}
        terms = (replace(term, during=during.get(term.kind, term.during)) for term in step.terms)
        return replace(step, seed=seed, terms=tuple(terms))

    passes = tuple(changed(step) if isinstance(step, Steer) else step for step in shaped.method.passes)
    return shaped.model_copy(update={"method": Method(name=shaped.method.name, passes=passes)})


def asked(target: Thing | Style, seed: int) -> list[Question]:
    """The pictures of a cell."""
    near = {thing.name for thing in table.neighbours(target)}
    most = {"erased": NAMED, "probe": SYNONYM, "kept": UNNAMED}
    count, found = Counter[tuple[str, str]](), []
    for question in table.ask(target, NAMED, UNNAMED, 0, PICTURES + seed):
        group, name = question.row
        limit = PRESERVED if group == "kept" and name in near else most.get(group, 0)
        if count[question.row] < limit:
            count[question.row] += 1
            found.append(question)
    return found


def counted(questions: list[Question], target: Thing | Style, outcome: table.Outcome) -> Row:
    """The counts of one edit, or of the base."""
    kept = spared(questions, target)
    rows = {
        "named": list(outcome.group("erased").values()),
        "synonyms": list(outcome.group("probe").values()),
        "unnamed": [outcome.rates["kept", name] for name in kept["other"]],
        "preserved": [outcome.rates["kept", name] for name in kept["preserved"]],
    }
    return {kind: (sum(one.hits for one in rates), sum(one.n for one in rates)) for kind, rates in rows.items()}


def share(row: Mapping[str, Any], kind: str) -> float | None:
    """In points; None where there are no such pictures, as of a style's synonyms."""
    hits, n = row[kind]
    return 100 * hits / n if n else None


def difference(rows: Mapping[str, Mapping[str, Any]], kind: str, one: str, other: str) -> tuple[float, float, float]:
    """`d` of two arms and its 95 % interval, in points."""
    by_concept = []
    for concept in CONCEPTS:
        shares = [[share(rows[f"{concept} {seed}"][name], kind) for name in (one, other)] for seed in SEEDS]
        found = [a - b for a, b in shares if a is not None and b is not None]
        if found:
            by_concept.append(found)
    means = [sum(found) / len(found) for found in by_concept]
    squares = sum((d - mean) ** 2 for found, mean in zip(by_concept, means, strict=True) for d in found)
    free = len(by_concept) * (len(SEEDS) - 1)
    half = float(t.ppf(0.975, free)) * (squares / free / (len(by_concept) * len(SEEDS))) ** 0.5
    mean = sum(means) / len(means)
    return mean, mean - half, mean + half


def verdict(rows: Mapping[str, Mapping[str, Any]]) -> tuple[bool, str]:
    """Whether the default has the window, and why, by the rule above."""
    found = {kind: difference(rows, kind, "late", "none") for kind in KINDS}
    worse = [kind for kind, margin in MARGIN.items() if found[kind][2] > margin]
    if worse:
        return False, f"erasure is not shown to be equal ({', '.join(worse)}): the default drops the window"
    if found["unnamed"][1] > 0:
        return True, "the window keeps more at equal erasure: the default has it"
    return False, "the window is not shown to keep more: the default drops it"


def report(rows: Mapping[str, Mapping[str, Any]], arms: tuple[str, ...]) -> None:
    for cell, row in rows.items():
        for name in ("base", *arms):
            shares = {kind: share(row[name], kind) for kind in KINDS}
            words = "  ".join(f"{kind} {'–' if v is None else f'{v:.1f}'}" for kind, v in shares.items())
            print(f"{cell:14} {name:5} {words}")
    for name in arms[1:]:
        print(f"\n{name} minus none, in points, with its 95 % interval")
        for kind in KINDS:
            mean, low, high = difference(rows, kind, name, "none")
            print(f"  {kind:10} {mean:+.2f}  {low:+.2f} to {high:+.2f}")
    print(f"\nverdict: {verdict(rows)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--also", choices=["auto"], help="measure a window that the model chooses too")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    file = options.out or result("window", "micro-sd", options.device)
    arms = ("none", "late", *([options.also] if options.also else []))
    on = measure.bench("micro-sd", device=options.device)
    counts = [PICTURES, NAMED, SYNONYM, UNNAMED, PRESERVED]
    facts = {"method": METHOD, "counts": counts, **place(options.device), "model": on.model.fingerprint}
    rows: dict[str, dict[str, Any]] = held(file, facts).get("rows", {})
    file.parent.mkdir(parents=True, exist_ok=True)
    for concept in CONCEPTS:
        whole = plan(concept)
        target = table.erased(whole)
        for seed in SEEDS:
            row, questions = rows.setdefault(f"{concept} {seed}", {}), asked(target, seed)
            for name in ("base", *arms):
                if name in row:
                    continue
                seen = (
                    on.base(questions) if name == "base" else on.after(run(arm(whole, name, seed), on.model), questions)
                )
                row[name] = counted(questions, target, seen)
                file.write_text(json.dumps({"options": facts, "rows": rows}) + "\n")
                print(f"{concept}, training seed {seed}, {name}: {json.dumps(row[name])}", flush=True)
    report(rows, arms)


if __name__ == "__main__":
    main()
