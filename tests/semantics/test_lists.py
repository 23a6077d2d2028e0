"""Lists mean what they say: a CSV is what Python's `csv` reads from it, or there is a finding at its line."""

from __future__ import annotations

import csv
import io
import random
import re
from pathlib import Path
from time import process_time

import pytest

from tracelang.cli import main
from tracelang.diagnostics import Diagnostic, Findings, Source
from tracelang.diagnostics.formats import FORMATS, render
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.plan.types import Plan
from tracelang.semantics.columns import cells
from tracelang.syntax import tree
from tracelang.syntax.parser import parse

CELLS = ["cat", "a dog", "a, b", 'say "x"', "two\nlines", "", " x ", "#tag", "5", "a;b", "na\u00efve", "l1\r\nl2"]


def taken(text: str) -> tuple[tuple[str, ...] | None, list[Diagnostic]]:
    """The column `name` of a CSV."""
    file = parse(Source("r.erase", 'erase list "l.csv" column "name"'), Findings())
    assert file is not None and isinstance(file.statements[0], tree.Erase)
    node = file.statements[0].set
    assert isinstance(node, tree.ListFile) and node.column is not None
    report = Findings()
    return cells(Source("l.csv", text), node, node.column, report), report.findings


def wanted(text: str, comments: bool) -> list[str]:
    """What Python's `csv` reads in that column, line breaks as spaces, with or without what looks like a comment.

    `csv` tells no comment from a quoted cell that begins like one.
    """
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    rows = [row for row in rows if comments or not re.match(r"\s*#(\s|#|$)", row[0])]
    if not rows or not text.strip():
        return []
    at = [cell.strip() for cell in rows[0]].index("name")
    return [re.sub(r"\s*\n\s*", " ", row[at] if at < len(row) else "").strip() for row in rows[1:]]


def written(chance: random.Random, between: float) -> str:
    """A right CSV of random cells; as often as `between`, a comment or a blank line stands before a row."""
    width = chance.randint(1, 4)
    head = ["name", *("id", "note", "x")[: width - 1]]
    chance.shuffle(head)
    out = io.StringIO()
    end = chance.choice(["\n", "\r\n"])
    quoting = chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(out, lineterminator=end, quoting=quoting)
    for row in [head, *([chance.choice(CELLS) for _ in head] for _ in range(chance.randint(0, 6)))]:
        if chance.random() < between:
            out.write(chance.choice(["# a note, with a comma", "", "# 3,cat"]) + end)
        writer.writerow(row)
    return out.getvalue()


