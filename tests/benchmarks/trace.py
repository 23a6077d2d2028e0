"""Does TRACE win? `python -m tests.benchmarks.trace [THING …] [--rows NAME …]` prints it.

Each row is a method: what is shipped, the rivals, and `trace` with one part switched off. For each thing or style: what
is shown by its name and by its synonyms, which no edit sees; what the recipe preserves; *unnamed others*, every thing,
style and ground that it does not name, pooled and at worst; and six attacks against the edited model itself, beside
what the same prompts and states bring of the base. The recipe follows the rules of `table`: the anchor is the next of
the group, the rest of the group and the everyday things are preserved.

Rows are chosen on `--tuning` things and reported on the others. Each cell, one row of one thing, is kept in the cache
as soon as it is measured, so an interrupted run continues; `--jobs` cells are measured side by side, each on one
thread. The collected rows go to results/trace.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import torch

import tracelang
from tests.benchmarks.erasure import place, result
from tests.benchmarks.variants import ROWS, SHIPPED
from tracelang.engine.cache import folder as cache
from tracelang.engine.edit import Edit, applied
from tracelang.engine.run import run
from tracelang.engine.sampling import sample, sample_latents
from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.attacks import ATTACKS, Budget, Inapplicable, Target
from tracelang.evidence.judges import Class
from tracelang.evidence.pictures import CLEAN
from tracelang.evidence.verdicts import pooled, rate
from tracelang.files import write_text
from tracelang.models.locate import family_of, locate
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.bind import bind
from tracelang.plan.family import Facts
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Plan
from tracelang_micro import measure, table
from tracelang_micro.world.concepts import STYLES, Style, Thing

REPORTED = ("dog", "ship", "santa", "knife", "blueprint")
TUNING = ("cat", "truck", "ghost", "bomb")
EDITION = 1  # raised where a cell would be measured otherwise
KNOWN: Mapping[str, Thing | Style] = {**table.BY_NAME, **{style.name: style for style in STYLES}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("things", nargs="*", default=REPORTED, help="things and styles of the world")
    parser.add_argument("--tuning", action="store_true", help="the tuning things, with their own result file")
    parser.add_argument("--rows", nargs="*", default=list(SHIPPED), choices=list(ROWS), help="which methods")
    parser.add_argument("--n", type=int, default=100, help="pictures by name; half as many per synonym")
    parser.add_argument("--other", type=int, default=50, help="pictures of each other thing, style and ground")
    parser.add_argument("--attacks", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--attacked", type=int, default=50, help="pictures an attack")
    parser.add_argument("--effort", type=int, default=1, help="how many times the attacks' usual budget")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="micro-sd", help="an embedded model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="cells measured side by side")
    parser.add_argument("--out", type=Path, help="default: results/trace.json, or trace-tuning, -MODEL, -DEVICE")
    options = parser.parse_args()
    things = TUNING if options.tuning and tuple(options.things) == REPORTED else tuple(options.things)
    name = "trace-tuning" if options.tuning else "trace"
    name = name if options.effort == 1 else f"{name}-effort-{options.effort}"
    out = options.out or result(name, options.model, options.device)
    how = {key: getattr(options, key) for key in ("n", "other", "attacks", "attacked", "effort", "seed", "model")}
    asked = [(thing, row) for row in options.rows for thing in things]
    cells = measured(asked, how, options.device, options.jobs)
    rows: dict[str, dict[str, Any]] = {}
    for (thing, row), cell in cells.items():
        rows.setdefault(row, {})[thing] = cell
    facts = {**how, **place(options.device), "budget": asdict(budget(options.effort))}
    methods = {row: ROWS[row] for row in rows}
    write_text(out, json.dumps({"options": facts, "methods": methods, "results": rows}, indent=1) + "\n")
    print(render(rows))


def measured(
    asked: Sequence[tuple[str, str]], how: Mapping[str, Any], device: str, jobs: int
) -> dict[tuple[str, str], dict[str, Any]]:
    """Every cell, in order; those of the cache are read, the others measured, `jobs` at a time."""
    files = {one: _file(*one, how, device) for one in asked}
    missing = [one for one, file in files.items() if not file.exists()]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, min(jobs, len(missing) or 1)), mp_context=spawn, initializer=_alone) as pool:
        for done in as_completed([pool.submit(_measure, *one, how, device, files[one]) for one in missing]):
            print(done.result(), flush=True)
    return {one: json.loads(file.read_text()) for one, file in files.items()}


def _alone() -> None:
    torch.set_num_threads(1)


def _file(thing: str, row: str, how: Mapping[str, Any], device: str) -> Path:
    on = locate(how["model"])
    weights = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(on.rglob("*.safetensors")))).hexdigest()
    facts = [EDITION, thing, ROWS[row], dict(how), torch.device(device).type, weights, asdict(budget(how["effort"]))]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
    return cache().parent / "measured" / "trace" / f"{key}.json"


def _measure(thing: str, row: str, how: Mapping[str, Any], device: str, file: Path) -> str:
    begun = monotonic()
    found = cell(thing, row, how, device)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(found, indent=1) + "\n")
    return f"{row}, {thing}: {monotonic() - begun:.0f} s; {summary(found)}"


def budget(effort: int) -> Budget:
    """The attacks' usual budget, `effort` times as long a search."""
    usual = Budget()
    return Budget(iterations=effort * usual.iterations, generations=effort * usual.generations)


