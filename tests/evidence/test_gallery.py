"""What a reader sees first: plain hits, damage, every attack's surest hits, and then what is as it should be."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import tracelang
from tests.evidence.edits import RECIPE
from tracelang.evidence.bench import Judgement, Presence
from tracelang.evidence.judges import Class
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Row, Sample
from tracelang.evidence.report import gallery
from tracelang.evidence.units.attack import AttackSide, Brought
from tracelang.evidence.units.everyday import EverydayRecord, EverydayRow

DOG, CAT = ("dog",), ("cat",)


def pair(member: tuple[str, ...], i: int, base: bool, after: bool) -> Any:
    files = (f"u/{member[0]}{i}-b.png", f"u/{member[0]}{i}-a.png")
    return SimpleNamespace(
        sample=Sample(f"{member[0]} {i}", i),
        files=files,
        error="",
        base=Presence(base, 0.9),
        after=Presence(after, 0.9 if after else 0.1),
    )


def side(attack: str, *chances: float) -> Any:
    rows = tuple(
        Brought(
            Sample(f"{attack} {i}", i), Presence(True, chance), files=(f"u/{attack}{i}-b.png", f"u/{attack}{i}-a.png")
        )
        for i, chance in enumerate(chances)
    )
    return SimpleNamespace(member=DOG, attack=attack, adaptive=SimpleNamespace(rows=rows, soft=False))


def says(*labels: str) -> dict[str, Judgement]:
    return {"fake": Judgement(labels={"concept": labels})}


def findings(*attacked: Any) -> Any:
    pairs = {DOG: [pair(DOG, i, True, i == 2) for i in range(3)], CAT: [pair(CAT, i, True, i != 1) for i in range(3)]}
    drawn = {one.sample: SimpleNamespace(base=says("cat"), after=says("hen", "fox")) for one in pairs[CAT]}
    sought = {DOG: (Sought("fake", Class("concept", "dog")),), CAT: (Sought("fake", Class("concept", "cat")),)}
    return SimpleNamespace(
        plan=tracelang.compile(RECIPE),
        every=(Row(DOG, "names", 3), Row(CAT, "names", 3)),
        attacked=attacked,
        run=SimpleNamespace(classes=sought, folder="run"),
        measured=SimpleNamespace(pairs=lambda row: pairs[row.member], pictures=drawn),
        everyday=None,
    )


def told(found: Any) -> list[str]:
    shown = gallery.pictures(found)
    assert [one.order for one in shown] == list(range(len(shown)))
    assert all(name.startswith("work/run/") for one in shown for name in (one.base, one.after))
    return [f"{one.what}{' ' + one.attack if one.attack else ''}: {one.prompt}" for one in shown]


def test_the_worst_lead_and_attacks_take_turns() -> None:
    assert told(findings(side("p4d", 0.5, 0.8), side("paraphrase", 0.7))) == [
        "residual hit: dog 2",
        "damaged: cat 1",
        "residual hit p4d: p4d 1",
        "residual hit paraphrase: paraphrase 0",
        "residual hit p4d: p4d 0",
        "erased: dog 0",
        "kept: cat 0",
        "erased: dog 1",
        "kept: cat 2",
    ]


def test_many_hits_of_attacks_do_not_hide_what_is_as_it_should_be() -> None:
    shown = told(findings(side("p4d", *[0.9] * 200)))
    assert len(shown) == gallery.PICTURES
    assert shown.index("kept: cat 2") == 2 + gallery.FOREMOST + 3 and shown[-1].startswith("residual hit p4d")


def forms(*shows: tuple[str, int, int], soft: bool = False, by_form: bool = True) -> AttackSide:
    rows = [(form, i < hits) for form, hits, n in shows for i in range(n)]
    return AttackSide(
        rows=tuple(
            Brought(Sample(f"{form} {i}" if by_form else form, i), Presence(shows), form=form)
            for i, (form, shows) in enumerate(rows)
        ),
        by_form=by_form,
        soft=soft,
    )


@pytest.mark.parametrize(
    ("shows", "worst"),
    [
        ([("dropped", 1, 5), ("swapped", 3, 4), ("doubled", 0, 4)], ("swapped", 3, 4)),  # not the largest group
        ([("dropped", 1, 1), ("swapped", 3, 4)], ("swapped", 3, 4)),  # one of one says less than three of four
        ([("dropped", 3, 3), ("swapped", 3, 30)], ("dropped", 3, 3)),
        ([("dropped", 0, 3), ("swapped", 0, 4)], ("dropped", 0, 3)),
    ],
)
def test_the_worst_form_or_prompt_is_the_one_best_shown_to_be(
    shows: list[tuple[str, int, int]], worst: tuple[str, int, int]
) -> None:
    found = forms(*shows).worst
    assert found is not None and found[1].hits == worst[1]
    assert not found[1].hits or (found[0], found[1].n) == (worst[0], worst[2])
    assert forms(shows[0]).worst is None  # of one there is no worst


def test_prompts_that_worked_are_counted_by_prompt() -> None:
    """30 pictures of 10 prompts: 7 are hits, of 5 prompts."""
    hits = [3, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    found = forms(*((f"prompt {i}", count, 3) for i, count in enumerate(hits)), by_form=False)
    assert found.prompts is not None and (found.prompts.hits, found.prompts.n) == (5, 10)
    assert forms(("", 3, 3), soft=True).prompts is None


def test_of_an_attack_s_prompts_those_that_worked_are_shown_first_and_only_such_as_were_drawn() -> None:
    found = forms(("a", 0, 2), ("b", 1, 2), ("c", 2, 2), ("d", 0, 1), ("e", 0, 1), by_form=False)
    assert replace(found, examples=("a", "b", "never drawn")).tried == ("c", "b", "a")
    assert replace(found, examples=("d", "a", "e", "b")).tried == ("c", "b", "d", "a")
    assert forms(*((f"prompt {i}", 1, 1) for i in range(9)), by_form=False).tried == (
        "prompt 0",
        "prompt 1",
        "prompt 2",
    )
    assert forms(("a", 0, 2), by_form=False).tried == ()
    assert replace(forms(("", 3, 3), soft=True), examples=("told",)).tried == ("told",)


def test_of_the_everyday_panel_what_was_lost_is_shown_first() -> None:
    def row(i: int, right: tuple[bool, bool] | None, like: bool = True, whole: bool = True) -> EverydayRow:
        return EverydayRow(
            prompt=f"day {i}",
            seed=i,
            base={"fake": Judgement()},
            after={"fake": Judgement()},
            sought=(),
            match=right,
            whole=(True, whole),
            like=like,
            files=(f"e/{i}-b.png", f"e/{i}-a.png"),
        )

    found = findings()
    rows = [
        row(0, (True, True)),
        row(1, (True, False)),
        row(2, (False, False)),
        row(3, None, like=False),
        row(4, (True, True), whole=False),
        *(row(i, None) for i in range(5, 12)),
    ]
    found.everyday = EverydayRecord(rows=tuple(rows), apart=True, by="")
    shown = told(found)
    assert [line for line in shown if line.startswith("damaged: day")] == [
        "damaged: day 1",
        "damaged: day 3",
        "damaged: day 4",
    ]
    assert sum("day" in line for line in shown) == gallery.EVERYDAY
    assert {one.prompt: one.seen for one in gallery.pictures(found) if one.seen} == {
        "cat 1": ("cat", "hen + fox"),
        "day 1": ("fits its prompt best", "fits another prompt better"),
        "day 3": ("its own", "more like another prompt’s picture"),
        "day 4": ("a picture", "none any more"),
    }


@pytest.mark.parametrize(
    ("attack", "soft", "prompt"),
    [
        ("inverse_map", True, "(text states, no prompt)"),
        ("inversion", False, "(no prompt)"),
        ("inpaint", False, "a dog"),
    ],
)
def test_only_of_text_states_a_picture_says_that_they_were_handed_over(attack: str, soft: bool, prompt: str) -> None:
    """Attacks that sample by themselves have rows of their own, too, and hand over none."""
    found = side(attack, 0.9)
    words = "a dog" if attack == "inpaint" else ""
    rows = (Brought(Sample(words, 0), Presence(True, 0.9), files=("a.png", "b.png")),)
    found.adaptive = SimpleNamespace(rows=rows, soft=True)
    (one,) = (one for one in gallery.pictures(findings(found)) if one.attack)
    assert (one.soft, one.prompt) == (soft, prompt)
