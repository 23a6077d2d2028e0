"""Edits whose answer is known, measured with the twins that were trained without the concept: `python -m
tests.benchmarks.known_answers [EDIT …] [--samples N] [--steps N]`.

Of each edit prints what `verify` says of the expectations `shown(dog) <= 20%` and `probed(dog) <= 20%`, of everyday
pictures, and of what is left by every probe beside `micro-sd-never` and `random`; and whether that is what is known
beforehand. Ends with 1 where one is not. `make twins` installs the twins. tests/evidence/test_known_answers.py asks the
same of fewer pictures, beside twins that it makes itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import tracelang
from tests.evidence.edits import RECIPE, change, closed_form, expecting, nothing, rehash, ruin
from tests.evidence.known_answers import COLLAPSED, NEIGHBOURS, WORDING
from tracelang.checkpoint import patch
from tracelang.evidence import verify
from tracelang.evidence.report.wording import NO_BREAK, said_beside
from tracelang.evidence.schema import Report
from tracelang.models.locate import locate
from tracelang_micro import micro_sd

TWIN, OTHERS = "micro-sd-never-1", ("micro-sd-never-2", "micro-sd-never-3")
ALL = (TWIN, *OTHERS)


@dataclass(frozen=True, slots=True)
class Known:
    """An edit and its answer: a verdict of each expectation and of everyday pictures, where one is known; and of every
    probe that could tell.
    """

    make: Callable[[str, Path], Path]
    shown: str = ""
    probed: str = ""
    everyday: str = ""
    residue: tuple[str, ...] = ()
    controls: tuple[str, ...] = ALL


def of(recipe: str) -> Callable[[str, Path], Path]:
    """The edit of a recipe, handed over under the plain one."""
    return lambda expect, out: expecting(closed_form(tracelang.compile(recipe), out), expect)


def twin(expect: str, out: Path) -> Path:
    """An OUT whose model is a twin, every tensor of which is said to be edited."""
    nothing(tracelang.compile(RECIPE + expect), out)
    account = json.loads((out / "manifest.json").read_text())["model"]
    for part in ("unet", "text_encoder"):
        for file in (locate(TWIN) / part).glob("*.safetensors"):
            path = f"{part}/{file.name}"
            shutil.copyfile(file, out / "model" / path)
            tensors = patch.digests(micro_sd() / path, out / "model" / path)
            account["tensors"][path] = {
                name: dict(zip(("before", "after"), pair, strict=True)) for name, pair in tensors.items()
            }
    change(out / "manifest.json", model=account)
    return rehash(out)


EDITS = {
    "none": Known(
        lambda expect, out: nothing(tracelang.compile(RECIPE + expect), out), "fail", "fail", "pass", ("residue shown",)
    ),
    "twin": Known(twin, "pass", "pass", residue=("none by this probe", "open"), controls=OTHERS),
    "wording": Known(of(WORDING), "pass", "fail"),
    "ruined": Known(lambda expect, out: ruin(tracelang.compile(RECIPE + expect), out), "pass", everyday="fail"),
    "collapsed": Known(of(COLLAPSED), "pass", everyday="fail"),
    "neighbours": Known(of(NEIGHBOURS), "pass", everyday="fail"),
}


def misses(known: Known, report: Report) -> list[str]:
    """What the report says otherwise than is known."""
    found = {one.metric: one.verdict for one in report.outcomes}
    found["everyday"] = report.integrity.verdict if report.integrity else "inconclusive"
    told = {"shown": known.shown, "probed": known.probed, "everyday": known.everyday}
    lines = [
        f"{name} is {found[name]}, not {wanted}" for name, wanted in told.items() if wanted not in ("", found[name])
    ]
    for one in report.controls.probes if known.residue and report.controls else ():
        if one.valid and one.powered and one.verdict not in known.residue:
            lines.append(f"{one.how} says {one.verdict}, not {' or '.join(known.residue)}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edits", nargs="*", default=list(EDITS), choices=list(EDITS), metavar="EDIT")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--steps", type=int, default=20)
    asked = parser.parse_args()
    expect = f"expect over {asked.samples} samples {{ shown(dog) <= 20% probed(dog) <= 20% }}"
    failed = False
    with TemporaryDirectory() as folder:
        for name in asked.edits:
            known = EDITS[name]
            out = known.make(expect, Path(folder) / name)
            beside = [("never", known.controls), ("random", ())]
            report = verify.verify(out, samples=0, steps=asked.steps, controls=beside, say=lambda line: None)
            assert report is not None
            lines = misses(known, report)
            failed |= bool(lines)
            print(f"{name}: {report.verdict}, {'; '.join(lines) or 'as known'}")
            for one in report.outcomes:
                print(f"  {one.metric}: {one.verdict}, {one.reason}")
            if report.integrity:
                print(f"  everyday: {report.integrity.verdict}, {report.integrity.reason}")
            for probed in report.controls.probes if report.controls else ():
                print(f"  {said_beside(probed)}".replace(NO_BREAK, " "), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
