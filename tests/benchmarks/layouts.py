"""Layout × command: `python -m tests.benchmarks.layouts [--true] [--only TEXT]`.

Every layout that people hold is generated and given to `plan`, `apply` (the closed form), `sample` and plain diffusers;
what was written is compared with the base byte for byte, and `supports` is asked of every family. At true size names,
shapes and headers are the published ones; Stable Diffusion 1.x and 2.x are all real bytes, of SDXL and FLUX.1 the
matrices that an edit reads, the rest holes. There no picture is drawn, FLUX.1's text states are invented, and a row
that the disk has no room for says so and is counted apart. Fails where a row is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import tracelang
from tests.layouts.judge import RECIPE, judge
from tests.layouts.rows import REFUSED, WORKS, Given, Row
from tests.layouts.sizes import needed
from tests.layouts.states import fill
from tracelang.models import text_cache
from tracelang.models.locate import family_of, locate
from tracelang.models.prompt_side import PromptSide

COLUMNS = ("plan", "apply", "sample", "diffusers", "changed", "supports")
GOOD, WRONG, SKIPPED = "good", "wrong", "skipped"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--true", action="store_true", help="the published sizes")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds it")
    given = parser.parse_args()
    rows = [row for row in (*WORKS, *([] if given.true else REFUSED)) if given.only in row.name]
    wide = max(len(row.name) for row in rows)
    print(f"{'layout':{wide}}  " + "  ".join(f"{column:>12}" for column in COLUMNS))
    counts = Counter[str]()
    with tempfile.TemporaryDirectory(prefix="layouts-") as made:
        at = Path(made)
        os.environ["TRACELANG_CACHE"] = str(at / "cache")
        for i, row in enumerate(rows):
            place = at / str(i)
            place.mkdir()
            counts[_row(row, place, given.true, wide)] += 1
            shutil.rmtree(place)
    print(summary(counts))
    return int(counts[WRONG] > 0)


def summary(counts: Mapping[str, int]) -> str:
    """A row that was not run is neither good nor wrong."""
    ran = counts.get(GOOD, 0) + counts.get(WRONG, 0)
    told = f"{counts.get(GOOD, 0)} of {ran} rows as they should be"
    return told + (f"; {counts[SKIPPED]} not run for lack of room" if counts.get(SKIPPED) else "")


def _row(row: Row, at: Path, true: bool, wide: int) -> str:
    if true and (room := needed(row)) > shutil.disk_usage(at).free:
        print(f"{row.name:{wide}}  not run: needs {room / 1e9:.0f} GB of disk", flush=True)
        return SKIPPED
    given = row.make(at, "true" if true else "tiny")
    if true and row.family == "flux":
        _invent(given)
    judged = judge(row, at, given, apart=true, draw=not true)
    if row.family is None:
        told = "refused" if not judged.faults else "NOT REFUSED AS IT SHOULD BE"
        print(f"{row.name:{wide}}  {told}: {judged.cells['reason'].removeprefix('error: ')}")
    else:
        print(f"{row.name:{wide}}  " + "  ".join(f"{judged.cells.get(column, '-'):>12}" for column in COLUMNS))
    for fault in judged.faults:
        print(f"    {fault}")
    sys.stdout.flush()
    return WRONG if judged.faults else GOOD


def _invent(given: Given) -> None:
    """The recipe's text states, for T5 is a hole: its own would all be one."""
    base = locate(given.model, config=str(given.config) if given.config else None)
    text = family_of(base).text(base, cache=text_cache.folder())
    assert isinstance(text, PromptSide)
    fill(text, tracelang.compile(RECIPE))


if __name__ == "__main__":
    sys.exit(main())
