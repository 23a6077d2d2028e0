"""A closed-form edit at FLUX.1-dev's size: `python -m tests.benchmarks.flux_size [--real GB] [--keep FOLDER]`.

Writes a checkpoint in the exact layout (tests/benchmarks/flux_checkpoint.py), `--real` gigabytes of it real bytes, and
measures in processes of their own:
- `tracec plan --config-only`, from configs and headers alone;
- `tracec apply` of `uce` from cached text states, untouched shards hard-linked: seconds, and peak resident memory;
- the memory of a process that imports the same packages and does nothing;
- a copy of the shards that the edit touches, forced to disk as apply's are.

What apply hashes for lock and manifest, the whole checkpoint once and the touched shards twice more, is printed beside
it. Seconds of the processor stand in brackets: on a machine that does other work they say more than the clock.
Fails where apply takes 1.5 GB or more beyond the cached states, or touches another shard than it has to.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tracelang.checkpoint import patch
from tracelang.models import weights

BAR = 1.5e9
RECIPE = """
erase "cat" toward "ship"
preserve "dog", "truck", "red"
method uce
"""
IMPORTS = "import tracelang.cli.apply, tracelang.checkpoint.save, tracelang.engine.run, tracelang.models.prompt_side"


def measured(*words: str, cache: Path) -> tuple[float, float, int]:
    """Seconds by the clock and of the processor, and peak resident bytes, of a Python process.

    This process is small: the system counts a child's peak from its parent's memory on.
    """
    begin = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *words], env=os.environ | {"TRACELANG_CACHE": str(cache)}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} failed")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, peak


@contextlib.contextmanager
def place(keep: Path | None, name: str) -> Iterator[Path]:
    """The folder `keep`, made and left, or one of its own that goes afterwards."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as at:
        yield Path(at)


def run(at: Path, real: float) -> bool:
    base, recipe, cache, out = (at / name for name in ("flux", "r.erase", "cache", "out"))
    recipe.write_text(RECIPE)
    begin = time.perf_counter()
    measured(
        "-m", "tests.benchmarks.flux_checkpoint", str(base), str(real), str(recipe), str(cache / "states"), cache=cache
    )
    os.sync()
    files = [path for path in base.rglob("*.safetensors")]
    size, held = sum(file.stat().st_size for file in files), sum(512 * file.stat().st_blocks for file in files)
    print(
        f"{size / 1e9:.1f} GB of weights, {held / 1e9:.1f} GB of them real bytes on disk, the rest holes "
        f"(written in {time.perf_counter() - begin:.0f} s)"
    )
    states = sum(file.stat().st_size for file in (cache / "states").iterdir())
    print(
        f"{len(list((cache / 'states').iterdir()))} prompts' text states cached, {states / 1e9:.2f} GB, invented: "
        "random numbers in the true shapes"
    )

    tracec = ("-c", "from tracelang.cli import main; main()")
    plan, used, _ = measured(*tracec, "plan", str(recipe), "--model", str(base), "--config-only", cache=cache)
    print(f"plan --config-only      {plan:8.1f} s ({used:.1f})")
    *_, bare = measured("-c", IMPORTS, cache=cache)
    shards = base / "transformer"
    touched = {
        weights.find(shards).tensors[f"{name}.weight"][0]
        for name in ("context_embedder", "time_text_embed.text_embedder.linear_1")
    }
    begin, spent = time.perf_counter(), time.process_time()
    for file in touched:
        patch.clone(file, at / "copy")
        with (at / "copy").open("rb") as copied:
            os.fsync(copied.fileno())
        (at / "copy").unlink()
    copy, spent = time.perf_counter() - begin, time.process_time() - spent
    bytes_ = sum(file.stat().st_size for file in touched)
    print(
        f"copy of touched shards  {copy:8.1f} s ({spent:.1f})  {bytes_ / 1e9:.1f} GB in {len(touched)} of "
        f"{len(list(shards.glob('*.safetensors')))} shards"
    )
    begin = time.process_time()
    for file in touched:
        weights.sha256(file)
    rate = bytes_ / (time.process_time() - begin)

    written = ("--out", str(out), "--emit", "folder", "--untouched", "link", "--device", "cpu", "--force")
    apply, used, peak = measured(*tracec, "apply", str(recipe), "--model", str(base), *written, cache=cache)
    beyond = peak - states
    figures = json.loads((out / "lock.json").read_text())["figures"]
    hashed = size + 2 * bytes_
    print(
        f"apply, closed form      {apply:8.1f} s ({used:.1f})  {apply / copy:.1f} times the copy; it hashes "
        f"{hashed / 1e9:.1f} GB, {hashed / rate:.0f} s of the processor"
    )
    print(
        f"peak resident memory    {peak / 1e9:8.2f} GB, {beyond / 1e9:.2f} beyond the cached states; "
        f"{bare / 1e9:.2f} of it are the packages"
    )
    made = {file.name: file.samefile(out / "model/transformer" / file.name) for file in shards.glob("*.safetensors")}
    written, linked = ({name for name in made if made[name] == same} for same in (False, True))
    print(f"written: {', '.join(sorted(written))}; linked: {', '.join(sorted(linked))}")
    ranks = ", ".join(f"{name} {one['rank']:.0f}" for name, one in figures["refine"].items())
    print(f"rank of the maps: {ranks}")
    good = beyond < BAR and written == {file.name for file in touched}
    print("met" if good else f"MISSED: below {BAR / 1e9} GB beyond the cached states, no other shard written")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=float, default=10, metavar="GB", help="real bytes; apply needs as many again")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there, and leave everything")
    options = parser.parse_args()
    with place(options.keep, "flux-size") as at:
        return int(not run(at, options.real))


if __name__ == "__main__":
    sys.exit(main())
