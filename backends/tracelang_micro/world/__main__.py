"""Build the embedded world from nothing: `python -m tracelang_micro.world`. May be stopped and continued.

Makes the second edition: pictures of one thing and of two, autoencoder, judge, then every model of `trainings.py` with
its card. `--model micro-sd-never-1` makes that one alone. What is made is published whole in the work folder, and goes
into the distributions from there (`place.py`). A machine without npm needs the file `artwork/icons-96.npz` from the
work folder of one that has it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tracelang.engine.cache import folder as trajectories

from .. import micro_sd
from . import flux_stages, place, sd_stages, shared
from .pictures import digest
from .trainings import TRAININGS

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
        choices=("data", "train", "card"),
        default="data",
        help="`train`: with the shipped autoencoder and judge; `card`: measure what is published, and train nothing",
    )
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="the last stage to run")
    parser.add_argument("--device", default="cpu", help="what trains and draws: cpu, cuda")
    options = parser.parse_args()
    work: Path = options.work / digest()
    work.mkdir(parents=True, exist_ok=True)
    into: Path = options.into or work / "publish"
    if options.first == "train":
        shared.adopt(work, micro_sd() / "vae")
    world = prepared(work, options.until, options.device) if options.first != "card" else None
    for name in (options.model or TRAININGS) if options.until in ("train", "card") else ():
        stages = flux_stages if TRAININGS[name].clip else sd_stages
        if world:
            stages.build(name, world, into, options.device)
        if options.until == "card":
            stages.measure(name, work, into, options.device)
    if options.into is None and into.is_dir():
        place.place(into)


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
