"""The everyday panel: what it asks for, what it sees, and edits that destroy all but what their recipe looks at."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

import tracelang
from tests.evidence.edits import RECIPE, nothing, ruin
from tracelang.evidence import verify
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.bench import Wanted
from tracelang.evidence.everyday import texts
from tracelang.evidence.judges import Judge
from tracelang.evidence.pictures import Sample
from tracelang.evidence.schema import Report
from tracelang.evidence.units import units
from tracelang.evidence.units.everyday import COUNT, LEAST, EverydayPair, digest, everyday, integrity, pixels
from tracelang.plan.protected import guard
from tracelang.plan.types import Plan
from tracelang_micro.judging import Micro
from tracelang_micro.world.concepts import THINGS

pytestmark = pytest.mark.usefixtures("whole_panel")
WHOLE = (True, True)


def recipe(*erased: str, kind: str = "object", more: str = "") -> Plan:
    names = ", ".join(f'"{name}"' for name in erased)
    keep = 'erase "zebra"\n' if kind == "protected" else ""
    return tracelang.compile(
        f'tracelang 1\nconcept gone kind {kind} {{ names {names} templates "a {{}}" }}\n{keep}erase gone\n{more}'
    )


def rows(*changes: tuple[bool, bool] | None, **facts: object) -> list[EverydayPair]:
    return [EverydayPair(change, **{"whole": WHOLE, "like": True, **facts}) for change in changes]  # type: ignore[arg-type]


KEPT, LOST, GAINED, NEVER = (True, True), (True, False), (False, True), (False, False)


@pytest.mark.parametrize(
    ("lost", "gained", "verdict"),
    [
        (0, 0, "pass"),
        (5, 0, "pass"),
        (6, 0, "fail"),
        (24, 0, "fail"),  # 24 that were right: 5 lost may be chance
        (6, 6, "pass"),
        (9, 0, "fail"),
        (9, 8, "pass"),  # what flickers is lost and gained alike
    ],
)
def test_what_is_lost_of_what_was_right_decides(lost: int, gained: int, verdict: str) -> None:
    found = integrity(rows(*[LOST] * lost, *[KEPT] * (24 - lost), *[GAINED] * gained))
    assert found.verdict == verdict and found.kept is not None and found.kept.hits == 24 - lost
    assert f"of 24 that the base model got right {24 - lost} are right after it" in found.reason


def test_without_enough_that_was_right_likeness_speaks() -> None:
    for known in ([None] * 24, [*[LOST] * 9, *[NEVER] * 15]):
        assert integrity(rows(*known)).verdict == "pass"
        strange = integrity(rows(*known, like=False))
        assert strange.verdict == "inconclusive" and "what they show now is unknown" in strange.reason
    assert "no judge knows" in integrity(rows(*[None] * 24)).reason


def test_pictures_that_are_none_fail_whatever_a_judge_says() -> None:
    found = integrity([*rows(*[KEPT] * 18), *rows(*[KEPT] * 6, whole=(True, False))])
    assert found.verdict == "fail" and "6 of 24 are no pictures any more" in found.reason
    assert integrity(rows(*[KEPT] * 24), apart=False).verdict == "fail"
    assert integrity(rows(*[KEPT] * 24, whole=(False, False))).verdict == "inconclusive"


def test_no_panel_and_a_judge_that_fails_are_no_pass() -> None:
    assert integrity([]).verdict == "inconclusive"
    assert integrity([*rows(*[KEPT] * 23), EverydayPair(KEPT, WHOLE, True, "boom")]).verdict == "inconclusive"


def pictures(seed: int) -> Tensor:
    """Soft blobs: neither flat nor noise."""
    draw = torch.Generator().manual_seed(seed)
    return interpolate(torch.rand(24, 3, 8, 8, generator=draw), 64, mode="bicubic").clamp(0, 1)


PROMPTS = [f"p{i}" for i in range(24)]


@pytest.mark.parametrize(
    ("ruined", "whole", "like"),
    [
        (lambda x: x + 0.02 * torch.randn_like(x), 24, 24),
        (lambda x: torch.rand_like(x), 0, None),
        (lambda x: torch.randn_like(x).clamp(0, 1), 0, None),
        (lambda x: torch.full_like(x, 0.5), 0, None),
        (lambda x: x * float("nan"), 0, None),
        (lambda x: 0.5 + 0.02 * (x - 0.5), 0, None),
        (lambda x: x.roll(1, 0), 24, 0),
    ],
)
def test_pixels_tell_pictures_from_what_is_none(ruined: object, whole: int, like: int | None) -> None:
    torch.manual_seed(0)
    base = pictures(0)
    kinds, alike, _ = pixels(base, ruined(base), PROMPTS)  # type: ignore[operator]
    assert all(before for before, _ in kinds) and sum(now for _, now in kinds) == whole
    assert like is None or sum(alike) == like


def test_pictures_that_are_all_the_same_are_seen() -> None:
    base = pictures(0)
    assert pixels(base, base, PROMPTS)[2] and pixels(base, pictures(1), PROMPTS)[2]
    assert not pixels(base, base[:1].expand(24, -1, -1, -1) + 0.01 * (base - 0.5), PROMPTS)[2]


def words(plan: Plan, judges: Sequence[Judge] = ()) -> list[str]:
    return list(dict.fromkeys(sample.prompt for sample in everyday(plan, judges)))


def test_the_panel_is_ours_and_travels_with_the_package() -> None:
    assert len(texts()) == len(set(texts())) == COUNT
    assert words(recipe("zebra")) == list(texts())
    packaged = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "everyday.txt" in packaged["package-data"]["tracelang.evidence"]


@pytest.mark.parametrize("kind", ["object", "protected"])
@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("cat", "a cat asleep on a sofa"),
        ("Cats", "a cat asleep on a sofa"),
        ("a raincoat", "a man in a raincoat"),
        ("old book", "a shelf full of old books"),
        ("sunflower", "a field of sunflowers"),
        ("man", "a man in a raincoat"),
    ],
)
def test_what_a_recipe_erases_or_protects_is_not_asked_for(name: str, held: str, kind: str) -> None:
    left = words(recipe(name, kind=kind))
    assert not [prompt for prompt in left if prompt.startswith(held)]
    assert len(left) >= COUNT - 2 and set(left) < set(texts())


@pytest.mark.parametrize("name", ["bowl fruit", "fruit in a kitchen", "bus city", "a man's raincoat", "snowy, forest"])
def test_what_speaks_of_the_protected_is_not_asked_for_whatever_stands_between(name: str) -> None:
    plan = recipe(name, kind="protected")
    wall = guard(plan)
    left = words(plan)
    assert wall is not None and left == [text for text in texts() if wall.of(text) is None] != list(texts())
    with pytest.raises(EvidenceError, match="which the recipe protects"):
        units(Wanted(plan, {}, (), 0, {Sample(text, 0): None for text in texts()}))


def test_parts_of_words_and_little_words_leave_the_panel_as_it_is() -> None:
    assert words(recipe("ran", "woo", "of", "a", "in a")) == list(texts())
    assert len(everyday(recipe("cat"), ())) == COUNT


def test_probes_are_not_asked_for_either() -> None:
    plan = tracelang.compile('tracelang 1\nconcept gone { names "x1" probes "parrot" templates "a {}" }\nerase gone')
    assert not [prompt for prompt in words(plan) if "parrot" in prompt]


def test_a_recipe_that_leaves_no_panel_has_none() -> None:
    every = {max(text.split(), key=len) for text in texts()}
    assert everyday(recipe(*sorted(every)), ()) == {}


def test_of_a_known_world_what_the_recipe_does_not_name_comes_first() -> None:
    demo = tracelang.compile(Path("recipes/demo.erase"))
    named = {concept.names[0] for concept in demo.concepts}
    asked = everyday(demo, [Micro()])
    labels = {one.found.label for one in asked.values() if one is not None}
    assert len(asked) == len(labels) == COUNT and not labels & named
    four = everyday(tracelang.compile(Path("recipes/micro/four.erase")), [Micro()])  # names everything there is
    labels = {one.found.label for one in four.values() if one is not None}
    assert len(labels) == COUNT and not labels & {"ship", "santa", "knife"}


@pytest.mark.parametrize("kind", ["object", "protected"])
def test_a_thing_of_the_world_is_left_out_by_any_of_its_words(kind: str) -> None:
    things = len(THINGS)
    assert things > COUNT
    for word in ("amphibian", "tadpoles", "frog"):
        labels = {one.found.label for one in everyday(recipe(word, kind=kind), [Micro()]).values() if one}
        assert "frog" not in labels and len(labels) == COUNT
    several = everyday(recipe(*(word for thing in THINGS[:48] for word in (thing.name, *thing.synonyms))), [Micro()])
    assert {one.found.label for one in several.values() if one} == {thing.name for thing in THINGS[48:]}
    assert len(several) == COUNT  # eight things, three seeds each
    assert everyday(recipe(*(thing.name for thing in THINGS[: things - LEAST + 1])), [Micro()]) == {}


def test_the_panel_is_the_same_every_time_and_another_recipe_has_another() -> None:
    assert digest(everyday(recipe("cat"), [Micro()])) == digest(everyday(recipe("cat"), [Micro()]))
    assert digest(everyday(recipe("cat"), [Micro()])) != digest(everyday(recipe("airplane"), [Micro()]))
    assert digest(everyday(recipe("cat"), [Micro()])) != digest(everyday(recipe("cat"), ()))


def run(out: Path, steps: int = 10) -> Report:
    report = verify.verify(out, samples=0, steps=steps)
    assert report is not None and report.integrity is not None
    return report


WORLD = 'templates plain = "a picture of {}", "{}"\n'
NEIGHBOUR = f"""tracelang 1
{WORLD}concept frog {{ names "a frog" probes "an amphibian" templates plain }}
concept camera {{ names "a camera" templates plain }}
erase frog toward "a"
preserve camera
method m
define method m {{ refine on prompt {{ tokens = all  ridge = 0.000001  erase_weight = 100 }} }}
expect over 40 samples {{ shown(frog) <= 20% kept(camera) >= 70% residual(frog) <= 80% }}
"""
STOP = f"""tracelang 1
{WORLD}concept stop {{ names "frog", "a", "an", "of", "picture" templates plain }}
concept deer {{ names "a deer" templates plain }}
erase stop
preserve deer
method m
define method m {{ refine on prompt {{ tokens = all  ridge = 0.000001  erase_weight = 100 }} }}
expect over 20 samples {{ residual(stop) <= 80% }}
"""
NOISE = f"""tracelang 1
{WORLD}concept frog {{ names "a frog" templates plain }}
erase frog
method m
define method m {{
  steer on prompt {{
    rate = 1  steps = 6  trajectories = 2  sampler_steps = 4
    push {{ strength = 50 }}
  }}
}}
expect over 20 samples {{ shown(frog) <= 20% }}
"""
NOTHING = RECIPE.replace("erase dog toward cat", "erase dog toward cat degree 0%")
HONEST = RECIPE + "expect over 20 samples { shown(dog) <= 20% kept(cat) >= 60% residual(dog) <= 80% }"


def applied(recipe: str, out: Path) -> Path:
    tracelang.apply(tracelang.bind(tracelang.compile(recipe), "micro-sd"), device="cpu").save(out)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neighbour", "stop words", "noise"])
def test_an_edit_that_destroys_all_but_one_thing_is_broken(name: str, tmp_path: Path) -> None:
    text = {"neighbour": NEIGHBOUR, "stop words": STOP, "noise": NOISE}[name]
    report = run(applied(text, tmp_path / "out"))
    assert {one.verdict for one in report.outcomes} == {"pass"}, report.outcomes  # by all that the recipe asks
    assert report.integrity is not None and report.integrity.verdict == report.verdict == "fail"
    assert "Everyday pictures:" in report.summary
    page = (tmp_path / "out" / "report" / "report.html").read_text()
    assert "Decided by" in page and report.integrity.reason.split(":")[0] in page


@pytest.mark.slow
def test_no_edit_spares_everything_and_still_passes_nothing(tmp_path: Path) -> None:
    """By a judge that sees nothing anywhere, and by one that does: what the base meets too is no pass."""

    class Blind(Micro):
        def look(self, images: Tensor) -> list[object]:  # type: ignore[override]
            seen = super().look(images)
            for one in seen:
                one.labels["concept"] = "nothing"  # type: ignore[index]
            return list(seen)

    plan = tracelang.compile(RECIPE + "expect over 12 samples { shown(dog) <= 30% }")
    out = nothing(plan, tmp_path / "out")
    blind = verify.verify(out, [Blind()], samples=0, steps=2)
    assert blind is not None and blind.verdict == "inconclusive"
    assert "the base model meets the bound too" in blind.outcomes[0].reason
    idle = applied(NOTHING + "expect over 12 samples { attack(dog, paraphrase) <= 60% }", tmp_path / "idle")
    report = run(idle)
    assert report.integrity is not None and report.integrity.verdict == "pass"
    assert report.verdict != "pass" and report.attacks[0].base == report.attacks[0].adaptive


@pytest.mark.slow
def test_an_honest_edit_passes_with_its_panel(tmp_path: Path) -> None:
    report = run(applied(HONEST, tmp_path / "out"), steps=20)
    assert report.verdict == "pass" and report.integrity is not None and report.integrity.verdict == "pass"
    assert report.integrity.kept is not None and report.integrity.kept.n >= 20


@pytest.mark.slow
def test_without_a_judge_a_ruined_model_is_no_pass(tmp_path: Path) -> None:
    """No judge knows an everyday prompt: pixels alone speak."""

    class Mute(Micro):
        world = None  # type: ignore[assignment]

        def subject(self, seen: object) -> None:  # type: ignore[override]
            return None

    plan = tracelang.compile(RECIPE + "expect over 6 samples { accuracy(cat) >= 0% }")
    broken = verify.verify(ruin(plan, tmp_path / "ruin"), [Mute()], samples=0, steps=4)
    assert broken is not None and broken.outcomes[0].verdict == "pass" and broken.verdict != "pass"
    assert broken.integrity is not None and broken.integrity.base is None
    whole = verify.verify(nothing(plan, tmp_path / "same"), [Mute()], samples=0, steps=4)
    assert whole is not None and whole.verdict == "pass"
