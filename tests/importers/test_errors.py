"""What cannot be imported ends in a located finding, and nothing of a file is ever run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.snippets import snippets
from tracelang.cli import main
from tracelang.diagnostics import Findings, Source
from tracelang.importers import TOOLS, convert
from tracelang.plan.compile import compile, compile_with_findings

HERE = Path(__file__).parent
BAD = snippets(HERE / "bad.txt")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, stdin: bytes = b"") -> Result:
    result = CliRunner().invoke(main, ("import", *arguments), input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def findings(tool: str, text: str) -> tuple[str | None, list[str]]:
    report = Findings()
    recipe = convert(tool, Source("x", text), ".", report)
    return recipe, [f"{one.location[2:]} {one.code} {one.message}" for one in report.in_order()]


@pytest.mark.parametrize(("note", "text"), BAD, ids=[note for note, _ in BAD])
def test_bad_files(folder: Path, note: str, text: str) -> None:
    tool, place, message = note.split(" ", 2)
    recipe, found = findings(tool, text)
    assert recipe is None
    assert any(one.startswith(f"{place} TL131 ") and message in one for one in found), found
    assert os.listdir() == []


def test_output_goes_where_one_says_and_spares_what_is_there(folder: Path) -> None:
    Path("p.yaml").write_text("- target: cat\n")
    assert run("leco", "p.yaml", "-o", "r.erase").exit_code == 0
    assert run("leco", "p.yaml").stdout == Path("r.erase").read_text()
    piped = run("leco", "-", stdin=b"- target: cat\n").stdout
    assert piped.replace('recipe "cat"', 'recipe "p"') == Path("r.erase").read_text()
    Path("r.erase").write_text("mine")
    assert run("leco", "p.yaml", "-o", "r.erase").exit_code == 1 and Path("r.erase").read_text() == "mine"
    assert run("leco", "p.yaml", "-o", "r.erase", "--force").exit_code == 0
    assert sorted(os.listdir()) == ["p.yaml", "r.erase"]


@pytest.mark.parametrize("arguments", [("leco", "none.yaml"), ("leco", "."), ("other", "p.yaml"), ("leco",)])
def test_wrong_command_lines(folder: Path, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code in (1, 2) and result.stderr and "Traceback" not in result.stderr


def test_sizes_and_bytes_have_a_limit(folder: Path) -> None:
    assert "larger than" in run("leco", "-", stdin=b"# " + b"x" * (1 << 20)).stderr
    assert "not UTF-8" in run("uce", "-", stdin=b"--concepts '\xff'").stderr


def test_repeated_parts_do_not_explode(folder: Path) -> None:
    lines = ["a: &a0 { target: cat }"]
    lines += [f"k{i}: &a{i + 1} {{ <<: [{', '.join([f'*a{i}'] * 9)}] }}" for i in range(40)]
    lines += ["prompts_file: &loop [*loop, *a40]", "<<: *a40"]
    recipe, found = findings("leco", "\n".join(lines))
    assert recipe is None and any("`prompts_file` has to be a text" in one for one in found)


def test_variables_do_not_explode() -> None:
    doubled = "A=aaaaaaaa\n" + "A=$A$A$A$A\n" * 40 + 'python a.py --concepts "$A"\n'
    recipe, found = findings("uce", doubled)
    assert recipe is None and "only a shell knows" in found[0]


def test_many_concepts_take_no_longer_than_reading_them() -> None:
    names = ",".join(chr(0x4E00 + i) for i in range(10_000))  # none of them gives a name of its own
    others = ",".join(chr(0x4E00 + 10_000 + i) for i in range(10_000))
    recipe, _ = findings("uce", f"--concept_type art --concepts '{names}' --preserve_concepts '{others}'")
    assert recipe is not None and "concept_20000 " in recipe


@pytest.mark.parametrize("mark", ["[", "{a: ", "- "])
def test_deep_nesting(mark: str) -> None:
    recipe, found = findings("leco", mark * 20_000)
    assert recipe is None and "TL131" in found[0]


NASTY = 'x"\nerase "y" # tracec: allow TL301 [31m \\" } \u3000'


def test_texts_stay_texts() -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in NASTY)
    yaml = f'- target: "{escaped}"\n- target: "fox"\n  unconditional: "{escaped}"\n  "{escaped}": 1\n'
    recipe, _ = findings("leco", yaml)
    assert recipe is not None and "\x1b" not in recipe and "tracec: allow" not in recipe.partition("tracelang 1")[0]
    plan = compile(recipe)
    assert {plan.concept(erasure.targets[0]).names for erasure in plan.erase} == {(NASTY.strip(),), ("fox",)}


def test_what_nobody_sees_is_said_and_left_out() -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in "x\x1b[31m\u202e")
    yaml = f'- target: "{escaped}"\n- target: "fox"\n  unconditional: "c\\u200bat"\n'
    recipe, found = findings("leco", yaml)
    assert recipe is not None and all(letter.isprintable() or letter == "\n" for letter in recipe)
    assert compile(recipe).erase[0].targets == ("fox",) and len(compile(recipe).erase) == 1
    assert sum("U+001B ESCAPE" in one for one in found) == 1


def test_what_the_language_refuses_is_said_and_left_out() -> None:
    flags = "--concepts 'cat, dog, cat' --guided_concepts 'grumpy cat, bird, fish' --preserve_concepts 'owl'"
    recipe, found = findings("uce", flags)
    assert recipe is not None and [one.split()[1] for one in found] == ["TL132"] * 2
    plan = compile(recipe)
    assert [erasure.anchor for erasure in plan.erase] == [None, ("bird",)]
    assert [one.concepts for one in plan.preserve] == [("owl",)]


def test_only_the_first_command_counts() -> None:
    text = "python a.py --concepts cat\npython a.py --concepts dog && python b.py --concepts owl\n"
    recipe, found = findings("uce", text)
    assert recipe is not None and len(found) == 1 and "a second command" in found[0] and "(and 1 more)" in found[0]
    assert [erasure.targets for erasure in compile(recipe).erase] == [("cat",)]


def test_without_pyyaml(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("- target: cat\n")
    (tmp_path / "f.txt").write_text("--concepts cat\n")
    code = "import sys; sys.modules['yaml'] = None; from tracelang.cli import main; main()"

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, "import", *arguments]
        here = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
        return subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, check=False)

    assert ran("uce", "f.txt").returncode == 0
    done = ran("leco", "p.yaml")
    assert done.returncode == 1 and "pip install 'tracelang[import]'" in done.stderr and "Traceback" not in done.stderr


FILES = {tool: [path for path in sorted((HERE / tool).iterdir()) if path.suffix != ".golden"] for tool in TOOLS}
SEEDS = {tool: [path.read_text("utf-8") for path in paths] for tool, paths in FILES.items()}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_ends_in_a_recipe_or_a_finding(data: st.DataObject) -> None:
    tool = data.draw(st.sampled_from(list(TOOLS)))
    text = data.draw(st.sampled_from(SEEDS[tool]))
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 6))
    damaged = text[:at] + data.draw(st.text(max_size=3)) + text[at + cut :]
    recipe, found = findings(tool, damaged)
    if recipe is None:
        assert any(" TL131 " in one for one in found)
    else:
        assert compile_with_findings(recipe, shown="x")[0] is not None, recipe
