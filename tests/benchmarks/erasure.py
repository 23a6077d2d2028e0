"""Does erasing work, and does it spare the rest? `python -m tests.benchmarks.erasure [THING | RECIPE …]` prints it.

For each thing: the base, the shipped `trace`, its closed form alone and its fine-tuning alone; the rest of its group
and the everyday things are preserved, its synonyms are probes that no edit sees, the anchor follows one rule
(`table.anchor`). The same for the file of a recipe that erases one thing or one style, as the recipe has it. Prompts
and seeds are paired. Finished pictures are kept in the cache, so an interrupted run continues, and rows that are
already in the result file stay there while others are added; a file of other options is left alone.

`dog --degrees 20 40 60 80 100 --preserved-only --kept 5 --method "…"` measures a method as a dial: a row for each
degree with the interval of what is shown, and whether it falls.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import tracelang
from tracelang.models import weights
from tracelang.plan.types import Plan
from tracelang_micro import measure, table
from tracelang_micro.world.concepts import Thing

RESULTS = Path(__file__).parent / "results"
REPORTED = ("dog", "ship", "santa", "knife")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("things", nargs="*", default=REPORTED, help="things, or recipes: names that end in .erase")
    parser.add_argument("--stages", nargs="*", default=list(measure.STAGES), choices=list(measure.STAGES))
    parser.add_argument("--method", default="method trace {}", help="the recipe's method statement")
    parser.add_argument(
        "--degrees", nargs="*", type=float, metavar="PERCENT", help="measure these, 20 40 60 80 100 say"
    )
    parser.add_argument("--anchor", help="erase toward this thing, or `none` for the neutral state; default: the rule")
    parser.add_argument("--n", type=int, default=100, help="pictures per erased prompt and probe")
    parser.add_argument("--kept", type=int, default=50, help="pictures per kept thing, style and ground")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preserved-only", action="store_true", help="measure only what the recipe preserves")
    parser.add_argument("--model", default="micro-sd", help="an embedded model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="default: results/erasure.json, or -MODEL-DEVICE.json")
    options = parser.parse_args()
    options.out = options.out or result("erasure", options.model, options.device)
    on = measure.bench(options.model, device=options.device)
    facts = {
        "n": options.n,
        "seed": options.seed,
        "method": options.method,
        "anchor": options.anchor,
        "everything": not options.preserved_only,
        **place(options.device),
        "model": on.model.fingerprint,
    }
    results = held(options.out, facts).get("results", {})
    for name in options.things:
        if name.endswith(".erase"):
            plan = tracelang.compile(Path(name))
            target, anchor = table.erased(plan), None
        else:
            target = table.BY_NAME[name]
            anchor = toward(target, options.anchor)
            plan = tracelang.compile(table.recipe(target, options.method, anchor))
        rows = results.setdefault(name, {})
        wanted: dict[str, Plan | None] = {} if "base" in rows else {"base": None}
        for stage in options.stages:
            wanted |= dialled(stage, measure.stage(plan, stage), options.degrees)
        for title, asked in wanted.items():
            rows[title] = measure.row(
                on,
                target,
                asked,
                n=options.n,
                n_kept=options.kept,
                n_other=options.kept,
                seed=options.seed,
                everything=not options.preserved_only,
            )
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps({"options": facts, "results": results}, indent=1) + "\n")
        words = f" toward {anchor}" if anchor else ""
        print(f"\n{name}{words}\n{table.render(rows)}\n", flush=True)
        for stage in options.stages if options.degrees else ():
            found = [rows["base"], *(rows[title] for title in dialled(stage, plan, sorted(options.degrees)))]
            verdict = "falls as the degree rises" if falls(found) else "DOES NOT fall as the degree rises"
            print(f"{name}, {stage}: what is shown {verdict}, within its intervals", flush=True)


def dialled(stage: str, plan: Plan, degrees: Sequence[float] | None) -> dict[str, Plan]:
    """The plan, or one for each degree in percent, by the title of its row."""
    if not degrees:
        return {stage: plan}
    return {
        f"{stage}, {percent:g} %": plan.model_copy(
            update={"erase": tuple(one.model_copy(update={"degree": percent / 100}) for one in plan.erase)}
        )
        for percent in degrees
    }


def falls(rows: Sequence[Mapping[str, float | str]]) -> bool:
    """Is no row's whole 95 % interval of what is shown above an earlier row's?"""
    lows, highs = ([float(row[key]) for row in rows] for key in ("erased_low", "erased_high"))
    return all(low <= min(highs[:i]) for i, low in enumerate(lows) if i)


def toward(target: Thing, wish: str | None) -> str | None:
    """The anchor's name: the rule's, or what `--anchor` asks for."""
    return {None: table.anchor(target).name, "none": None}.get(wish, wish)


def place(device: str) -> dict[str, str]:
    """What a device is called, among a result's facts; the CPU is the one that goes without saying."""
    return {} if device == "cpu" else {"device": torch.cuda.get_device_name(device)}


def result(name: str, model: str, device: str) -> Path:
    """The file of a benchmark's rows; `micro-sd` and the CPU go without saying."""
    parts = [name, *([model] if model != "micro-sd" else []), *([torch.device(device).type] if device != "cpu" else [])]
    return RESULTS / f"{'-'.join(parts)}.json"


def held(file: Path, facts: dict[str, object]) -> dict[str, Any]:
    """What an earlier run with the same options left in the file, to be added to; nothing where there is none."""
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    measured = found.get("options", facts)
    if weights.outdated(str(measured["model"])):
        raise SystemExit(f"{file}: names the model by an older fingerprint; measure again into another file with --out")
    if measured != facts:
        raise SystemExit(f"{file}: holds rows that were measured with other options; name another file with --out")
    return found


if __name__ == "__main__":
    main()
