"""What the cards must show, model by model: `python -m tracelang_micro.world.bars`.

Floors and sizes of every model; of a twin also that it draws nothing of what it never knew beyond the judge's
confusions, and everything else as the bases do, whose seeds alone differ.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .card import file_of
from .concepts import GROUPS
from .place import HOME, TWINS
from .trainings import TRAININGS

Card = Mapping[str, Any]
MEGABYTES = 16.0
ABOVE_CONFUSIONS, MEAN_APART, WORST_APART = 0.05, 0.01, 0.10


@dataclass(frozen=True, slots=True)
class Bar:
    """One demand on a model: what it is, what was found, and whether that is enough."""

    what: str
    found: str
    holds: bool


def things(card: Card) -> dict[str, float]:
    """How often each thing is drawn by its name."""
    return {row: share for group in GROUPS for row, share in card["table"][group].items()}


def own(card: Card) -> list[Bar]:
    """The bars that a card is held to alone."""
    size = card["megabytes"][card["model"]]
    bars = [Bar(f"at most {MEGABYTES:.0f} MB", f"{size}", size <= MEGABYTES)]
    for row, floor in card["floors"].items():
        bars.append(Bar(f"{row} at least {floor:.2f}", f"{card['summary'][row]:.3f}", card["summary"][row] >= floor))
    for name, one in card.get("never", {}).items():
        bars.append(
            Bar(
                f"no {name} beyond the judge's confusions ({one['confusions']:.3f}) and {ABOVE_CONFUSIONS}",
                f"{one['shown']:.3f}",
                one["shown"] <= one["confusions"] + ABOVE_CONFUSIONS,
            )
        )
    return bars


def beside(twin: Card, bases: Mapping[str, Card]) -> list[Bar]:
    """The bars of a twin beside the mean of the bases, over the things that it knows."""
    shares = things(twin)
    usual = {row: sum(things(base)[row] for base in bases.values()) / len(bases) for row in shares}
    apart = sum(shares.values()) / len(shares) - sum(usual.values()) / len(usual)
    worst = min(shares, key=lambda row: shares[row] - usual[row])
    against = f"the mean of {', '.join(bases)}"
    return [
        Bar(f"other things within {MEAN_APART} of {against}", f"{apart:+.4f}", abs(apart) <= MEAN_APART),
        Bar(
            f"none worse than {against} by more than {WORST_APART}",
            f"{worst} {shares[worst] - usual[worst]:+.3f}",
            shares[worst] - usual[worst] >= -WORST_APART,
        ),
    ]


def bars(*folders: Path) -> dict[str, list[Bar]]:
    """Every bar of every model whose card lies in one of the folders; of a twin beside those bases that have one."""
    cards = {
        name: json.loads((folder / file_of(name)).read_text())
        for name in TRAININGS
        for folder in folders
        if (folder / file_of(name)).exists()
    }
    found = {}
    for name, card in cards.items():
        found[name] = own(card)
        bases = {
            other: held
            for other, held in cards.items()
            if not TRAININGS[other].missing and bool(TRAININGS[other].clip) == bool(TRAININGS[name].clip)
        }
        if TRAININGS[name].missing and bases:
            found[name] += beside(card, bases)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tracelang_micro.world.bars", description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="*", default=[HOME, TWINS], help="where the cards are (default: the distributions)"
    )
    found = bars(*parser.parse_args().folder)
    for name, one in found.items():
        for bar in one:
            print(f"{name:20} {'holds' if bar.holds else 'SHORT':6} {bar.what}: {bar.found}")
    raise SystemExit(not all(bar.holds for one in found.values() for bar in one))


if __name__ == "__main__":
    main()
