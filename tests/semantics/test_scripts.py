"""What people write in their languages is compared by what it is; what only looks like another text is told."""

from __future__ import annotations

from pathlib import Path
from unicodedata import category, normalize

import pytest

from tracelang.confusables import ASCII_OF
from tracelang.diagnostics import Diagnostic, Findings, Source
from tracelang.plan.compile import compile_with_findings
from tracelang.syntax.lookalikes import words
from tracelang.syntax.parser import parse
from tracelang.syntax.text import foreign

NUDITY = "nud\u0456ty"
"""With a Cyrillic letter."""


def found(text: str, **options: object) -> list[Diagnostic]:
    return compile_with_findings(text, **options)[1]  # type: ignore[arg-type]


def codes(text: str) -> set[str]:
    return {one.code for one in found(text)} - {"TL403"}


def test_every_letter_of_the_table_is_looked_for() -> None:
    assert all(foreign(letter) for letter in ASCII_OF)
    assert not foreign("Ærøskøbing, année, Łódź, 猫, アニメ, 물고기, 🐶")


def test_the_table_leads_from_letters_of_other_scripts_to_ascii() -> None:
    assert len(ASCII_OF) > 200
    for letter, like in ASCII_OF.items():
        assert category(letter)[0] == "L" and normalize("NFKC", letter) == letter
        assert len(like) == 1 and like.isascii() and like.isalpha()
    assert {ASCII_OF[letter] for letter in "аеорсухі"} == set("aeopcyxi")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (NUDITY, "nudity"),
        ("a \u0441at", "cat"),
        ("Br\u0430d Pitt", "Brad"),
        ("\u039dike", "Nike"),
        ("к\u006fт", "кот"),
        ("\U0001d427\U0001d42e\U0001d41d\U0001d41e", "nude"),
        ("n\u1d1cde", "nude"),
        ("NUD\u0406TY", "NUDITY"),
    ],
)
def test_a_word_of_two_scripts_that_looks_like_one(text: str, meant: str) -> None:
    assert [one[3] for one in words(text)] == [meant]
    [finding] = [one for one in found(f'erase "{text}" preserve "x"') if one.code == "TL112"]
    assert f"`{meant}`" in finding.message and finding.severity == "warning"


@pytest.mark.parametrize(
    "text",
    ["рот", "сосна", "Μικρός", "Дженнифер Лоуренс", "T-рубашка", "iPhoneом", "VIPы", "α-helix", "5 μm", "ＮＨＫ",
     "Ægir", "ıssız", "Łódź", "année", "물고기", "アニメ風", "Z世代", "naïve café", "שלום", "مرحبا", "हिन्दी", "🐶",
     "x²"],
)  # fmt: skip
def test_what_is_written_in_its_script_is_what_it_is(text: str) -> None:
    assert not list(words(text))
    assert codes(f'erase "{text}" preserve "quite another thing"') == set()


def test_look_alikes_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text(f"gun\n{NUDITY}\n", "utf-8")
    (tmp_path / "l.csv").write_text(f"id,name\n1,{NUDITY}\n", "utf-8")
    for text, place in {
        f'erase "gun" preserve "x"  # {NUDITY}': "<recipe>:1:29",
        'erase "nud\\u{456}ty" preserve "x"': "<recipe>:1:8",
        'erase list "l.txt" preserve "x"': "<recipe>:1:7",
        'erase list "l.csv" column "name" preserve "x"': "<recipe>:1:7",
        f'concept c {{ names "gun" templates "{NUDITY} {{}}" }} erase c preserve "x"': "<recipe>:1:36",
    }.items():
        path = tmp_path / "r.erase"
        path.write_text(text, "utf-8")
        every = compile_with_findings(path)[1]
        places = [one.location.replace(str(path), "<recipe>") for one in every if one.code == "TL112"]
        assert places == [place], text
    given = found('param degree = 90% in 0%..100% erase "x" degree param.degree', params={"d\u0435gree": "60%"})
    assert [one.code for one in given] == ["TL112", "TL208"]


def test_a_whole_word_of_another_script_that_looks_like_one_of_the_recipe() -> None:
    cop = "\u0441\u043e\u0440"  # Russian for rubbish
    assert [meant for *_, meant in words(f"a {cop}", frozenset({"cop"}))] == ["cop"]
    assert not list(words(f"a {cop}", frozenset({"cup"}))) and not list(words(f"a {cop}"))
    report = Findings()
    parse(Source("r.erase", f'erase "Cop"\npreserve "a {cop}", "\u0430 dog", "\u0445\u043e\u0440"\n'), report)
    (found,) = report.findings
    assert (found.code, found.severity, found.location) == ("TL112", "warning", "r.erase:2:13")
    assert "the recipe has both" in found.message and "where both are meant" in (found.help or "")
    alone = Findings()
    parse(Source("r.erase", f'erase "dog"\npreserve "a {cop}"  # {cop}\n'), alone)
    assert not alone.findings


def test_a_look_alike_can_be_allowed() -> None:
    text = f'erase "{NUDITY}" # tracec: allow TL112 found in the logs\npreserve "x"'
    assert codes(text) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('erase "🐶" preserve "🐱", "!!"', set()),
        ('erase "C++" preserve "C#"', set()),
        ('erase "C++" preserve "a book on C++"', {"TL401"}),
        ('erase "dog 🐶" preserve "dog"', set()),
        ('erase "🐶" preserve "my 🐶"', {"TL401"}),
        ('erase "Disney" preserve "Disney+"', {"TL401"}),
        ('erase "Lego" preserve "Lego™ bricks"', {"TL401"}),
        ('erase "水墨画" preserve "水墨画の猫"', {"TL401"}),
        ('erase "日本" preserve "本日", "日々の本"', set()),
        ('erase "Королёв" preserve "Сергей Королев"', {"TL401"}),
        ('erase "ano" preserve "año"', {"TL401"}),
        ('erase "ﾋﾟｶﾁｭｳ" preserve "ピカチュウ"', {"TL301"}),
    ],
)
def test_texts_are_compared_by_what_they_are(text: str, expected: set[str]) -> None:
    assert codes(text) == expected


@pytest.mark.parametrize(
    ("gone", "kept"),
    [("Spongebob", "SpongeBob"), ("Arnold Böcklin", "Arnold Bocklin"), ("Edouard Manet", "Édouard Manet")],
)
def test_case_and_accents_are_folded_alike(gone: str, kept: str) -> None:
    group = f'group all = "dog", "{kept}"\nerase "{gone}"\npreserve all'
    assert codes(group) == {"TL301"}
    assert codes(f'{group} except "{gone}"') == set()
    assert codes(f'{group} except "{kept}"') == set()


def test_except_takes_out_every_spelling() -> None:
    text = 'group all = "dog", "Arnold Bocklin", "Arnold Böcklin"\nerase "ARNOLD BÖCKLIN"\npreserve all except "{}"'
    assert codes(text.format("Arnold Böcklin")) == set()


def test_a_name_that_is_not_in_the_set_is_met_with_the_nearest_one() -> None:
    [one] = found('group all = "Mickey", "SpongeBob" erase "x" preserve all except "Spongbob"')
    assert (one.code, one.help) == ("TL222", 'did you mean "SpongeBob"?')


def test_spellings_of_a_name_may_be_erased_together_in_one_way() -> None:
    assert codes('erase "cat", "Cat", "Böcklin", "Bocklin" preserve "dog"') == set()
    assert codes('erase "cat" erase "Cat" degree 50% preserve "dog"') == {"TL309"}
