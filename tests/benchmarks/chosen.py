"""Which windows does the model choose? `python -m tests.benchmarks.chosen [THING …]`, by default four tuning things.

For each thing and the rule's anchor: the curve with its standard errors (docs/methods.md §3.5), the window at three
shares, and beside each what the hand window `late` has of all that tells the thing from its anchor. Nothing is trained.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import tracelang
from tests.benchmarks.erasure import result
from tests.engine.plans import bound
from tracelang.engine.auto import Told, told
from tracelang.engine.cache import folder
from tracelang.engine.options import Options
from tracelang.engine.task import task_of
from tracelang.plan.family import Clock
from tracelang.plan.windows import progress_at
from tracelang.semantics.values import Auto
from tracelang_micro import measure, table

SHARES = (0.1, 0.3, 0.5)
LATE = 0.2
METHOD = "define method m { steer on text { push during auto {} } } method m"


def found(on: measure.Bench, thing: str) -> Told:
    target = table.BY_NAME[thing]
    plan = tracelang.compile(table.recipe(target, METHOD, table.anchor(target).name))
    (part,) = bound(plan, on.model).passes
    return told(on.model, task_of(part, plan, on.model, plan.active[:1], 0, Options(cache=folder())), {})


def late(one: Told, clock: Clock) -> float:
    """The share of all that is told which lies in the hand window."""
    Δ, begin = one.curve.clamp(min=0), clock.logsnr(clock.time(LATE))
    return float(sum(value for level, value in zip(one.logsnr, Δ, strict=True) if level >= begin) / Δ.sum())


def row(one: Told, clock: Clock) -> dict[str, Any]:
    windows = {}
    for share in SHARES:
        window = one.window(Auto(share))
        assert window is not None
        ends = [progress_at(end, clock) for end in (window.low, window.high)]
        windows[f"{share:.0%}"] = {"logsnr": [window.low, window.high], "progress": ends, "inside": one.inside(share)}
    curve = {"logsnr": list(one.logsnr), "told": one.curve.tolist(), "error": one.error.tolist()}
    return {**curve, "windows": windows, "late": late(one, clock)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("things", nargs="*", default=("cat", "truck", "ghost", "bomb"))
    parser.add_argument("--model", default="micro-sd", help="an embedded model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="default: results/chosen.json, or -MODEL-DEVICE.json")
    options = parser.parse_args()
    on, rows = measure.bench(options.model, device=options.device), {}
    file = options.out or result("chosen", options.model, options.device)
    for thing in options.things:
        rows[thing] = row(found(on, thing), on.model.clock)
        print(f"\n{thing} from {table.anchor(table.BY_NAME[thing]).name}; late has {rows[thing]['late']:.0%} of it")
        curve = (rows[thing][name] for name in ("logsnr", "told", "error"))
        print("  ".join(f"{level:.1f}: {Δ:.2f}±{error:.2f}" for level, Δ, error in zip(*curve, strict=True)))
        for share, window in rows[thing]["windows"].items():
            (low, high), (begin, end) = window["logsnr"], window["progress"]
            print(f"auto {share}: log-SNR {low:.2f}..{high:.2f}, {begin:.0%}..{end:.0%}, {window['inside']:.0%} of it")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"model": on.model.fingerprint, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
