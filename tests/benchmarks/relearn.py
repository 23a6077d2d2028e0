"""How fast training brings back what was erased, by rate and step: `python -m tests.benchmarks.relearn [THINGS]
[--rates 6e-4 …] [--full] [--steps N] [--twins] [--seeds N]`.

Each thing is erased by `uce` toward the anchor of the rule, alone, and `micro-sd` is trained on five of its own
pictures just as `verify` does it (docs/methods.md §5.9), at every rate asked for. Prints of each model the half-life,
`>N` where half of the base's rate is not back within the last step; the pictures that show the thing at each step that
is looked at; of the everyday pictures that the base draws right those that the model does; and the CPU seconds of all
models but the base. `--full` trains all weights in place of an adapter, as `verify --thorough` does beside it.
`--twins` trains beside it the models that never knew the reported things: dog, ship, santa, knife.

The things to choose settings on are cat, truck, ghost and bomb, so these are the default; dog, ship, santa and knife
are reported and nothing is chosen on them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import tracelang
from tracelang.evidence import tuning
from tracelang.evidence.attacks import Budget
from tracelang.evidence.bench import Record
from tracelang.evidence.prepare import Prepared, prepare
from tracelang.evidence.report.relearning import Learnt
from tracelang.evidence.schema import LearningCurve
from tracelang.evidence.units.relearn import SEEDS, USUAL, RelearnUnit
from tracelang_micro import table

CHOSEN = ("cat", "truck", "ghost", "bomb")
TWINS = 'control never = "micro-sd-never"\n'


def prepared(thing: str, steps: int, twins: bool, folder: Path) -> Prepared:
    """The verification of an edit that is made here."""
    target = table.BY_NAME[thing]
    recipe = f'erase "{thing}" toward "{table.anchor(target).name}"\nmethod uce {{}}\n{TWINS if twins else ""}'
    tracelang.apply(tracelang.bind(tracelang.compile(recipe), "micro-sd"), device="cpu").save(folder / thing)
    return prepare(folder / thing, budget=Budget(tuning=steps), samples=1, say=lambda line: None)


def trained(made: Prepared, how: tuning.Tuning, rate: float, seeds: int, folder: Path, base: bool) -> dict[str, Record]:
    """The trainings of the base, or of all other models."""
    course = replace(USUAL, tuning=how)
    asked = [replace(one, course=course) for one in made.units if isinstance(one, RelearnUnit) and one.seed < seeds]
    with patch.dict(tuning.RATES, {how: rate}):
        return {one.key: one.done(made.bench, folder) for one in asked if (one.model == "base") == base}


def curves(records: Mapping[str, Record]) -> tuple[LearningCurve, ...]:
    """Those of all models but the base."""
    (found,) = Learnt.of(records).findings()
    if not found.curves:
        raise SystemExit(f"{found.member[0]}: {found.reason}")
    return tuple(one for one in found.curves if one.model != "base")


def row(thing: str, rate: float, one: LearningCurve, seconds: float) -> str:
    half = f"{'>' if one.censored else ''}{one.half_life:.0f}"
    shown = " ".join(f"{rate.share:.0%}" for rate in one.shown)
    kept = " ".join("—" if rate is None else f"{rate.share:.0%}" for rate in one.kept)
    return f"{thing:<8} {rate:<8.2g} {one.model:<8} {half:>5}   {shown:<24} {kept:<24} {seconds:>6.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("things", nargs="*", default=CHOSEN, choices=sorted(table.BY_NAME), metavar="THING")
    parser.add_argument("--rates", nargs="+", type=float)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--steps", type=int, default=Budget().tuning)
    parser.add_argument("--seeds", type=int, default=SEEDS, choices=range(1, SEEDS + 1))
    parser.add_argument("--twins", action="store_true")
    asked = parser.parse_args()
    how: tuning.Tuning = "full" if asked.full else USUAL.tuning
    rates = asked.rates or [tuning.RATES[how]]
    print(f"{'thing':<8} {'rate':<8} {'model':<8} {'half':>5}   {'shown':<24} {'everyday':<24} {'CPU s':>6}")
    with TemporaryDirectory() as folder:
        for thing in asked.things:
            made = prepared(thing, asked.steps, asked.twins, Path(folder))
            base = trained(made, how, rates[0], asked.seeds, Path(folder), base=True)  # looked at before its first step
            for rate in rates:
                begun = time.process_time()
                found = curves(base | trained(made, how, rate, asked.seeds, Path(folder), base=False))
                spent = time.process_time() - begun
                for one in found:
                    print(row(thing, rate, one, spent), flush=True)


if __name__ == "__main__":
    main()