def cell(thing: str, row: str, how: Mapping[str, Any], device: str) -> dict[str, Any]:
    """One row of one thing: the edit, its pictures, and the attacks on it."""
    on = measure.bench(how["model"], device=device)
    target = KNOWN[thing]
    plan = tracelang.compile(source(target, ROWS[row]))
    begun = monotonic()
    folder = locate(how["model"])
    edit = run(bind(plan, Facts(family_of(folder).name(folder), on.model.sites, on.model.clock)), on.model)
    seconds = monotonic() - begun
    base = measure.bench(how["model"], device=device).model
    asked = table.ask(target, how["n"], how["other"], how["other"], how["seed"], probes=how["n"] // 2)
    figures = spared(target, on.base(asked), on.after(edit, asked))
    struck = {name: attacked(on, base, plan, target, edit, name, how) for name in how["attacks"]}
    return {**figures, "seconds": round(seconds, 1), "attacks": struck}


def source(target: Thing | Style, method: str) -> str:
    """The recipe: the target by the rules of `table`, and the method's own statements."""
    if isinstance(target, Thing):
        return table.recipe(target, method, table.anchor(target).name)
    return table.style_recipe(target, method)


def spared(target: Thing | Style, base: table.Outcome, after: table.Outcome) -> dict[str, Any]:
    """The figures of pictures: `named` is what the recipe preserves, `unnamed` every other thing, style and ground."""
    named = {thing.name for thing in table.neighbours(target)} | ({"noto"} if isinstance(target, Style) else set())
    changes: dict[str, dict[str, float]] = {"named": {}, "unnamed": {}, "styles": {}, "grounds": {}}
    hits = {side: [0, 0] for side in ("named", "unnamed")}
    for (group, row), found in after.rates.items():
        if group not in ("kept", "style", "background"):
            continue
        before = base.rates[group, row]
        side = "named" if row in named else "unnamed"
        changes[side][row] = found.share - before.share
        hits[side][0] += found.hits - before.hits
        hits[side][1] += found.n
        if group != "kept":
            changes[f"{group}s".replace("background", "ground")][row] = found.share - before.share
    probes = after.group("probe")
    erased = pooled(after.group("erased").values())
    return {
        "shown": [erased.hits, erased.n],
        "synonyms": [sum(one.hits for one in probes.values()), sum(one.n for one in probes.values())],
        "named": hits["named"],
        "named_worst": _worst(changes["named"]),
        "unnamed": hits["unnamed"],
        "unnamed_worst": _worst(changes["unnamed"]),
        "subject": after.subject.share,
        "subject_base": base.subject.share,
        "styles": min(changes["styles"].values(), default=0.0),
        "grounds": min(changes["grounds"].values(), default=0.0),
    }


def _worst(changes: Mapping[str, float]) -> tuple[str, float]:
    return min(changes.items(), key=lambda item: item[1], default=("", 0.0))


def attacked(
    on: measure.Bench, base: Model, plan: Plan, target: Thing | Style, edit: Edit, name: str, how: Mapping[str, Any]
) -> dict[str, Any]:
    """An attack made against the edited model: hits of pictures and of prompts there, and of the same on the base."""
    member = plan.active[0].targets
    prompts = tuple(prompt.text for prompt in edit_prompts(plan, member))
    count = how["attacked"]
    asked = [prompts[i % len(prompts)] for i in range(CLEAN)]
    seeds = [seed_of("clean", prompt, i, how["seed"]) for i, prompt in enumerate(asked)]
    with torch.no_grad():
        states = on.model.encode(asked)
    clean = sample_latents(on.model, states, seeds, steps=on.steps, fast=True)
    begun = monotonic()
    with applied(on.model, edit) as edited:
        aim = Target(plan, member, how["seed"], clean, prompts, base, count)
        try:
            found = ATTACKS[name].run(aim, edited, budget(how["effort"]))
        except Inapplicable as why:
            return {"inapplicable": str(why)}
        after = _shows(on, edited, target, found.prompts, found.states, count, how["seed"])
    before = _shows(on, base, target, found.prompts, found.states, count, how["seed"])
    told = dict.fromkeys(found.prompts or (), False)
    for prompt, hit in zip(found.prompts or (), after, strict=False):
        told[prompt] |= hit
    distinct = [sum(told.values()), len(told)] if told else None
    seconds = round(monotonic() - begun, 1)
    return {"shown": [sum(after), count], "base": [sum(before), count], "prompts": distinct, "seconds": seconds}


def _shows(
    on: measure.Bench,
    model: Model,
    target: Thing | Style,
    prompts: Sequence[str] | None,
    states: TextStates | None,
    count: int,
    seed: int,
) -> list[bool]:
    texts = list(prompts or [""] * count)
    seeds = [seed_of("attacked", text, i, seed) for i, text in enumerate(texts)]
    if states is None:
        images = sample(model, texts, seeds, steps=on.steps, fast=True)
    else:
        with torch.no_grad():
            images = model.decode(sample_latents(model, states, seeds, steps=on.steps, fast=True)).float()
    wanted = Class("style" if isinstance(target, Style) else "concept", target.name)
    return [one.shows for one in measure.presences(on.judge, images, wanted)]


def summary(found: Mapping[str, Any]) -> str:
    """A cell in one line."""
    share = {key: f"{100 * found[key][0] / found[key][1]:.1f}" for key in ("shown", "synonyms") if found[key][1]}
    moved = {key: f"{100 * found[key][0] / found[key][1]:+.1f}" for key in ("named", "unnamed")}
    struck = {name: f"{100 * one['shown'][0] / one['shown'][1]:.0f}" for name, one in _struck(found)}
    return json.dumps({**share, **moved, "worst": found["unnamed_worst"], **struck})


def _struck(found: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, one) for name, one in found["attacks"].items() if "shown" in one]


