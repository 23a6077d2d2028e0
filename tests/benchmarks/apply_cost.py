"""What a closed-form edit costs beside a copy: `python -m tests.benchmarks.apply_cost [--runs N] [--keep FOLDER]`.

Writes a checkpoint of Stable Diffusion 1.4's names and sizes with random weights (2.0 GB), fills the cache with
invented text states of the recipe, and then does in turn, N times, in one run: a copy of the folder that is forced to
disk (`cp -r` and `fsync` of every file), and `tracec apply --emit folder` as a process of its own. Printed are the
medians of both in seconds, what the imports of an apply take, how many copies an apply is, with imports and without,
and the peak of resident memory, beside that of a process that imports the same and does nothing.

Fails where an apply without its imports costs more than `BAR` copies.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.flux_size import IMPORTS, measured, place

BAR = 2.0
RECIPE = """
erase "cat" toward "dog"
preserve "ship", "truck"
method uce
"""
TRACEC = ("-c", "from tracelang.cli import main; main()")


def build(base: Path, recipe: Path, states: Path) -> None:
    """The checkpoint, and invented states of every prompt that the recipe's closed form asks for."""
    import tracelang
    from tests.layouts.states import fill
    from tracelang_sd.family import StableDiffusion

    sys.path.insert(0, str(Path(__file__).parents[1]))
    import random_sd

    random_sd.build(base, config="sd14")
    fill(StableDiffusion().text(base, cache=states), tracelang.compile(recipe))


def copied(base: Path, target: Path) -> float:
    """Seconds that `cp -r` and `fsync` of every file take."""
    begin = time.perf_counter()
    subprocess.run(["cp", "-r", str(base), str(target)], check=True)
    for path in (path for path in target.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    seconds = time.perf_counter() - begin
    shutil.rmtree(target)
    return seconds


def run(at: Path, runs: int) -> bool:
    base, recipe, cache, out = (at / name for name in ("sd14", "r.erase", "cache", "out"))
    recipe.write_text(RECIPE)
    words = ("-m", "tests.benchmarks.apply_cost", "--build", str(base), str(recipe), str(cache / "states"))
    measured(*words, cache=cache)
    os.sync()
    size = sum(path.stat().st_size for path in base.rglob("*.safetensors"))
    print(f"Stable Diffusion 1.4 in halves, random: {size / 1e9:.2f} GB; {runs} runs of each, in turn")
    written = ("--out", str(out), "--emit", "folder", "--device", "cpu", "--force")
    apply = (*TRACEC, "apply", str(recipe), "--model", str(base), *written)
    copies, applies, imports, used, peaks, bare = [], [], [], [], [], 0
    for number in range(runs + 1):
        copy = copied(base, at / "copy")
        seconds, spent, peak = measured(*apply, cache=cache)
        idle, _, bare = measured("-c", IMPORTS, cache=cache)
        if number == 0:
            print(f"first apply, nothing remembered: {seconds:.1f} s")
            continue
        copies.append(copy), applies.append(seconds), imports.append(idle), used.append(spent), peaks.append(peak)
    copy, whole, idle = (statistics.median(one) for one in (copies, applies, imports))
    spent = statistics.median(used)
    net = max(whole - idle, 0.0)
    print(f"cp -r and fsync     {copy:6.2f} s")
    print(f"apply               {whole:6.2f} s ({spent:.1f} of the processor), {whole / copy:.2f} copies")
    print(f"its imports         {idle:6.2f} s")
    print(f"apply without them  {net:6.2f} s, {net / copy:.2f} copies")
    print(f"peak memory         {max(peaks) / 2**20:6.0f} MiB, of which the imports hold {bare / 2**20:.0f}")
    print("met" if net <= BAR * copy else f"MISSED: at most {BAR:g} copies without imports")
    return net <= BAR * copy


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there, and leave everything")
    parser.add_argument("--build", nargs=3, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        build(*options.build)
        return 0
    with place(options.keep, "apply-cost") as at:
        return int(not run(at, options.runs))


if __name__ == "__main__":
    sys.exit(main())
