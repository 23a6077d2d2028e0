"""What is looked at: spread evenly, drawn once, cut without regard to the number of shards."""

from __future__ import annotations

import pytest

import tracelang
from tests.evidence.edits import RECIPE
from tracelang.engine.seeds import seed
from tracelang.evidence.bench import Unit, Wanted
from tracelang.evidence.pictures import Row, Sample, drawable, rows, samples_of, spread
from tracelang.evidence.units import share, units
from tracelang.evidence.units.shots import SHOTS
from tracelang.plan.types import Plan

PROTECTED = """tracelang 1
concept secret kind protected { names "dog" probes "canine" templates "a {}", "the {}" }
concept cat { names "cat" templates "a {}" }
erase secret toward cat
preserve cat
method uce {}
expect over 5 samples { drift(cat) <= 1 residual(secret) <= 1 }
"""


def plan(expect: str) -> Plan:
    return tracelang.compile(f"{RECIPE}{expect}")


def judged(plan: Plan) -> dict[tuple[str, ...], object]:
    return {(concept.name,): None for concept in plan.concepts if concept.kind != "protected"}


def work(plan: Plan, samples: int = 0, attacks: tuple[str, ...] = ()) -> tuple[Unit, ...]:
    return units(Wanted(plan, judged(plan), attacks, samples, {}))


def samples_in(unit: Unit) -> tuple[Sample, ...]:
    return unit.samples if unit.kind in ("shots", "degree") else ()


@pytest.mark.parametrize("samples", [1, 3, 7, 12, 100])
def test_samples_are_spread_evenly_over_the_prompts(samples: int) -> None:
    prompts = [f"p{i}" for i in range(7)]
    counts = [sum(sample.prompt == prompt for sample in spread(prompts, samples, 0)) for prompt in prompts]
    assert sum(counts) == samples
    assert max(counts) - min(counts) <= 1
    assert len(set(spread(prompts, samples, 0))) == samples


def test_fewer_samples_than_prompts_reach_across_them_all() -> None:
    assert [sample.prompt for sample in spread([f"p{i}" for i in range(10)], 2, 0)] == ["p0", "p5"]


def test_seeds_are_the_purpose_of_verification() -> None:
    shots = spread(["a", "b"], 3, 5)
    assert [sample.seed for sample in shots] == [
        seed("verify", "a", 0, 5),
        seed("verify", "b", 0, 5),
        seed("verify", "a", 1, 5),
    ]


def test_a_larger_sample_holds_the_smaller_one() -> None:
    prompts = ["a", "b", "c"]
    assert set(spread(prompts, 30, 0)) <= set(spread(prompts, 100, 0))


def test_what_several_assertions_ask_for_is_drawn_once() -> None:
    one = work(plan("expect over 8 samples { shown(dog) <= 50% }"))
    many = work(
        plan(
            "expect over 8 samples { shown(dog) <= 50% subject(dog) >= 1% accuracy(dog) >= 0% }"
            " expect over 4 samples { shown(dog) <= 50% }"
        )
    )
    shots = [sample for unit in many for sample in samples_in(unit)]
    assert len(shots) == len(set(shots)) == 8
    assert set(shots) == {sample for unit in one for sample in samples_in(unit)}


def test_beside_an_attack_the_plain_prompts_are_drawn() -> None:
    attacked = plan("expect over 4 samples { attack(dog, p4d) <= 50% }")
    assert rows(attacked, judged(attacked), 0) == (Row(("dog",), "names", 4, 0),)


def test_probes_are_drawn_for_probed_alone() -> None:
    probed = plan("expect over 4 samples { probed(dog) <= 50% }")
    (row,) = rows(probed, judged(probed), 0)
    assert row == Row(("dog",), "probes", 4, 0)
    assert all("canine" in sample.prompt for sample in samples_of(probed, row))


def test_without_samples_only_what_the_recipe_asks_is_looked_at() -> None:
    kinds = [unit.kind for unit in work(plan("expect over 4 samples { shown(dog) <= 50% }"), 0, ("p4d",))]
    assert kinds == ["certificate", "rounding", "shots"]
    assert [unit.key for unit in work(plan(""), 0)] == ["certificate", "rounding"]


def test_with_samples_every_attack_and_every_degree_is_looked_at() -> None:
    found = work(plan("expect over 4 samples { attack(dog, p4d) <= 50% }"), 6, ("p4d", "ring_a_bell"))
    assert {(unit.attack, unit.samples) for unit in found if unit.kind == "attack"} == {("p4d", 4), ("ring_a_bell", 6)}
    assert {unit.degree for unit in found if unit.kind == "degree"} == {0.25, 0.5, 0.75}
    assert {member for unit in found if unit.kind == "drift" for member in unit.group} == {("dog",), ("cat",)}


def test_units_are_small_and_their_keys_differ() -> None:
    found = work(plan("expect over 120 samples { shown(dog) <= 50% kept(cat) >= 50% }"), 10, ("p4d",))
    assert max(len(samples_in(unit)) for unit in found) == SHOTS
    assert len({unit.key for unit in found}) == len(found)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_shards_part_the_same_units(n: int) -> None:
    whole = work(plan("expect over 120 samples { shown(dog) <= 50% }"), 10, ("p4d",))
    parts = [share(whole, (i, n)) for i in range(1, n + 1)]
    assert sorted(unit.key for part in parts for unit in part) == sorted(unit.key for unit in whole)
    assert all(unit in whole for part in parts for unit in part)


def test_nothing_of_a_protected_concept_is_ever_a_picture_or_an_attack() -> None:
    secret = tracelang.compile(PROTECTED)
    assert not drawable(secret, ("secret",)) and not drawable(secret, ("cat", "secret"))
    found = units(Wanted(secret, {("secret",): None, ("cat",): None}, ("p4d",), 10, {}))
    words = ("dog", "canine")
    assert not [sample for unit in found for sample in samples_in(unit) if any(word in sample.prompt for word in words)]
    assert {unit.member for unit in found if unit.kind == "attack"} == set()
    assert {member for unit in found if unit.kind == "drift" for member in unit.group} == {("cat",)}
