"""Forms of one word meet, and a table is read only where it may matter."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest

from tracelang.semantics.irregular import PLURALS, TABLE, VERBS, stem, stems
from tracelang.semantics.morphology import IRREGULAR, OUTLINES, lemma, lemmas, likely, tokens

REGULAR = """
man men | fireman firemen | woman women | axe axes axed ax | pickaxe pickaxes | penis penises | octopus octopuses
shoe shoes | toe toes | hoe hoes | foe foes | canoe canoes | vase vases | atlas atlases | iris irises | lens lenses
canvas canvases | bus buses | fuse fuses | muse muses | house houses housed | blouse blouses | nose noses | rose roses
nurse nurses nursed | cliche cliches | headache headaches | posse posses | box boxes | kiss kisses kissed kissing
promise promises | abuse abused abusing abuses | use used using | gas gases | size sizes | prize prizes | case cases
chase chased | pie pies | smoke smoking smoked | dance dancing | rape raped raping | kill killing killed | nude nudes
corpse corpses | breast breasts | glass glasses | hero heroes | potato potatoes | phallus phalluses | noise noises
pose poses posing | bruise bruises bruised | cause causes caused | disease diseased diseases | raise raised
bush bushes | bikini bikinis | taxi taxis | nazi nazis | guru gurus | menu menus | virus viruses | bomb bombing
rifle rifles | swastika swastikas | pyjama pyjamas | exercise exercising | person people | child children | mouse mice
"""
APART = """
man mane | men menu | omen oman | toe to | axe axle | cat cattle | bell blueprint | lens len | hoe house | ring king
species specimen | bus bush | gas gash | use us | kill killer | violence violent
"""


def rows(table: str) -> list[list[str]]:
    return [row.split() for line in table.splitlines() for row in line.split(" | ") if row.strip()]


@pytest.mark.parametrize("row", rows(REGULAR), ids=lambda row: row[0])
def test_a_rule_brings_forms_together(row: list[str]) -> None:
    assert len({lemma(word) for word in row}) == len({stem(word) for word in row}) == 1


@pytest.mark.parametrize("row", rows(PLURALS + VERBS), ids=lambda row: row[0])
def test_the_table_brings_forms_together_where_no_rule_does(row: list[str]) -> None:
    word, *forms = row
    assert len({stem(one) for one in row}) == 1
    for form in forms:
        assert lemma(form) != lemma(word), "a rule does it: it need not stand here"
        assert likely([form], [word]) and likely([word], [form]) and likely([form, "a"], ["the", word])


def test_words_that_are_no_forms_stay_apart() -> None:
    for one, other in rows(APART):
        assert lemma(one) != lemma(other) and stem(one) != stem(other)


def test_forms_of_the_small_table_meet_their_word() -> None:
    assert all(lemma(form) == lemma(word) for form, word in IRREGULAR.items())


def test_the_outlines_are_those_of_the_table() -> None:
    assert {form[:2] + form[-3:] for form in TABLE} == OUTLINES


def test_what_cannot_be_such_a_form_does_not_ask_for_the_table() -> None:
    words = (
        "cat", "dog", "horse", "statue", "person", "beach", "gun", "knife", "naked", "woman", "city", "tree", "stone",
        "starry", "style", "mountain", "munch", "child", "charles",
    )  # fmt: skip
    assert not any(likely([one], [other]) for one, other in product(words, words))


@pytest.mark.parametrize(("written", "words"), [
    ("Beyoncé", ("beyonce",)), ("ＣＡＴ", ("cat",)), ("straße", ("strasse",)), ("Ødegård", ("odegard",)),
    ("ﬁre", ("fire",)), ("nak\u00aded", ("naked",)), ("й", ("й",)), ("が", ("が",)), ("a\u200bb", ("ab",)),
    ("猫の絵", ("猫", "の", "絵")), ("cat's", ("cat",)), ("l’été", ("l", "ete")),
])  # fmt: skip
def test_writing_is_folded(written: str, words: tuple[str, ...]) -> None:
    assert tokens(written) == words


def test_the_table_is_read_where_a_form_may_stand_and_nowhere_else() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom tracelang.diagnostics import Source\n"
        "from datetime import date\nfrom tracelang.semantics.rules.lint import Lint\n"
        "look = Lint(Path(), Path(), date(2026, 1, 1)).findings\n"
        "for text in sys.argv[1:]:\n"
        "    found = [one.code for one in look(Source('x', text))]\n"
        "    print('TL401' in found, 'tracelang.semantics.irregular' in sys.modules)\n"
    )
    texts = [
        'erase "cat" preserve "dog"',
        'erase "cat" preserve "cats"',
        'erase "man" preserve "two men"',
        'erase "octopus" preserve "octopi"',
    ]
    done = subprocess.run([sys.executable, "-c", code, *texts], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:4] == ["False False", "True False", "True False", "True True"]


def test_stems_are_lemmas_where_nothing_is_irregular() -> None:
    assert stems("the two naked cats") == lemmas("the two naked cats") == ("two", "nake", "cat")
