"""The pages about the code: rooms as the import contract has them, words with one meaning, versions as they are."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter

import pytest

from tests.pages.reading import ARCHITECTURE, ROOT
from tracelang.evidence.schema import REPORT_VERSION
from tracelang.plan.types import FORMAT_VERSION

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text("utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
SOURCES = [path for top in ("tracelang", "backends") for path in sorted((ROOT / top).rglob("*.py"))]
CLASSES = Counter(
    node.name
    for path in SOURCES
    for node in ast.walk(ast.parse(path.read_text("utf-8")))
    if isinstance(node, ast.ClassDef)
)


def test_the_rooms_stand_in_the_order_of_their_imports() -> None:
    rooms = re.findall(r"^\| `tracelang/(\w+)` \|", ARCHITECTURE.read_text("utf-8"), re.M)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    found = [layer.removeprefix("tracelang.") for layer in reversed(layers)]
    assert rooms == [room for room in found if (ROOT / "tracelang" / room).is_dir()]
    folders = {path.parent.name for path in (ROOT / "tracelang").glob("*/__init__.py")}
    assert folders == set(rooms)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:tracelang|tests|recipes)/[\w./]+)`", ARCHITECTURE.read_text())))
)
def test_what_the_page_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_a_word_has_one_meaning() -> None:
    words = [word for line in re.findall(r"^\| ([^|]+) \| [^|]+ \|$", GLOSSARY, re.M) for word in line.split(", ")]
    repeated = [word for word, times in Counter(words).items() if times > 1 and word != "word"]
    assert len(words) > 80 and not repeated


@pytest.mark.parametrize("word", ["Report", "Progress", "Panel", "Answer", "Judgement", "Presence", "Sample", "Strip"])
def test_a_word_of_evidence_names_one_thing(word: str) -> None:
    assert CLASSES[word] <= 1


@pytest.mark.parametrize("word", ["Shot", "Quarry", "Strike", "Struck", "Attacked", "Look", "Looks", "Sight", "Words"])
def test_a_word_that_went_is_gone(word: str) -> None:
    assert word not in CLASSES


def test_the_changelog_names_the_versions_that_are_written() -> None:
    assert f"**Plan format {FORMAT_VERSION}.**" in CHANGELOG
    assert f"those of format {REPORT_VERSION}" in CHANGELOG
