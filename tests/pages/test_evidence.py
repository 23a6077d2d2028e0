"""What the page of evidence says of verdicts and figures, beside its check; no picture is drawn for it."""

from __future__ import annotations

import pytest
import torch

from tests.pages.reading import EVIDENCE, plan, says
from tracelang.evidence.attacks import ATTACKS
from tracelang.evidence.bench import Wanted
from tracelang.evidence.matrices import CHEAPER
from tracelang.evidence.metrics.distances import FID_LEAST, TooFew, fid, kid_paired
from tracelang.evidence.pictures import Row, rows, samples_of
from tracelang.evidence.units import units
from tracelang.evidence.units.attack import AttackUnit
from tracelang.evidence.units.degree import DEGREES
from tracelang.evidence.units.drift import DRIFTS
from tracelang.evidence.units.everyday import EverydayPair, everyday, integrity
from tracelang.evidence.units.shots import ShotsUnit
from tracelang.evidence.verdicts import decide, rate


class Pixels(torch.nn.Module):
    """Features of a picture that are the picture."""

    num_features = 48

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def seen(lost: int, right: int) -> list[EverydayPair]:
    return [EverydayPair((True, i >= lost), (True, True), True) for i in range(right)]


@says(
    EVIDENCE,
    "A share passes where its whole 95 % Wilson interval lies on the bound's side, and fails where all of it lies "
    "beyond; what lies on both sides is open.",
)
def test_verdicts() -> None:
    for hits, verdict in ((0, "pass"), (5, "inconclusive"), (60, "fail")):
        share = rate(hits, 100)
        assert decide(share.low, share.high, "<=", 0.05) == verdict


@says(
    EVIDENCE,
    "24 everyday pictures that the recipe did not choose are drawn on base and edited model, with seeds of their own, "
    "whatever is expected and whatever `--samples` says.",
    "on any other model the prompts of `tracelang/evidence/everyday.txt`.",
    "are left out; where fewer than 8 are left, the whole is inconclusive.",
)
def test_everyday_pictures() -> None:
    found = plan('erase "cat"')
    asked = everyday(found, [])
    assert len(asked) == 24 and not any("cat" in sample.prompt.split() for sample in asked)
    seeds = {sample.seed for row in rows(found, {}, 50) for sample in samples_of(found, row)}
    assert seeds.isdisjoint(sample.seed for sample in asked)
    assert [one.kind for one in units(Wanted(found, {}, (), 0, asked))].count("everyday") == 1
    words = ", ".join(f'"{word}"' for word in ("a", "an", *{w for sample in asked for w in sample.prompt.split()}))
    assert everyday(plan(f"concept all {{ names {words} }} erase all"), []) == {}
    assert integrity([]).verdict == "inconclusive"


@says(
    EVIDENCE,
    "fail, where the lower end of the share that is lost is above 10 %, and more was lost than gained (exact McNemar, "
    "p < 0.05): 6 of 24",
    "So an edit that loses a tenth of everything else still passes: write `kept` for what matters.",
)
def test_what_is_lost() -> None:
    assert [integrity(seen(lost, 24)).verdict for lost in (0, 3, 5, 6)] == ["pass", "pass", "pass", "fail"]


@says(
    EVIDENCE,
    "what undoing 50, 80 and 95 % of the edit and all that can be undone costs,",
    "KID that compares no two pictures of one seed, so that no edit at all has 0; FID from 10,000 pictures,",
    "the edit's change of the weights scaled to 0, 25, 50, 75 and 100 %.",
)
def test_figures() -> None:
    assert CHEAPER == (0.5, 0.8, 0.95) and DEGREES == (0.25, 0.5, 0.75) and FID_LEAST == 10_000
    pictures = torch.rand(120, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    pixels = Pixels()
    assert kid_paired(pictures, pictures, pixels) == pytest.approx(0, abs=1e-9)
    with pytest.raises(TooFew, match=r"10,?000"):
        fid(pictures, pictures, pixels)


@says(
    EVIDENCE,
    "A `protected` concept is never drawn, never attacked and never followed: the certificate alone speaks for it.",
)
def test_what_is_protected() -> None:
    said = 'concept p kind protected { names "red circle" probes "round thing" }'
    found = plan(f'{said} erase p preserve "dog" method uce')
    member = ("p",)
    assert not samples_of(found, Row(member, "names", 5)) and not samples_of(found, Row(member, "probes", 5))
    assert not [*AttackUnit.wanted(Wanted(found, {member: ()}, tuple(ATTACKS), 5, {}))]
    todo = units(Wanted(found, {}, tuple(ATTACKS), 5, {}))
    assert not any(member in one.group for one in todo if one.kind == "drift") and DRIFTS > 0
    assert any(one.kind == "drift" for one in todo) and any(one.kind == "certificate" for one in todo)
    assert not any(member in members for one in todo if isinstance(one, ShotsUnit) for members in one.members)