def damaged(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    match chance.randrange(6):
        case 0:
            return text[:at] + chance.choice(['"', ",", "\n", ";", "\t", "\r", '""', ',"', "\n\n"]) + text[at:]
        case 1:
            return text[:at] + text[at + 1 :]
        case 2:
            return text[:at]
        case 3:
            return text.replace(",", ";")
        case 4:
            return text.replace('"', chance.choice(["", "'", '\\"']))
        case _:
            return text.replace("name", chance.choice(["Name", "name,name", "", '"name', " name "]), 1)


@pytest.mark.parametrize("seed", range(10))
def test_every_cell_is_that_of_csv_or_there_is_a_finding(seed: int) -> None:
    chance = random.Random(seed)
    clean = refused = 0
    for i in range(400):
        text = written(chance, 0 if i % 3 else 0.2)  # a quote in a comment is one for `csv`
        for _ in range(i % 3):
            text = damaged(chance, text)
        words, found = taken(text)
        assert all(one.primary.span.source.path in ("l.csv", "r.erase") for one in found)
        if words is None:
            refused += 1
            assert any(one.severity == "error" for one in found)
            continue
        clean += 1
        same = wanted(text, False)
        if list(words) != [cell for cell in same if cell]:
            same = wanted(text, True)
        assert list(words) == [cell for cell in same if cell], text
        told = any("has no `name`" in one.message for one in found)
        assert ("" in same) == told or any(not line.strip() for line in text.splitlines()), text
    assert clean > 100 and refused > 50


@pytest.mark.parametrize("seed", range(3))
def test_a_right_csv_is_never_refused(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        text = written(chance, 0.2)
        words, found = taken(text)
        unclear = re.search(r"^#tag", text, re.M)  # it may be a comment
        assert (words is None) == bool(unclear), text
        assert words is not None or {one.code for one in found} == {"TL226"}


TORN = "id,name\n1,Tom Hanks\n2,Robert Downey, Jr.\n3\n"
FAULTS: list[tuple[str, str, str | None, list[str]]] = [
    ("l.csv", "brand,registered\nNike,yes\n", None, ["error TL227 r.erase:1:7"]),
    ("l.tsv", "brand\tregistered\nNike\tyes\n", None, ["error TL227 r.erase:1:7"]),
    ("l.csv", TORN, "name", ["error TL226 l.csv:3:1", "error TL226 l.csv:4:1"]),
    ("l.csv", "# c\n\nid,name,name\n1,a,b\n", "name", ["error TL226 l.csv:3:1"]),
    ("l.csv", "id,name,x,x\n1,a,b,c\n", "name", []),
    ("l.csv", 'id,name\n1,"Tom\n2,Bob\n', "name", ["error TL226 l.csv:2:1"]),
    ("l.csv", 'id,name\n1,"Tom" Hanks\n2,Bob\n', "name", ["error TL226 l.csv:2:1"]),
    ("l.csv", 'id,name\n1,"Tom \\"T\\" Hanks"\n', "name", ["error TL226 l.csv:2:1"]),
    ("l.csv", "id;name\n1;Tom\n", "name", ["error TL218 r.erase:1:27"]),
    ("l.csv", "1,Tom\n2,Bob\n", "name", ["error TL218 r.erase:1:27"]),
    ("l.csv", "id,name\n1,Tom\n2,\n3, \n", "name", ["warning TL228 r.erase:1:7"]),
    ("l.csv", 'id,name\n1, "Tom"\n', "name", ["warning TL228 r.erase:1:7"]),
    ("l.csv", "name,id\n#metoo,1\ncat,2\n", "name", ["error TL226 l.csv:2:1"]),
    ("l.csv", 'name,id\n"#metoo",1\n# cat,2\n#\n##### x,y\n', "name", []),
    ("l.csv", "id,name\n1,#metoo\n", "name", []),
    ("l.csv", "id,name\n#1,a,b\n#x\n", "name", ["error TL226 l.csv:2:1", "error TL226 l.csv:3:1"]),
    ("l.csv", "#id,name\n1,a\n", "name", ["error TL218 r.erase:1:27", "error TL226 l.csv:1:1"]),
    ("l.csv", "id,name\n1,a\0b\n", "name", ["error TL109 l.csv:2:4"]),
    ("l.csv", "id,name\n1,a\rb\n", "name", ["error TL109 l.csv:2:4"]),
    ("l.csv", "id,name\n1,a\x85b\n", "name", ["warning TL109 r.erase:1:7"]),
    ("l.csv", "id,name\n1\x1b,ab\n", "name", ["error TL109 l.csv:2:2"]),
    ("l.csv", "id,name\n1\u200b,ab\n", "name", []),
    ("l.csv", "id,name\n1,ab\n\ufeff2,cd\n", "name", []),
    ("l.csv", "id,name\n1,ab\n2,\ufeffcd\n", "name", ["warning TL111 r.erase:1:7"]),
    ("l.csv", "\ufeffname\ncat\n", "name", []),
    ("l.csv", "name\n" + "x" * 200_000 + "\n", "name", ["error TL226 l.csv:2:1"]),
    ("l.csv", "", "name", ["error TL218 r.erase:1:12"]),
    ("l.csv", "name\n", "name", ["error TL218 r.erase:1:12"]),
    ("l.txt", "Brad Pitt  # actor\nTom\n", None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", '"Tom Hanks",\nTom\n', None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", "'Tom Hanks'\nTom\n", None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", "Tom;\nBob\n", None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", "Tom\tactor\nBob\n", None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", "- Tom\n- Bob\n", None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", "names:\n  - Tom\n", None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", '[\n  "Tom",\n  "Bob"\n]\n', None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", '["Tom", "Bob"]\n', None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", '{"a": "Tom"}\n', None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", "brand,registered\nNike,yes\n", None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", "brand;registered\nNike;yes\n", None, ["warning TL228 r.erase:1:7"]),
    ("l.txt", "Tom\n\ufeffBob\n", None, ["error TL111 l.txt:2:1"]),
    ("l.txt", "Tom\n# a\rBob\n", None, ["error TL109 l.txt:2:4"]),
    ("l.txt", '\ufeffO\'Brien\nDowney, Jr.\nWeird "Al" Yankovic\nC# 7 #8\nStar Wars: A New Hope\n[x]\n', None, []),
    ("l.txt", '# "quoted",\tcomment\n  # - another\nTom\n', None, []),
]


@pytest.mark.parametrize(("path", "text", "column", "places"), FAULTS, ids=[repr(one[1])[:30] for one in FAULTS])
def test_what_does_not_fit_is_found_where_it_stands(
    path: str, text: str, column: str | None, places: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(path).write_bytes(text.encode())
    named = f' column "{column}"' if column else ""
    Path("r.erase").write_text(f'erase list "{path}"{named}\npreserve "zz"\n')
    plan, found = compile_with_findings(Path("r.erase"))
    assert [f"{one.severity} {one.code} {one.location}" for one in found] == places
    assert (plan is None) == any(one.severity == "error" for one in found)
    for one in found:  # the line of the list is shown, and what to do
        spans = [one.primary.span, *(label.span for label in one.secondary)]
        assert one.help and (not text or any(span.source.path == path for span in spans) or "is empty" in one.message)
        for style in FORMATS:
            brief = style in ("concise", "github") and one.severity == "error"  # they show where it is to be mended
            assert path in render(style, [one]) or brief
    if found and plan is not None:  # every warning can be allowed at the list
        code = found[0].code
        Path("r.erase").write_text(f'erase list "{path}"{named}  # tracec: allow {code} so\npreserve "zz"\n')
        assert not compile_with_findings(Path("r.erase"))[1]


def test_a_template_list_is_no_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text("{}\n{} in a garden\na photo of {}\n")
    assert not compile_with_findings(
        'templates t = list "t.txt"\nconcept c { names "x" templates t }\nerase c preserve "y"'
    )[1]


def test_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def help(text: str, column: str = "") -> str:
        Path("l.csv").write_text(text)
        return compile_with_findings(f'erase list "l.csv"{column}')[1][0].help

    assert help("# c\nid,prompt\n1,x\n") == 'name its column: `list "l.csv" column "id"`; it has "id", "prompt"'
    assert help("id;prompt\n1;x\n", ' column "prompt"') == "its cells seem to be parted by `;`: save it with commas"
    assert help("id\tprompt\n1\tx\n", ' column "prompt"') == "its cells seem to be parted by tabs: save it with commas"
    assert help("id,prompt\n1,x\n", ' column "promt"') == "did you mean `prompt`?"
    assert help("id,prompt\n1,x\n", ' column "zzz"') == "known here: id, prompt"


def test_a_file_says_a_fault_once_and_many_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text("id,name\n" + "1,a,b\n" * 1000)
    text = 'erase list "l.csv" column "name"\nexpect { shown(list "l.csv" column "name") <= 5% }'
    plan, found = compile_with_findings(text)
    assert plan is None and len(found) == 20 and found[-1].note == "980 more of these follow in this file"
    Path("l.txt").write_text('"a",\n' * 1000)
    found = [one for one in compile_with_findings('erase list "l.txt" preserve "x"')[1] if one.code != "TL230"]
    assert (
        len(found) == 1
        and found[0].message.startswith("l.txt:1: ")
        and found[0].secondary[0].text == "here (and 999 more)"
    )


def test_a_real_benchmark_is_read_right_and_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As I2P and what was made from it: many columns, quoted line breaks, `#` in cells, characters of all sorts."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(0)
    odd = ["a list:\n# not a comment\n\nend", "a cat\r\nin a hat", '"quoted", twice', "\ufffd lost", "#1 fan", "a;b\tc"]
    prompts = [f"prompt {i}, {chance.choice(odd)} {i}" if i % 7 == 0 else f"prompt {i}, a photo" for i in range(4703)]
    head = ["lexica_url", "prompt", *(f"c{i}" for i in range(18))]
    with open("i2p.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([head, *(["https://x", prompt, *"abcdefghijklmnopqr"] for prompt in prompts)])
    start = process_time()
    plan = compile('concept c { names "x" probes list "i2p.csv" column "prompt" }\nerase c')
    assert process_time() - start < 5
    [concept] = [one for one in plan.concepts if one.name == "c"]
    assert concept.probes == tuple(re.sub(r"\s*\n\s*", " ", prompt).strip() for prompt in prompts)


def test_lint_shows_the_line_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text(TORN)
    Path("r.erase").write_text('tracelang 1\nerase list "l.csv" column "name"\npreserve "x"\n')
    run = CliRunner().invoke(main, ["lint", "--format", "concise", "r.erase"])
    assert run.exit_code == 1 and run.output.splitlines() == [
        "l.csv:3:1: error[TL226]: this row has 3 cells, the first one 2",
        "l.csv:4:1: error[TL226]: this row has 1 cell, the first one 2",
    ]
    run = CliRunner().invoke(main, ["lint", "--format", "github", "r.erase"])
    assert "file=l.csv,line=3" in run.output


# Rows that count.

BENCHMARK = """,type,prompt,name,evaluation_seed
0,erase,"a portrait, by hand",Kim Example,1
1,retain,a sketch,Lee Sample,1
2,erase,a sketch,,2
3, erase ,a sketch,Ann Other,2
4,"two
lines",a sketch,Two,3
5,,a sketch,None,3
6,Erase,a sketch,Capital,3
"""


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("erase", ["Ann Other", "Kim Example"]),
        (" erase ", ["Ann Other", "Kim Example"]),
        ("retain", ["Lee Sample"]),
        ("two lines", ["Two"]),
        ("", ["None"]),
        ("Erase", ["Capital"]),
    ],
)
def test_only_the_rows_of_where_count(
    where: str, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text(BENCHMARK, "utf-8")
    recipe = f'erase list "l.csv" column "name" where "type" is "{where}"'
    plan, findings = compile_with_findings(recipe)
    assert plan is not None and sorted(one.targets[0] for one in plan.erase) == names
    # The digest is that of the texts, wherever they stand, and a row without a cell is said where it counts.
    assert plan.digest == compile(f"erase {', '.join(map(chr(34).__add__, [name + chr(34) for name in names]))}").digest
    assert ("this row has no `name`" in " ".join(one.message for one in findings)) == (where.strip() == "erase")


def test_one_file_gives_what_is_erased_and_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text("type,name\nerase,cat\nretain,dog\nprobe,kitten\n", "utf-8")
    rows = 'list "l.csv" column "name" where "type" is'
    recipe = f'concept c {{ names {rows} "erase" probes {rows} "probe" }}\nerase c\npreserve {rows} "retain"'
    plan = compile(recipe)
    assert plan.concept("c").names == ("cat",) and plan.concept("c").probes == ("kitten",)
    assert [one.concepts for one in plan.preserve] == [("dog",)]
    erased = f'group all = list "l.csv" column "name"\nerase {rows} "erase"\npreserve all except ({rows} "erase")'
    assert {one.concepts for one in compile(erased).preserve} == {("dog",), ("kitten",)}


@pytest.mark.parametrize(
    ("where", "place", "message", "help"),
    [
        ('"typ" is "erase"', "1:40", "the list has no column `typ`", "did you mean `type`?"),
        ('"type" is "erased"', "1:50", 'no row has "erased" in the column `type`', "did you mean `erase`?"),
        ('"type" is "1"', "1:50", 'no row has "1" in the column `type`', "known here: erase, retain"),
    ],
)
def test_a_filter_that_meets_no_row_is_said(
    where: str, place: str, message: str, help: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text("type,name\nerase,cat\nretain,dog\n", "utf-8")
    plan, findings = compile_with_findings(f'erase list "l.csv" column "name" where {where}', shown="r.erase")
    found = next(one for one in findings if one.code == "TL218")
    assert plan is None and (found.location, found.message, found.help) == (f"r.erase:{place}", message, help)


def test_rows_that_do_not_count_have_to_be_whole_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text("type,name\nerase,cat\nretain,dog, brown\n", "utf-8")
    assert compile_with_findings('erase list "l.csv" column "name" where "type" is "erase"')[1][0].code == "TL226"


BOTH = ["l.csv:3: 2,cat", "a.txt:3: cat"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('erase list "a.txt" preserve "dog", "cat"', ["a.txt:3: cat"]),
        ('group g = list "l.csv" column "name" where "id" is "2" erase g preserve list "a.txt"', BOTH),
        ('erase list "a.txt" degree 50% erase "cat"', ["a.txt:3: cat"]),
        ('erase "dog" preserve list "b.txt"', ["b.txt:1: a dog"]),
        ('group other = list "a.txt" erase "cat" preserve "cat"', []),
    ],
)
def test_a_finding_about_a_text_of_a_list_marks_its_line(
    text: str, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("lynx\n# cat\ncat\n", "utf-8")
    Path("b.txt").write_text("a dog\n", "utf-8")
    Path("l.csv").write_text("id,name\n1,cat\n2,cat\n", "utf-8")
    found = compile_with_findings(text, shown="r.erase")[1]
    (one,) = (one for one in found if one.code in ("TL301", "TL309", "TL401"))
    spans = [label.span for label in one.secondary if label.span.source.path != "r.erase"]
    marked = [f"{at.source.path}:{at.source.position(at.start)[0]}: {at.text}" for at in spans]
    assert marked == lines


def test_texts_that_stand_more_than_once_are_counted_once_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of I2P's 4,703 rows 4,461 are different: a share over them is not one over its rows."""
    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text("prompt,id\n" + "".join(f"thing {i % 1200},{i}\n" for i in range(1500)))

    def found() -> tuple[Plan | None, list[Diagnostic]]:
        plan, every = compile_with_findings('concept c { names "x" probes list "l.csv" column "prompt" } erase c')
        return plan, [one for one in every if one.code == "TL230"]

    plan, (told,) = found()
    assert plan is not None and len(plan.concept("c").probes) == 1200
    assert told.severity == "note" and "1,500 texts, and 1,200 different ones" in told.message
    Path("l.csv").write_text("prompt\na\nb\n")
    assert found()[1] == []
