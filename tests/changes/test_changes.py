"""What `changes` and `breaking` say of pairs of recipes, and the laws that they keep."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from tests.snippets import snippets
from tracelang.diagnostics.codes import CODES
from tracelang.plan.breaking import Version, breaking, diluted
from tracelang.plan.changes import Sign, changes
from tracelang.plan.compile import compile, located
from tracelang.plan.places import Places

HERE = Path(__file__).parent
DIFFS = snippets(HERE / "diff.txt")
BREAKS = snippets(HERE / "breaking.txt")


def parts(case: str) -> tuple[str, str, list[str]]:
    before, after, expected = f"{case}\n".split("---\n")
    return before, after, expected.splitlines()


def version(text: str) -> Version:
    resolution = located(text)
    assert resolution is not None
    return Version(compile(text), Places(resolution))


@pytest.mark.parametrize(("note", "case"), DIFFS, ids=[note for note, _ in DIFFS])
def test_changes(note: str, case: str) -> None:
    before, after, expected = parts(case)
    assert [str(change) for change in changes(compile(before), compile(after))] == expected


@pytest.mark.parametrize(("note", "case"), BREAKS, ids=[note for note, _ in BREAKS])
def test_breaking(note: str, case: str) -> None:
    before, after, expected = parts(case)
    found = breaking(version(before), version(after))
    assert [f"{one.code} {one.location.split(':')[1]}: {one.message}" for one in found] == expected
    assert all(one.code in CODES and one.severity == "error" and one.help and one.secondary for one in found)


@pytest.mark.parametrize(
    ("before", "after", "again"),
    [
        ("preserve prior", "", "preserve prior"),
        ('preserve prior "x"', 'preserve prior "y"', 'preserve prior "x"'),
        ('preserve prior "x", "y"', 'preserve prior "y"', 'preserve prior "x", …'),
        ('preserve prior "x", "y" weight 2', 'preserve prior "x", "y"', 'preserve prior "x", … weight 2'),
    ],
)
def test_what_is_asked_for_again_is_a_statement(before: str, after: str, again: str) -> None:
    found = breaking(version(f'erase "a" method uce {before}'), version(f'erase "a" method uce {after}'))
    assert [one.help.removesuffix(" or more") for one in found] == [f"write `{again}`"]


def test_every_code_is_tried() -> None:
    used = {line.split()[0] for _, case in BREAKS for line in parts(case)[2]}
    assert used == {code for code in CODES if "TL410" <= code <= "TL425"} | {"TL434"}


TEXTS = [text for _, case in DIFFS for text in parts(case)[:2]]


def test_no_change_means_one_digest_and_back_again_turns_the_signs() -> None:
    turned: dict[Sign, Sign] = {"+": "-", "-": "+", "~": "~"}
    plans = [compile(text) for text in TEXTS]
    for before, after in product(plans, plans):
        there, back = changes(before, after), changes(after, before)
        assert (not there) == (before.digest == after.digest)
        if not any(one.part == "expect" for one in there):
            mirrored = (replace(one, sign=turned[one.sign], before=one.after, after=one.before) for one in back)
            assert Counter(mirrored) == Counter(there)


def test_the_same_recipe_promises_no_less() -> None:
    for text in TEXTS:
        assert not breaking(version(text), version(text))


def test_a_plan_file_has_no_places_and_the_same_findings() -> None:
    before, after, _ = parts(dict(BREAKS)["a preserve gone"])
    found = breaking(Version(compile(before), None), version(after))
    assert [one.code for one in found] == ["TL416"] and not found[0].secondary


@pytest.mark.parametrize("text", sorted({text for _, case in BREAKS for text in parts(case)[:2]}))
def test_a_recipe_holds_its_own_promises(text: str) -> None:
    assert not breaking(version(text), version(text))


def test_what_promises_no_less_twice_over_promises_no_less() -> None:
    versions = [version(text) for text in sorted({text for _, case in BREAKS for text in parts(case)[:2]})]
    rows = [{i for i, after in enumerate(versions) if not breaking(before, after)} for before in versions]
    assert all(rows[i] <= row for row in rows for i in row)
    assert len(versions) < sum(map(len, rows)) < len(versions) ** 2 / 2


def test_a_pair_that_is_erased_apart_is_told_to_be_erased_together() -> None:
    found = breaking(version('erase "cat" & "dog"'), version('erase "cat"'))
    assert [one.help for one in found] == ['write `erase "cat" & "dog"`', 'write `preserve "dog"`']


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('names "a"', 'names "a", "b"', ["1 name more"]),
        ('names "a" templates "{}"', 'names "a", "b" templates "{}", "a {}"', ["1 name and 1 template more"]),
        ('names "a" probes "p"', 'names "a" probes "p", "q"', []),
        ('names "a", "b"', 'names "a", "b"', []),
    ],
)
def test_more_texts_over_no_more_samples_are_a_note(before: str, after: str, told: list[str]) -> None:
    rest = 'erase x preserve "y" expect over 200 samples { shown(x) <= 5% }'
    older, newer = (version(f"concept x {{ {texts} }} {rest}") for texts in (before, after))
    found = diluted(older, newer)
    assert [one.message.partition(": ")[2] for one in found] == told and not breaking(older, newer)
    assert all((one.code, one.severity) == ("TL426", "note") for one in found)
    more = version(f"concept x {{ {after} }} {rest.replace('200', '400')}")
    assert diluted(older, more) == []


def test_probes_dilute_what_is_measured_of_probes() -> None:
    older, newer = (
        version(f'concept x {{ names "a" probes {texts} }} erase x preserve "y" expect {{ probed(x) <= 5% }}')
        for texts in ('"p"', '"p", "q"')
    )
    assert [one.code for one in diluted(older, newer)] == ["TL426"]
