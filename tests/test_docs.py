"""The reference says what the code does: its recipes compile, its tables are those of the code."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.reference import HEAD, Row, code
from tests.reference import TABLES as DECLARED
from tests.reference import page as declared_page
from tracelang.diagnostics import Findings, Source
from tracelang.diagnostics.codes import CODES
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.plan.explain import window
from tracelang.plan.load import MAX_PLAN_BYTES
from tracelang.semantics import tables
from tracelang.semantics.expectations import SAMPLES
from tracelang.semantics.passes.steer import Steer
from tracelang.semantics.scope import collect
from tracelang.semantics.standard import method_names, prelude
from tracelang.semantics.values import PLACES, READS, ROLES
from tracelang.syntax.lexer import MAX_NESTING
from tracelang.syntax.parser import parse
from tracelang.syntax.read import MAX_LIST_BYTES, MAX_RECIPE_BYTES
from tracelang.syntax.tree import LANGUAGE_VERSION

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
REFERENCE = (ROOT / "docs" / "language.md").read_text("utf-8")


def blocks() -> Iterator[tuple[str, str, str]]:
    """Where each block of a recipe stands, what its fence says, and the recipe."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in re.finditer(r"^```(erase\S*(?: \S+)*)\n(.*?)^```$", text, re.M | re.S):
            yield f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}", match[1], match[2]


BLOCKS = list(blocks())


@pytest.mark.parametrize(("fence", "text"), [block[1:] for block in BLOCKS], ids=[block[0] for block in BLOCKS])
def test_recipes_in_the_pages(fence: str, text: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recipes" / "lists", tmp_path / "lists")
    recipe = tmp_path / "recipe.erase"
    recipe.write_text(text, "utf-8")
    plan, found = compile_with_findings(recipe, root=tmp_path)
    word, *codes = fence.split()
    assert word in ("erase", "erase-bad")
    assert (plan is None) == (word == "erase-bad"), [d.message for d in found]
    assert not codes or sorted({d.code for d in found}) == codes


def test_every_fence_is_known() -> None:
    opened = [line for page in PAGES for line in page.read_text("utf-8").splitlines() if line.startswith("```erase")]
    assert len(opened) == len(BLOCKS)


def anchors(page: Path) -> set[str]:
    """What a link into a page can name: its headings, as the hosts of repositories spell them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in link:
            continue
        path, _, part = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not part or part in anchors(target), link


def concepts() -> list[Row]:
    def templates(kind: str) -> tuple[str, ...]:
        return compile(f'concept c kind {kind} {{ names "x" }} erase c').concept("c").templates

    return [(code(kind), code(*(f'"{text}"' for text in templates(kind)))) for kind in tables.KINDS]


def windows() -> list[Row]:
    def meaning(name: str) -> str:
        step = compile(f'erase "x" method trace {{ steer.gate = {name} }}').method.passes[0]
        assert isinstance(step, Steer) and step.gate is not None
        return window(step.gate)

    return [(code(name), code(meaning(name))) for name in prelude().definitions["window"]]


def layers() -> list[Row]:
    sorts = {"reading": READS, "role": ROLES, "place": PLACES}
    return [(code(word), sort) for sort, words in sorts.items() for word in words]


def metrics() -> list[Row]:
    directions = {"<=": "at most", ">=": "at least", None: "either"}
    scales = {"share": "0% to 100%", "ratio": "at least 0", "score": "any number, without `%`"}
    return [
        (code(name), directions[one.comparison], one.subject, "yes" if one.images else "no", scales[one.scale])
        for name, one in tables.METRICS.items()
    ]


def header() -> list[Row]:
    words = {"text": "one text", "name": "one name", "names": "names"}
    return [(code(field), words[kind]) for field, kind in tables.HEADER.items()]


def limits() -> list[Row]:
    return [
        ("a recipe", f"{MAX_RECIPE_BYTES >> 20} MiB"),
        ("a list", f"{MAX_LIST_BYTES >> 20} MiB"),
        ("a plan file", f"{MAX_PLAN_BYTES >> 20} MiB"),
        ("brackets inside brackets", f"{MAX_NESTING}"),
        ("definitions that lean on one another", f"{tables.MAX_REFERENCES}"),
        ("a layer set, written out", f"{tables.MAX_SITES:,} parts"),
        ("a layer set's depth, written out", f"{tables.MAX_SITES_DEPTH}"),
        ("files that import one another", f"{tables.MAX_IMPORTS} deep"),
        ("members of a set with `&`", f"{tables.MAX_MEMBERS:,}"),
        ("`samples` of an expectation", f"{SAMPLES.high:,}"),
        ("models of a control", f"{tables.MAX_CONTROLS}"),
    ]


def afters() -> list[Row]:
    assert list(tables.AFTERS) == ["round", "merge", "adapter"]
    rounds = [(code(f"after round {to}"), means) for to, means in tables.ROUNDINGS.items()]
    return [*rounds, *((code(f"after {how} 50%"), tables.AFTERS[how]) for how in ("merge", "adapter"))]


def library() -> list[Row]:
    """What each file of the standard library defines, by sort, in its order."""
    rows = []
    for path in sorted((ROOT / "recipes" / "std").glob("*.erase")):
        report = Findings()
        file = parse(Source(path.name, path.read_text("utf-8")), report)
        assert file is not None
        scope = collect(file, None, report)
        sorts = {"concept": "concepts", "window": "windows", "layers": "layer sets"}
        found = [f"{sorts.get(sort, sort)} {code(*names)}" for sort, names in scope.definitions.items() if names]
        rows.append((code(f"std/{path.name}"), "; ".join(found)))
    return [row for row in rows if "prelude" not in row[0]]


TABLES: dict[str, Callable[[], list[Row]]] = {
    "library": library,
    "header": header,
    "kinds": concepts,
    "windows": windows,
    "layers": layers,
    "metrics": metrics,
    "attacks": lambda: [(code(name),) for name in tables.ATTACKS],
    "afters": afters,
    "suites": lambda: [(code(name), what) for name, what in tables.SUITES.items()],
    "limits": limits,
    "codes": lambda: [(code(name), meaning) for name, meaning in CODES.items()],
}


def test_what_passes_and_terms_declare_is_in_the_reference() -> None:
    assert declared_page(REFERENCE) == REFERENCE, "run python -m tests.reference"
    assert all(len(re.findall(HEAD.format(name), REFERENCE, re.M)) == 1 for name in DECLARED)


@pytest.mark.parametrize("name", TABLES)
def test_table(name: str) -> None:
    """The first columns are the code's; what follows explains and is free."""
    expected = TABLES[name]()
    written = re.findall(HEAD.format(name), REFERENCE, re.M)
    assert len(written) == 1
    cells = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in written[0][1].splitlines()]
    assert [line[: len(expected[0])] for line in cells] == expected


def test_other_numbers_in_the_text() -> None:
    assert f"`over {tables.DEFAULT_SAMPLES} samples seed {tables.DEFAULT_SEED}`" in REFERENCE
    assert f"without a `method`\nstatement that is `{tables.DEFAULT_METHOD}`" in REFERENCE
    methods = code(*method_names()[:-1]), code(method_names()[-1])
    assert " and ".join(methods) + " come with the compiler" in " ".join(REFERENCE.split())
    assert all(code(word) in REFERENCE for word in tables.FAMILIES)
    assert all(code(word) in REFERENCE for word in tables.THREATS)
    assert f"`tracelang {LANGUAGE_VERSION}` names the version" in REFERENCE
