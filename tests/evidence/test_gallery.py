"""What a reader sees first: plain hits, damage, every attack's surest hits, and then what is as it should be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import tracelang
from tests.evidence.edits import RECIPE
from tracelang.evidence import gallery
from tracelang.evidence.questions import Row, Shot
from tracelang.evidence.shots import Sight

DOG, CAT = ("dog",), ("cat",)


def pair(member: tuple[str, ...], i: int, base: bool, after: bool) -> Any:
    files = (f"u/{member[0]}{i}-b.png", f"u/{member[0]}{i}-a.png")
    return SimpleNamespace(shot=Shot(f"{member[0]} {i}", i), files=files, error="", base=Sight(base, 0.9),
                           after=Sight(after, 0.9 if after else 0.1))


def strike(attack: str, *chances: float) -> Any:
    rows = tuple((Shot(f"{attack} {i}", i), Sight(True, chance), (f"u/{attack}{i}-b.png", f"u/{attack}{i}-a.png"))
                 for i, chance in enumerate(chances))
    return SimpleNamespace(member=DOG, attack=attack, adaptive=SimpleNamespace(rows=rows))


def findings(*struck: Any) -> Any:
    pairs = {DOG: [pair(DOG, i, True, i == 2) for i in range(3)], CAT: [pair(CAT, i, True, i != 1) for i in range(3)]}
    return SimpleNamespace(
        plan=tracelang.compile(RECIPE), every=(Row(DOG, "names", 3), Row(CAT, "names", 3)), struck=struck,
        run=SimpleNamespace(classes={DOG: (), CAT: ()}),
        measured=SimpleNamespace(pairs=lambda row: pairs[row.member]),
    )


def told(found: Any) -> list[str]:
    shown = gallery.pictures(found)
    assert [one.order for one in shown] == list(range(len(shown)))
    return [f"{one.what}{' ' + one.attack if one.attack else ''}: {one.prompt}" for one in shown]


def test_the_worst_lead_and_attacks_take_turns() -> None:
    assert told(findings(strike("p4d", 0.5, 0.8), strike("paraphrase", 0.7))) == [
        "residual hit: dog 2", "damaged: cat 1",
        "residual hit p4d: p4d 1", "residual hit paraphrase: paraphrase 0", "residual hit p4d: p4d 0",
        "erased: dog 0", "kept: cat 0", "erased: dog 1", "kept: cat 2",
    ]


def test_many_hits_of_attacks_do_not_hide_what_is_as_it_should_be() -> None:
    shown = told(findings(strike("p4d", *[0.9] * 200)))
    assert len(shown) == gallery.PICTURES
    assert shown.index("kept: cat 2") == 2 + gallery.STRUCK + 3 and shown[-1].startswith("residual hit p4d")
