"""What is said about a mistake is what to write: each remedy is followed here, and mends it."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

import tracelang
from tracelang.cli import main
from tracelang.diagnostics import Source
from tracelang.plan.compile import compile_with_findings
from tracelang.semantics.rules.lint import Lint

X = '\nerase "x" preserve "dog"'
REMEDIES = [
    ('expect { attack(ring_a_bell, "x") <= 10% }' + X, 'the kind stands last: `attack("x", ring_a_bell)`'),
    ('erase "x" degree 80 percent', "write `80%`"),
    ('erase "x" degree 80', "write `80%`"),
    ('erase "x" expect { shown("x") <= 5 }', "write `5%`"),
    ("window w = 0.2..1" + X, "write `20%..100%`"),
    ("window w = 20%..1" + X, "write `20%..100%`"),
    ("window w = 20..80%" + X, "write `20%..80%`"),
    ("window w = 20%-100%" + X, "write `20%..100%`"),
    ("method trace { steer.push.during = 20%-100% }" + X, "write `20%..100%`"),
    ("window w = snr -3..2" + X, "no unit is called `snr`: did you mean `logsnr`?"),
    ('recipe "r" { review_by = 2027-02-28 }' + X, 'write `"2027-02-28"`'),
    ('concept van-gogh-like { names "x" }' + X, "a name has no hyphens: write `van_gogh_like`"),
    ('concept c { names: "x" } erase c', 'write `names "…"`, without a mark'),
    ('erase "x" preserve "y" weight 1e999999999', "write `1e30` or less"),
    ('erase "x" preserve "y" weight 1e308', "write `1e30` or less"),
    ('import "std/../methods/trace.erase" as t' + X, "methods need no import: `method trace`"),
    ('import "std/anchors.erase" as a erase "x" toward b.clothed', "did you mean `a.clothed`?"),
    ('param n = 100 in 1..200 erase "x" expect over param.n samples { shown("x") <= 5% }',
     "a param cannot stand here: write the number itself"),
    ("param n = 1% in 0%..5% window w = param.n..100%" + X, "a param cannot stand here: write the number itself"),
    ('erase list ""', "name the list's file"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "help"), REMEDIES, ids=[text[:40] for text, _ in REMEDIES])
def test_the_remedy(text: str, help: str) -> None:
    plan, found = compile_with_findings(text)
    assert plan is None
    assert help in [one.help for one in found if one.severity == "error"]


def test_a_day_that_there_is_not() -> None:
    _, [found, *_] = compile_with_findings('recipe "r" { review_by = "2027-02-29" }' + X)
    assert found.message == "there is no such day"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('expect { shown("x") < 5%  kept("dog") > 90% }', 'expect { shown("x") <= 5%  kept("dog") >= 90% }'),
        ('recipe "r" { review_by = 2999-02-28 }', 'recipe "r" { review_by = "2999-02-28" }'),
        ("method trace { steer.push.during = 20%-100% }", "method trace { steer.push.during = 20%..100% }"),
        ('concept c { names: "y" } erase c', 'concept c { names "y" } erase c'),
        ('erase "y" degree 80 percent', 'erase "y" degree 80%'),
    ],
)
def test_the_fix(text: str, after: str, tmp_path: Path) -> None:
    lint = Lint(tmp_path, tmp_path, date(2026, 11, 23))
    mended, found = lint.mended(Source("r", f"tracelang 1\n{text}{X}\n"))
    assert mended.text == f"tracelang 1\n{after}{X}\n"
    assert not [one for one in found if one.severity == "error"]


def test_links_in_a_circle(tmp_path: Path) -> None:
    os.symlink("b.txt", tmp_path / "a.txt")
    os.symlink("a.txt", tmp_path / "b.txt")
    (tmp_path / "r.erase").write_text('erase list "a.txt"')
    _, [found] = compile_with_findings(tmp_path / "r.erase", root=tmp_path)
    assert (found.code, found.message) == ("TL216", "this leads to a circle of links")


def test_a_code_that_there_is_not() -> None:
    found = Lint(Path(), Path(), date(2026, 11, 23)).findings(
        Source("r", 'tracelang 1\nerase "x" preserve "dog" # tracec: allow TL999 why')
    )
    assert "there is no code TL999" in [one.message for one in found]


@pytest.mark.parametrize("comment", ["Tracec: allow TL401 why", "tracec allow TL401 why", "; tracec allow TL401 why"])
def test_what_is_nearly_an_allowance(comment: str) -> None:
    text = f'tracelang 1\nerase "x"\npreserve "dog" # {comment}'
    assert "TL505" in {one.code for one in Lint(Path(), Path(), date(2026, 11, 23)).findings(Source("r", text))}


def test_an_allowance_above_a_statement_speaks_for_all_of_it() -> None:
    text = 'erase "cat"\n# tracec: allow TL401 they are food\npreserve "dog",\n  "cat food",\n  "cat treats"\n'
    assert compile_with_findings(text)[1] == []
    assert len(compile_with_findings(text + 'preserve "cat toy"\n')[1]) == 1


def test_an_allowance_holds_where_its_file_is_included(tmp_path: Path) -> None:
    policy = 'tracelang 1\nerase "cat"\npreserve "cat food"  # tracec: allow TL401 it is food\n'
    (tmp_path / "policy.erase").write_text(policy)
    (tmp_path / "r.erase").write_text('tracelang 1\ninclude "policy.erase"\nerase "gun"\n')
    lint = Lint(tmp_path, tmp_path, date(2026, 11, 23), path=tmp_path / "r.erase")
    found = lint.findings(Source("r.erase", (tmp_path / "r.erase").read_text()))
    assert {one.code for one in found} <= {"TL407"}
    (tmp_path / "policy.erase").write_text(policy.partition("  #")[0] + "\n")
    found = lint.findings(Source("r.erase", (tmp_path / "r.erase").read_text()))
    assert "TL401" in {one.code for one in found}


def test_a_file_that_many_include_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "policy.erase").write_text('tracelang 1\nerase "cat" "dog"\nerase "z" degree 140%\n')
    for i in range(3):
        (tmp_path / f"r{i}.erase").write_text('tracelang 1\ninclude "policy.erase"\nerase "gun" degree 200%\n')
    shown = CliRunner().invoke(main, ["lint", str(tmp_path), "--format", "concise"])
    lines = [line.removeprefix(str(tmp_path)) for line in shown.output.splitlines()]
    assert sum("policy.erase" in line for line in lines) == 2
    assert sum("TL213" in line and "/r" in line for line in lines) == 3


@pytest.mark.parametrize(
    "text",
    [
        'erase list "l.txt"\npreserve list "l.txt"',
        'erase list "l.txt"\nerase list "l.txt" degree 50%',
        'erase "x"\nexpect { shown(list "l.txt") <= 5% }',
        'erase "x"\npreserve list "l.txt"\npreserve list "l.txt" weight 2',
    ],
)
def test_one_mistake_is_one_finding(text: str, tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("".join(f"thing {i}\n" for i in range(1000)))
    (tmp_path / "r.erase").write_text(text)
    _, found = compile_with_findings(tmp_path / "r.erase", root=tmp_path)
    [error] = [one for one in found if one.severity == "error"]
    assert error.message.endswith("(and 999 more)")


def test_a_plan_is_no_recipe(tmp_path: Path) -> None:
    plan = tracelang.compile('erase "x" preserve "dog"')
    _, [found] = compile_with_findings(
        plan.to_json() if hasattr(plan, "to_json") else '{"digest": 1, "format_version": 2}'
    )
    assert found.message == "this is a plan, no recipe" and "tracec apply" in found.help
    _, [found] = compile_with_findings('{"a": [1]}')
    assert found.message == "this is JSON, no recipe"


def test_numbers_of_python_as_params() -> None:
    text = 'param d = 90% in 0%..100% param n = 2 in 1..3 erase "x" degree param.d preserve "dog" weight param.n'
    written = tracelang.compile(text, params={"d": "60%", "n": "3"})
    assert tracelang.compile(text, params={"d": 0.6, "n": 3}).digest == written.digest
    _, [found] = compile_with_findings(text, params={"d": "60"})
    assert found.help == "--set d=60%"


def test_a_weight_that_was_lowered_is_one_finding(tmp_path: Path) -> None:
    for name, weight in (("before", 0.5), ("after", 0.2)):
        text = f'erase "x"\npreserve "a", "b", "c", "d" weight {weight}'
        (tmp_path / f"{name}.erase").write_text(text)
    words = ["breaking", str(tmp_path / "after.erase"), "--against", str(tmp_path / "before.erase")]
    shown = CliRunner().invoke(main, [*words, "--format", "concise"])
    assert shown.exit_code == 1 and shown.output.count("TL417") == 1 and "(and 3 more)" in shown.output


def test_what_is_known_here_is_what_fits_by_its_ending(tmp_path: Path) -> None:
    for name in ("gen.py", "link", "names.txt", "brands.csv", "own.lst", "other.erase"):
        (tmp_path / name).touch()

    def told(text: str) -> list[str]:
        found = compile_with_findings(text, shown="r.erase", root=tmp_path, folder=tmp_path)[1]
        return [one.help for one in found if one.severity == "error"]

    assert told('erase list "zzzzzzzz.txt"') == ["known here: brands.csv, names.txt"]
    assert told('erase list "zzzzzzzz.lst"') == ["known here: brands.csv, names.txt, own.lst"]
    assert told('import "zzzzzzzz.erase" as z erase "x"') == ["known here: other.erase"]
