"""What was made goes into the distributions: `python -m tracelang_micro.world.place FOLDER`.

FOLDER holds whole models, judge and cards, as `python -m tracelang_micro.world` publishes them. The first two models,
the judge and their cards go into `tracelang_micro`; every other model into `tracelang_micro_twins`, without what it
shares with them.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from .. import MODELS, twins
from . import pieces
from .card import file_of
from .trainings import TRAININGS

HOME = MODELS.parent
TWINS = HOME.parent / "tracelang_micro_twins"
SHIPPED = ("micro-sd", "micro-flux")


def place(published: Path, home: Path = HOME, apart: Path = TWINS) -> None:
    """Whatever of the models is in `published`."""
    there = [name for name in TRAININGS if (published / "models" / name).is_dir()]
    for name in there:
        folder, own = published / "models" / name, home if name in SHIPPED else apart
        into = own / "models" / name
        if own is home:
            shutil.rmtree(into, ignore_errors=True)
            shutil.copytree(folder, into)
        else:
            twins.split(folder, into, {other: published / "models" / other for other in shared_with(name)})
        if (card := published / file_of(name)).exists():
            shutil.copyfile(card, own / card.name)
        size = sum(file.stat().st_size for file in into.rglob("*") if file.is_file())
        pieces.say(f"{name}: {size / 1e6:.2f} MB in {into}")
    judge = published / "judge" / "judge.safetensors"
    if judge.exists():
        shutil.copyfile(judge, home / "judge" / judge.name)


def shared_with(name: str) -> tuple[str, ...]:
    """Whose parts a model may have: those of the first model of its kind, and the CLIP that it took over."""
    training = TRAININGS[name]
    return (SHIPPED[1], training.clip) if training.clip else SHIPPED[:1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tracelang_micro.world.place", description=__doc__)
    parser.add_argument("folder", type=Path)
    place(parser.parse_args().folder)


if __name__ == "__main__":
    main()
