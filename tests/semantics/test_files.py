"""Recipes of several files: each folder below `files` is one, with `top.erase` as the recipe.

`bad` ones have every code and place in `expected.txt`; `good` ones mean the same as the one file `same.erase`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tracelang import CompileError
from tracelang.diagnostics import Findings
from tracelang.diagnostics.human import render
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.plan.explain import explain
from tracelang.semantics.paths import LIBRARY
from tracelang.semantics.resolve import resolve
from tracelang.syntax.parser import parse
from tracelang.syntax.read import MAX_RECIPE_BYTES, read

FILES = Path(__file__).parent / "files"
BAD = sorted(path for path in (FILES / "bad").iterdir())
GOOD = sorted(path for path in (FILES / "good").iterdir())


def found(folder: Path) -> list[str]:
    plan, findings = compile_with_findings(folder / "top.erase", root=folder)
    assert plan is None and render(findings)
    return [f"{one.code} {one.location.removeprefix(f'{folder}/')}" for one in findings]


@pytest.mark.parametrize("folder", BAD, ids=lambda path: path.name)
def test_bad_files(folder: Path) -> None:
    assert found(folder) == (folder / "expected.txt").read_text("utf-8").splitlines()


@pytest.mark.parametrize("folder", GOOD, ids=lambda path: path.name)
def test_files_mean_the_same_as_one(folder: Path) -> None:
    plan = compile(folder / "top.erase", root=folder)
    assert explain(plan) == explain(compile(folder / "same.erase", root=folder))
    assert compile(explain(plan)).digest == plan.digest


@pytest.mark.parametrize("path", sorted(Path(LIBRARY, "std").glob("*.erase")), ids=lambda path: path.stem)
def test_every_file_of_the_library_can_be_imported(path: Path) -> None:
    assert compile(f'import "std/{path.name}" as n erase "x"').sources[1].path == f"std/{path.name}"


def test_every_file_is_pinned_with_its_role() -> None:
    folder = FILES / "good" / "include"
    sources = compile(folder / "top.erase", root=FILES).sources
    assert [(one.path.removeprefix("good/include/"), one.role) for one in sources] == [
        ("top.erase", "recipe"),
        ("policy/minimum.erase", "include"),
        ("policy/words.erase", "include"),
        ("policy/words.txt", "list"),
    ]
    lists = compile(FILES / "good" / "lists_of_one_path" / "top.erase", root=FILES / "good").sources
    assert [one.path.removeprefix("lists_of_one_path/") for one in lists if one.role == "list"] == [
        "a/list.txt",
        "b/list.txt",
        "list.txt",
    ]


def test_the_form_of_no_file_reaches_the_digest(tmp_path: Path) -> None:
    shutil.copytree(FILES / "good" / "include", tmp_path, dirs_exist_ok=True)
    before = compile(tmp_path / "top.erase", root=tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_text("# a comment\n\n" + path.read_text("utf-8").replace("{", "{\n\n"), "utf-8")
    after = compile(tmp_path / "top.erase", root=tmp_path)
    assert after.digest == before.digest
    assert all(a.sha256 != b.sha256 for a, b in zip(after.sources, before.sources, strict=True))
    (tmp_path / "policy" / "words.txt").write_text("beer\n")
    assert compile(tmp_path / "top.erase", root=tmp_path).digest != before.digest


def test_the_order_of_statements_names_no_concept() -> None:
    folder = FILES / "good" / "lexical_scope"
    lines = (folder / "top.erase").read_text("utf-8").splitlines()
    digests = set()
    for turn in range(len(lines)):
        text = "\n".join(lines[turn:] + lines[:turn])
        digests.add(compile(text.replace('"a.erase"', f'"{folder.name}/a.erase"'), root=folder.parent).digest)
    assert len(digests) == 1


def test_neither_root_nor_place_names_a_concept(tmp_path: Path) -> None:
    folder = FILES / "good" / "two_meanings_are_two"
    shutil.copytree(folder, tmp_path / "elsewhere")
    digests = {compile(folder / "top.erase", root=root).digest for root in (folder, FILES)}
    digests.add(compile(tmp_path / "elsewhere" / "top.erase").digest)
    assert len(digests) == 1


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILES / "good")


@pytest.mark.parametrize(
    ("given", "degrees"),
    [
        ({}, [0.1, 0.7, 0.7]),
        ({"degree": "20%"}, [0.2, 0.7, 0.7]),
        ({"a.degree": "50%"}, [0.1, 0.5, 0.5]),
        ({"a.degree": "100%", "degree": "0%"}, [0, 1, 1]),
    ],
)
def test_params_of_imports_are_set_by_the_name_that_they_have_here(given: dict[str, str], degrees: list[float]) -> None:
    assert [one.degree for one in compile(Path("params/top.erase"), params=given).erase] == degrees


@pytest.mark.parametrize(
    ("given", "code"),
    [({"a.degree": "49%"}, "TL213"), ({"b.degree": "1%"}, "TL208"), ({"a.b.degree": "1%"}, "TL208")],
)
def test_what_cannot_be_set(given: dict[str, str], code: str) -> None:
    with pytest.raises(CompileError) as error:
        compile(Path("params/top.erase"), params=given)
    assert [one.code for one in error.value.diagnostics] == [code]


def test_a_param_has_one_value_whatever_leads_to_it() -> None:
    text = 'import "params/a.erase" as a from "params/a.erase" import degree erase "x" degree param.degree'
    root = Path()
    assert compile(text, root=root, params={"a.degree": "60%"}).erase[0].degree == 0.6
    with pytest.raises(CompileError, match="is set twice"):
        compile(text, root=root, params={"a.degree": "60%", "degree": "60%"})


def test_no_link_leads_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.erase").write_text('concept c { names "c" }\n')
    (root / "link.erase").symlink_to(tmp_path / "secret.erase")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop.erase").symlink_to(root / "loop.erase")
    for path in ("link.erase", "folder/secret.erase"):
        (root / "top.erase").write_text(f'import "{path}" as s\nerase s.c\n')
        assert found(root) == ["TL217 top.erase:1:8"]
        assert compile(root / "top.erase", root=tmp_path).erase
    (root / "top.erase").write_text('import "loop.erase" as s\nerase s.c\n')
    assert found(root)[0].split()[0] in ("TL223", "TL217", "TL108")
    (root / "top.erase").write_text(f'import "{"x" * 5000}" as s import "a\\u{{ff}}b" as t include "" erase s.c\n')
    assert {one.split()[0] for one in found(root)} <= {"TL223", "TL108"}
    (root / "top.erase").write_text('import "a\\u{0}b" as t erase t.c\n')
    assert found(root) == ["TL109 top.erase:1:10"]


def test_a_file_that_is_no_utf_8_is_located_in_itself(tmp_path: Path) -> None:
    (tmp_path / "a.erase").write_bytes(b"window w = 1%..2%\n# \xff\n")
    (tmp_path / "top.erase").write_text('import "a.erase" as a import "a.erase" as b erase "x"')
    assert found(tmp_path) == ["TL105 a.erase:2:3"]


def test_a_circle_is_shown_whole() -> None:
    folder = FILES / "bad" / "circle"
    (one,) = compile_with_findings(folder / "top.erase", root=folder)[1]
    assert one.note.replace(f"{folder}/", "") == "a.erase -> sub/b.erase -> a.erase"
    (one,) = compile_with_findings(FILES / "bad" / "deep" / "top.erase", root=FILES)[1]
    assert one.note.count("->") == 33


def test_a_resolution_names_every_file_of_the_recipe() -> None:
    report = Findings()
    path = Path("include_twice/top.erase")
    source = read(path, str(path), MAX_RECIPE_BYTES, report)
    assert source is not None
    file = parse(source.source, report)
    assert file is not None
    resolution = resolve(file, report, folder=path.parent, root=Path())
    assert resolution is not None and resolution.files[0] is file
    assert [one.source.path.rpartition("/")[2] for one in resolution.files] == [
        "top.erase",
        "c.erase",
        "a.erase",
        "b.erase",
    ]


@pytest.mark.parametrize("preserved", ["cat", "cats"], ids=["an error", "a warning"])
def test_what_files_make_of_each_other_names_the_statements_that_bring_them(tmp_path: Path, preserved: str) -> None:
    texts = {
        "company.erase": 'erase "cat" param d = 50% in 0%..100%',
        "team.erase": 'include "company.erase"',
        "top.erase": f'from "company.erase" import d include "team.erase" preserve "{preserved}"',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(f"tracelang 1 {text}", "utf-8")
    found = compile_with_findings(tmp_path / "top.erase", root=tmp_path)[1]
    (clash,) = (one for one in found if one.code in ("TL301", "TL401"))
    labels = [(Path(one.span.source.path).name, one.span.text, one.text) for one in clash.secondary]
    assert labels == [
        ("company.erase", '"cat"', "erased here"),
        ("top.erase", '"team.erase"', "brought in here"),
        ("team.erase", '"company.erase"', "brought in here"),
    ]


def test_what_one_file_makes_of_itself_needs_no_way(tmp_path: Path) -> None:
    (tmp_path / "other.erase").write_text('tracelang 1 erase "cat" preserve "cat"', "utf-8")
    (tmp_path / "top.erase").write_text('tracelang 1 include "other.erase"', "utf-8")
    (clash,) = compile_with_findings(tmp_path / "top.erase", root=tmp_path)[1]
    assert [one.text for one in clash.secondary] == ["erased here"]
