"""`python -m tests.soak [--kills N] [--disks N] [--headers N] [--seed N]`: the long versions, a line for each pair."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.soak import disks, headers, kills
from tests.soak.command import pairs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="for each base and form")
    parser.add_argument("--disks", type=int, default=19, help="for each base and form")
    parser.add_argument("--headers", type=int, default=500, help="for each base")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    at = Path(tempfile.mkdtemp(prefix="soak-"))
    os.environ["TRACELANG_CACHE"] = str(at / "cache")
    random, begin, total = Random(given.seed), time.monotonic(), Counter[str]()
    try:
        found = pairs(at)
        reason = disks.why_not() if given.disks else "none asked for"
        for i, pair in enumerate(found):
            if given.kills:
                seen = kills.kill(at / f"kills-{i}", pair, given.kills, random)
                _tell("kills", pair.base.name, pair.form, seen, given.kills)
                total["kills"] += given.kills
            if reason is None:
                seen = disks.fill(at / f"disks-{i}", pair, given.disks)
                _tell("full disks", pair.base.name, pair.form, seen, 2 * given.disks)
                total["full disks"] += 2 * given.disks
        for base in dict.fromkeys(pair.base for pair in found if pair.form == "single-file") if given.kills else []:
            seen = kills.kill_patch(at / f"patches-{base.at.name}", base, given.kills, random)
            _tell("kills", base.name, "patch", seen, given.kills)
            total["kills"] += given.kills
        if reason:
            print(f"full disks: skipped, {reason}")
        for base in dict.fromkeys(pair.base for pair in found) if given.headers else []:
            known = [pair.form for pair in found if pair.base == base]
            seen = headers.lie(at / f"headers-{base.at.name}", base, known, given.headers, random)
            _tell("spoilt headers", base.name, ", ".join(known), seen, given.headers)
            total["spoilt headers"] += given.headers
    finally:
        shutil.rmtree(at, ignore_errors=True)
    counts = ", ".join(f"{count} {name}" for name, count in total.items())
    seconds = time.monotonic() - begin
    print(f"{counts}: nothing half-written, no traceback, every base untouched ({seconds:.0f} s)")


def _tell(what: str, base: str, form: str, seen: Counter[str], count: int) -> None:
    told = ", ".join(f"{number} {name}" for name, number in sorted(seen.items()))
    print(f"{what:14} {base:14} {form:14} {count}: {told}", flush=True)


main()
