"""Build the embedded world from nothing: `python -m tracelang_micro.world`. May be stopped and continued.

Makes the second edition: pictures of one thing and of two, autoencoder, judge, then every model of `trainings.py` with
its card. `--model micro-sd-never-1` makes that one alone. What is made is published whole in the work folder, and goes
into the distributions from there (`place.py`). A machine without npm needs the file `artwork/icons-96.npz` from the
work folder of one that has it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tracelang.engine.cache import folder as trajectories
from tracelang.models.locate import locate

from .. import micro_sd
from . import flux_stages, pieces, place, sd_stages, shared
from .pictures import digest
from .trainings import TRAININGS

STARTS = ("data", "train", "compose", "card")
STAGES = ("data", "vae", "judge", "train", "card")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tracelang_micro.world", description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=trajectories().parent / "world", help="folder for downloads, data and checkpoints"
    )
    parser.add_argument(
        "--into", type=Path, help="publish whole models, judge and cards here, and leave the distributions as they are"
    )
    parser.add_argument("--model", action="append", choices=tuple(TRAININGS), help="make this one (default: all)")
    parser.add_argument(
        "--from",
        dest="first",
        choices=STARTS,
        default=STARTS[0],
        help="`train`: with the shipped autoencoder and judge; `compose`: on from the shipped models, whose last "
        "course is trained; `card`: measure what is published, and train nothing",
    )
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="the last stage to run")
    parser.add_argument("--device", default="cpu", help="what trains and draws: cpu, cuda")
    parser.add_argument("--jobs", type=int, default=1, help="models made at once, each with a log of its own")
    options = parser.parse_args()
    if options.first == "compose" and (lacking := [name for name in options.model or () if TRAININGS[name].clip]):
        parser.error(f"{lacking[0]} has no last course of its own; use --from train")
    work: Path = options.work / digest()
    work.mkdir(parents=True, exist_ok=True)
    into: Path = options.into or work / "publish"
    if options.first in ("train", "compose"):
        shared.adopt(work, micro_sd() / "vae")
    world = prepared(work, options.until, options.device) if options.first != "card" else None
    every = [name for name in TRAININGS if options.first != "compose" or not TRAININGS[name].clip]
    names = options.model or every if options.until in ("train", "card") else []
    if options.jobs > 1:
        apart(names, options, into, work)
    for name in names if options.jobs == 1 else ():
        stages = flux_stages if TRAININGS[name].clip else sd_stages
        if world and options.first == "compose":
            sd_stages.build(name, world, into, options.device, locate(name))
        elif world:
            stages.build(name, world, into, options.device)
        if options.until == "card":
            stages.measure(name, work, into, options.device)
    if options.into is None and into.is_dir():
        place.place(into)


def apart(names: Sequence[str], options: argparse.Namespace, into: Path, work: Path) -> None:
    """Make each model by a process of its own, `options.jobs` at once, in the order of `waves`. Stops after the wave
    in which one failed, whose log is named.
    """

    def make(name: str) -> None:
        told = {"work": options.work, "into": into, "from": options.first, "until": options.until, "model": name}
        words = [f"--{key}={value}" for key, value in {**told, "device": options.device}.items()]
        log = work / f"{name}.log"
        with log.open("a") as lines:
            ended = subprocess.run([sys.executable, "-m", __package__, *words], stdout=lines, stderr=lines, check=False)
        pieces.say(f"{name}: {'failed, see' if ended.returncode else 'done,'} {log}")
        if ended.returncode:
            raise SystemExit(ended.returncode)

    for wave in waves(names):
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(make, wave))


def waves(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """What can be made at once, and what takes over the CLIP of one of these and comes after it."""
    later = [name for name in names if TRAININGS[name].clip in names]
    return [name for name in names if name not in later], later


def prepared(work: Path, until: str, device: str) -> shared.World | None:
    """What all models share; None where the last stage `until` comes before that."""
    first = micro_sd() / "vae"
    if until == "data":
        shared.pictures(work)
    elif until == "vae":
        shared.autoencoder(work, first, device)
    else:
        return shared.build(work, first, device)
    return None


if __name__ == "__main__":
    main()
