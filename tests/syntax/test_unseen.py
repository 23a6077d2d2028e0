"""What is unseen is not accepted, wherever it stands; what people write in their languages is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from unicodedata import category

import pytest
from click.testing import CliRunner

from tracelang.characters import HIDDEN
from tracelang.cli import main
from tracelang.diagnostics import Diagnostic, Findings, Source
from tracelang.diagnostics.formats import FORMATS, render
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.syntax.format import format_text
from tracelang.syntax.parser import parse
from tracelang.syntax.text import plain
from tracelang.syntax.unseen import faults

LEGAL = "\t\n"
SEEN_NOT = [
    chr(number)
    for number in range(sys.maxunicode + 1)
    if (category(chr(number)) in ("Cc", "Cf", "Zl", "Zp") or HIDDEN.match(chr(number)))
    and (number < 0xE0000 or number % 8 == 1)  # of 4,000 that are alike, some
    and not 0xE0200 <= number < 0xE0FF0
    and chr(number) not in LEGAL
]
"""Every control and format character, separator, filler, selector and tag."""

CODES = {"TL109", "TL110", "TL111"}
TEXTS: dict[str, str] = {
    "name": 'concept c {{\n  names "x", "{}"\n}}\nerase c',
    "probe": 'concept c {{ names "x"\n  probes "{}" }} erase c',
    "template": 'templates t = "{{}}",\n  "{} {{}}"\nerase "x"',
    "quoted text": 'preserve "dog"\nerase "{}"',
    "header": 'recipe "r" {{\n  summary = "{}"\n}}\nerase "x"',
    "recipe": 'recipe "{}" {{ }} erase "x"',
    "path": 'import "{}.erase" as x\nerase "x"',
    "list": 'erase list\n"{}"',
    "column": 'erase list "x" column "{}"',
    "glob": 'layers l = "{}"\nerase "x"',
    "comment": 'erase "x"\n  # {}\npreserve "y"',
    "comment behind": 'erase "x"  # a {}\n',
}
PLACES: dict[str, Callable[[str], str]] = {
    "start": lambda c: c + "ab",
    "middle": lambda c: f"a{c}b",
    "end": lambda c: "ab" + c,
    "alone": lambda c: c,
    "several": lambda c: f"ab {c}{c}{c} c",
}


def found(text: str) -> list[Diagnostic]:
    report = Findings()
    parse(Source("r.erase", text), report)
    return report.findings


def place_in(text: str, character: str) -> tuple[int, int]:
    at = text.index(character)
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def position(text: str, at: int) -> str:
    return f"{text.count(chr(10), 0, at) + 1}:{at - text.rfind(chr(10), 0, at)}"


def test_there_is_something_to_look_at() -> None:
    assert len(SEEN_NOT) > 240
    assert {category(character) for character in SEEN_NOT} == {"Cc", "Cf", "Zl", "Zp", "Mn", "Lo", "So", "Cn"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("where", TEXTS)
def test_every_character_is_found_where_it_stands(where: str, place: str) -> None:
    for character in SEEN_NOT:
        text = TEXTS[where].format(PLACES[place](character))
        if where.startswith("comment") and character == "\r" and place in ("end", "alone"):
            assert not found(text)  # CR LF
            continue
        [one] = found(text)
        assert (one.severity, one.location) == ("error", f"r.erase:{position(text, text.index(character))}")
        assert one.code in CODES


def test_the_formatter_leaves_such_a_file_alone() -> None:
    for character in SEEN_NOT:
        assert format_text(Source("r.erase", f'erase "x"   # a{character}b'), Findings()) is None
    kept = format_text(Source("r.erase", 'erase   "a\u00a0b"  # a\u00a0b'), Findings())
    assert kept == 'erase "a\u00a0b"  # a\u00a0b\n'


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("where", [where for where in TEXTS if not where.startswith("comment")])
def test_so_is_an_escape_for_it(where: str, place: str) -> None:
    for character in SEEN_NOT[:: 1 if where in ("name", "probe") else 7]:
        escape = f"\\u{{{ord(character):x}}}"
        text = TEXTS[where].format(PLACES[place](escape))
        start = text.index(escape)
        [one] = found(text)
        assert one.severity == "error" and one.location == f"r.erase:{position(text, start)}" and one.code in CODES
        assert one.primary.span.end - start == len(escape) * (3 if place == "several" else 1)


def test_outside_of_texts_it_has_no_meaning() -> None:
    for character in (c for c in SEEN_NOT if c != "\r"):
        for before, after in (("erase", '"x"'), ("", 'erase "x"'), ('erase "x"\n', ""), ("er", 'ase "x"')):
            text = before + character + after
            first = found(text)[0]
            at = text.index(character)
            assert (first.code, first.location) == ("TL104", f"r.erase:{position(text, at)}"), ascii(text)
            assert f"U+{ord(character):04X}" in first.help


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_prints_it(name: str) -> None:
    for character in SEEN_NOT[:: 1 if name in ("human", "concise") else 5]:
        shown = render(name, found(f'erase "a{character}b" # {character}'))
        assert character not in shown.replace("\r\n", ""), ascii(character)


@pytest.mark.parametrize("name", FORMATS)
def test_no_name_of_a_file_steers_what_shows_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for character in [c for c in SEEN_NOT if c != "\0"][::9] + list("\x1b\r\u202e\u200b\u3164\u2028"):
        path = Path(f"a{character}b.erase")
        path.write_text('erase "x" toward', "utf-8")
        run = CliRunner().invoke(main, ["lint", "--format", name, str(path)])
        assert run.exit_code == 1 and character not in run.output, ascii(character)
        run = CliRunner().invoke(main, ["fmt", "--check", str(path)])
        assert run.exit_code == 1 and character not in run.output
        path.unlink()


def test_no_param_hides_it(tmp_path: Path) -> None:
    text = 'param d = 60% in 0%..100%\nerase "x" degree param.d'
    (tmp_path / "r.erase").write_text(text)
    for character in SEEN_NOT:
        for value in (f"{character}50%", f"5{character}0%", f"50%{character}"):
            plan, findings = compile_with_findings(text, params={"d": value})
            at = value.index(character)
            assert plan is None and len(findings) == 1
            if findings[0].code != "TL212":  # a sign that is seen around a number
                assert findings[0].code in CODES and findings[0].location == f"--set:1:{at + 3}"
    for value in ("50%\n", "\t50%", "50%\x1c", "\x8550%", "50%\u3000", "\u200b50%"):
        run = CliRunner().invoke(main, ["lint", str(tmp_path / "r.erase"), "--set", f"d={value}"])
        assert run.exit_code == 1 and "--set" in run.output


@pytest.mark.parametrize("place", PLACES)
def test_no_list_hides_it(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipes = {"l.txt": 'erase list "l.txt"', "l.csv": 'erase list "l.csv" column "name"'}
    for character in SEEN_NOT[::4] + list("\r\x1b\x0b\x0c\x85\u2028\u2029\u202e\u200b\u00ad\ufeff\u3164"):
        said = PLACES[place](character)
        for path, lines in (
            ("l.txt", f"cat\n{said}\ndog\n"),
            ("l.txt", f"cat\n# {said}\ndog\n"),
            ("l.csv", f"id,name\n1,cat\n2,{said},\n".replace(",\n", "\n")),
            ("l.csv", f'name,id\n"cat",1\n"{said}",2\n'),
        ):
            Path(path).write_bytes(lines.encode())
            plan, findings = compile_with_findings(recipes[path], root=tmp_path)
            if character == "\r" and "\r\n" in lines and "\r" not in lines.replace("\r\n", ""):
                continue
            [one] = [one for one in findings if one.code in CODES]
            place_of_it = one.primary.span
            if path == "l.csv" and character > "\x7f" and one.code != "TL110":  # of a benchmark, perhaps
                assert plan is not None and one.severity == "warning" and one.message.startswith("l.csv:")
                [place_of_it] = [label.span for label in one.secondary]
            else:
                assert plan is None and one.severity == "error", ascii(lines)
            assert place_of_it.source.path == path
            assert place_of_it.source.position(place_of_it.start) == place_in(lines, character), ascii(lines)


ENDS = ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\n\r", "\r\r\n"]
LINES = ['erase "gun"  # weapons', 'erase "knife"  # too', 'concept c { names "a",', '  "b" }', "preserve c"]


@pytest.mark.parametrize("end", ["\r\n", *ENDS])
def test_every_reader_takes_the_same_for_a_line(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a line for some ends it for all, or is an error: no comment hides a statement."""
    monkeypatch.chdir(tmp_path)
    Path("l.txt").write_bytes(end.join(["# c", "cat", "dog", ""]).encode())
    Path("l.csv").write_bytes(end.join(["# c", "name,n", "cat,1", '"dog",2', ""]).encode())
    lists = ['erase list "l.txt"', 'erase list "l.csv" column "name"']
    plans = [compile_with_findings(end.join(LINES))[0], *(compile_with_findings(one)[0] for one in lists)]
    if end != "\r\n":  # as one line, the CSV has no such column
        assert plans == [None, None, None]
        return
    same = [compile("\n".join(LINES)).digest, *[compile('erase "cat", "dog"').digest] * 2]
    assert [plan and plan.digest for plan in plans] == same
    [one] = [one for one in found(end.join([*LINES, '"'])) if one.code == "TL103"]
    assert one.location == "r.erase:6:1"