def _share(one: Mapping[str, Any], side: str) -> float:
    hits, n = one[side]
    return float(hits) / float(n)


HEAD = ("method", "shown", "worst", "synonyms", "a thing", "named", "worst", "unnamed", "worst", "styles", "grounds")


def render(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Means over the things, percent and points; of the attacks the pictures, and what the same brings of the base."""
    attacks = list(dict.fromkeys(name for row in rows.values() for one in row.values() for name in one["attacks"]))
    lines = [" | ".join((*HEAD, *attacks, "mean", "worst", "seconds"))]
    for row, cells in rows.items():
        found = list(cells.values())
        shown = [one["shown"][0] / one["shown"][1] for one in found]
        synonyms = rate(sum(one["synonyms"][0] for one in found), sum(one["synonyms"][1] for one in found) or 1)
        line = [row, percent(mean(shown)), percent(max(shown)), percent(synonyms.share)]
        line.append(percent(mean([one["subject"] for one in found])))
        for side in ("named", "unnamed"):
            moved, n = (sum(one[side][i] for one in found) for i in (0, 1))
            name, worst = min((one[f"{side}_worst"] for one in found), key=lambda item: item[1])
            line += [points(moved / n), f"{points(worst)} {name}"]
        line += [points(min(one[key] for one in found)) for key in ("styles", "grounds")]
        per = {
            name: [one["attacks"][name] for one in found if "shown" in one["attacks"].get(name, {})] for name in attacks
        }
        shares = {name: [one["shown"][0] / one["shown"][1] for one in cells] for name, cells in per.items() if cells}
        for name in attacks:
            before = [one["base"][0] / one["base"][1] for one in per[name]]
            line.append(f"{percent(mean(shares[name]))} of {percent(mean(before))}" if name in shares else "–")
        line.append(percent(mean([mean(found) for found in shares.values()])) if shares else "–")
        line.append(percent(max(max(found) for found in shares.values())) if shares else "–")
        line.append(f"{mean([one['seconds'] for one in found]):.0f}")
        lines.append(" | ".join(line))
    return "\n".join(lines)


def mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def points(change: float) -> str:
    return f"{100 * change:+.1f}"


if __name__ == "__main__":
    main()
