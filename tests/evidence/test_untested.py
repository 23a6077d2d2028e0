"""What a report says nothing about is listed, wherever else it stands; what was tried is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import tracelang
from tests.evidence.edits import RECIPE
from tracelang.evidence.judges import Class
from tracelang.evidence.known import RATED
from tracelang.evidence.panel import Sought
from tracelang.evidence.report.untested import untested
from tracelang.evidence.schema import Accuracy, Quality

DOG, CAT = ("dog",), ("cat",)
FULL = Quality(fid=1.0, kid=0.1, clip_base=27.0, clip_after=27.0)


def evidence(
    *ran: str, also: tuple[tuple[str, ...], ...] = (DOG, CAT), on: str = f"9 {RATED} 2", failed: str = ""
) -> Any:
    """A run whose attacks were these, with judges beside the first for `also`, and its accuracy measured `on`."""
    rows = [SimpleNamespace(member=DOG, attack=one, rows=(1,)) for one in ran]
    for one in rows:
        side = SimpleNamespace(rows=() if one.attack == failed else (1,), inapplicable="")
        one.adaptive = one.static = side
    classes = {one: (Sought("micro", Class("concept", one[0])),) for one in (DOG, CAT)}
    return SimpleNamespace(
        plan=tracelang.compile(RECIPE),
        run=SimpleNamespace(
            notes=(),
            unknown={},
            attacks=ran,
            classes=classes,
            also=dict.fromkeys(also),
            facts={"controls": {"never": ()}},
        ),
        attacked=rows,
        row=lambda member, how="names": [1],
        measured=SimpleNamespace(relearning=(1,), known=lambda member: Accuracy(label=member[0], on=on)),
    )


def ways(found: Any) -> str:
    (line,) = (one for one in untested(found, FULL) if one.startswith("other ways in: "))
    return line


def test_a_way_in_that_an_attack_went_is_not_listed() -> None:
    assert "inpainting" in ways(evidence("p4d")) and "inpainting" not in ways(evidence("p4d", "inpaint"))
    assert "inpainting" in ways(evidence("p4d", "inpaint", failed="inpaint"))
    assert "image-to-image, ControlNet, adapters" in ways(evidence("inpaint"))


def test_one_judge_alone_and_one_that_nobody_checked_on_these_pictures_are_listed() -> None:
    told = " ".join(untested(evidence("p4d"), FULL))
    assert "another judge" not in told and "how often the judge" not in told
    told = " ".join(untested(evidence("p4d", also=(CAT,), on="the world's own pictures"), FULL))
    assert "whether another judge says the same: one alone looked for dog " in told
    assert "how often the judge micro is right about this model’s pictures: nobody looked at them (tracec rate)" in told


def test_figures_of_quality_that_there_are_not_are_listed_with_their_reason() -> None:
    found = untested(
        evidence("p4d"), Quality(kid=0.1, notes=("over all", "FID: it wants 10000", "CLIP score: no judge"))
    )
    assert "FID of the pictures of what is to stay: it wants 10000" in found
    assert "CLIP score of the pictures of what is to stay: no judge" in found
    assert not any("KID" in line for line in found) and not any("FID" in one for one in untested(evidence(), FULL))
    assert any(line.startswith("the quality of pictures (FID, KID, CLIP score)") for line in untested(evidence(), None))


def test_that_no_suite_was_asked_for_is_listed() -> None:
    assert "prompts of a published suite: the recipe asks about none" in untested(evidence("p4d"), FULL)
    asked = evidence("p4d")
    asked.plan = asked.plan.model_copy(update={"expect": (SimpleNamespace(suite="x"),)})
    assert not any("published suite" in line for line in untested(asked, FULL))