def test_a_file_of_an_old_mac_is_one_finding() -> None:
    assert [f"{one.code} {one.location}" for one in found("\r".join(LINES * 50))] == ["TL109 r.erase:1:23"]


CLEAN = [
    "宮崎駿", "宮崎\u3000駿", "葛\U000e0100城", "한국어", "中文，字", "Владимир Высоцкий", "Ελληνικά", "עִבְרִית",
    "مُحَمَّد",
    "می\u200cخواهم", "کتاب\u200cها", "ه\u200d", "क्\u200dष", "श्री", "ന്\u200d", "ශ්\u200dරී", "র\u200d্যাব", "ಡಿಸೆಂಬರ್\u200c",
    "సాఫ్ట్\u200cవేర్",
    "ภาษาไทย", "ខ្មែរ", "བོད་ཡིག", "မြန်မာ", "ᠮᠣᠩᠭᠣᠯ\u180b", "ᠨᠠ\u180eᠠ", "Đặng Thái Sơn", "Zdzisław Beksiński",
    "İstanbul", "Edouard Mane\u0301t", "naïve", "straße", "O’Brien – “x” …", "10 €", "½ ≤ ∞", "∩\ufe00",
    "۝١", "\u0600١٢",
    "👨\u200d👩\u200d👧", "❤\ufe0f", "❤\ufe0f\u200d🔥", "🏳\ufe0f\u200d🌈", "👩🏽\u200d🚀", "🏃🏽\u200d♂\ufe0f",
    "🇯🇵", "1\ufe0f\u20e3",
    "©\ufe0f", "☺\ufe0e",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "🐻\u200d❄\ufe0f", "🙂\u200d↔\ufe0f", "⠓⠑⠀⠺", "\U0001fae9 tired",
]  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_what_people_write_is_no_fault(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    escaped = "".join(c if c.isascii() else f"\\u{{{ord(c):x}}}" for c in name)
    for text in (f'concept c {{ names "{name}" probes "x {name} y" }} erase c # {name}', f'erase "{escaped}"'):
        assert not found(text)
    Path("l.txt").write_text(f"# {name}\n{name}\nsome {name}\n", "utf-8")
    Path("l.csv").write_text(f"n,name\n1,{name}\n2,some {name}\n", "utf-8")
    for text in ('erase list "l.txt"\npreserve "x"', 'erase list "l.csv" column "name"\npreserve "x"'):
        plan, findings = compile_with_findings(text, root=tmp_path)
        assert plan is not None and not findings
    assert not compile_with_findings(f'erase "{name}"\npreserve "x"')[1]


def test_whatever_is_seen_is_no_fault() -> None:
    """Every letter, mark, number, sign and symbol that Unicode has, by itself and in a word."""
    for number in range(0x21, sys.maxunicode + 1):
        character = chr(number)
        if category(character)[0] in "LMNPS" and not HIDDEN.match(character) and character != "\ufffd":
            assert not list(faults(character)) and not list(faults(f"a{character}b")), ascii(character)


def test_the_first_look_passes_over_nothing() -> None:
    """`plain` knows without a table which characters the tables are needed for."""
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        if plain(character):
            assert not HIDDEN.match(character) and not list(faults(character)), ascii(character)
        elif character != "\r":
            assert not character.isprintable() or HIDDEN.match(character) or character == "\ufffd", ascii(character)
    assert plain("a\r\n\tb\n") and not plain("a\rb") and not plain("\r\r\n")


@pytest.mark.parametrize("character", ["\u00a0", "\u2009", "\u202f", "\u3000", "\ufffd", "\ue000", "\u0378"])
def test_what_may_be_meant_is_a_warning_that_can_be_allowed(character: str) -> None:
    text = f'erase "a{character}b"\npreserve "x"'
    plan, [one] = compile_with_findings(text)
    assert plan is not None and (one.severity, one.code, one.location) == ("warning", "TL112", "<recipe>:1:9")
    assert not compile_with_findings(text.replace("\n", "  # tracec: allow TL112 it is meant\n"))[1]
    assert not compile_with_findings(f'erase "ab" # a{character}b\npreserve "x"')[1]


def test_of_a_list_it_is_allowed_at_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l.txt").write_text("cat\na\u00a0b\nc\u00a0d\n", "utf-8")
    plan, [one] = compile_with_findings('erase list "l.txt"\npreserve "x"')
    assert plan is not None and one.code == "TL112" and one.message.startswith("l.txt:2: U+00A0 NO-BREAK SPACE")
    assert [label.span.source.position(label.span.start) for label in one.secondary] == [(2, 2)]
    assert not compile_with_findings('erase list "l.txt"  # tracec: allow TL112 it is so\npreserve "x"')[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('er\u0430se "x"', "`\u0430` in this word is U+0430 CYRILLIC SMALL LETTER A; write `erase`"),
        ('\u0440reserve "x"', "U+0440 CYRILLIC SMALL LETTER ER; write `preserve`"),
        ("erase c\u0430t", "U+0430 CYRILLIC SMALL LETTER A; write the whole word in Latin letters"),
        ("erase \u732b", "U+732B CJK UNIFIED IDEOGRAPH-732B; quote it"),
        ('erase\u00a0"x"', "U+00A0 NO-BREAK SPACE; write a space"),
        ('erase \u3000"x"', "U+3000 IDEOGRAPHIC SPACE; write a space"),
        ('erase\x00 "x"', "U+0000 NULL; remove it"),
        ('\ufefferase "x"', "U+FEFF ZERO WIDTH NO-BREAK SPACE; remove it"),
        ('erase "x" \u2603', "U+2603 SNOWMAN; quote it"),
    ],
)
def test_outside_of_texts_it_is_called_by_its_name(text: str, words: str) -> None:
    [one] = found(text)
    assert one.code == "TL104"
    for part in words.split("; "):
        assert part in f"{one.message}\n{one.help}"


def test_a_file_in_ascii_pays_nothing() -> None:
    """The tables of Unicode are not loaded for it, nor for a text with an escape that needs none."""
    import subprocess

    code = (
        "import sys; from tracelang.diagnostics import Findings, Source; from tracelang.syntax.parser import parse\n"
        "assert parse(Source('x', 'erase \"cat\\\\n\" # dog\\r\\n'), Findings())\n"
        "assert not {'unicodedata', 'tracelang.syntax.unseen'} & set(sys.modules)\n"
        "assert parse(Source('x', 'erase \"c\u00e1t\" # \u732b'), Findings())\n"
        "assert not {'tracelang.syntax.unseen', 'tracelang.characters'} & set(sys.modules)\n"
        "assert parse(Source('x', 'erase \"c\\\\u{e1}t\"'), Findings()) and 'tracelang.syntax.unseen' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
