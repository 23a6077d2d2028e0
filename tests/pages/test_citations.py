"""What code and tests cite of the pages exists, and the page of mathematics holds no section that nothing cites."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pages.reading import ROOT

PAGES = {path.name: path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")}
SOURCES = [
    path
    for folder in ("tracelang", "backends", "tests", "examples", "grammar")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".toml", ".lark") and path != Path(__file__)
]
SECTION = r"§\d+(?:\.\d+)?"
CITED = re.compile(rf"docs/([\w-]+\.md)((?:[\s,]*(?:and )?{SECTION})*)")
INTRODUCTORY = {"1", "1.1"}


def citations() -> dict[tuple[str, str], set[str]]:
    """Page and section, the empty one where a page is cited as a whole; by whom."""
    found: dict[tuple[str, str], set[str]] = {}
    for path in SOURCES:
        for page, sections in CITED.findall(flat(path.read_text("utf-8"))):
            for section in re.findall(SECTION, sections) or [""]:
                found.setdefault((page, section.lstrip("§")), set()).add(str(path.relative_to(ROOT)))
    return found


def flat(text: str) -> str:
    """In one line, without the marks of comments at the start of one."""
    return re.sub(r"\s*\n\s*(?:# )?", " ", text)


def numbered(page: str) -> set[str]:
    return set(re.findall(r"^##+ (\d+(?:\.\d+)?) ", PAGES[page], re.M))


CITATIONS = citations()


@pytest.mark.parametrize(("page", "section"), sorted(CITATIONS), ids=lambda value: value or "whole")
def test_what_is_cited_exists(page: str, section: str) -> None:
    assert page in PAGES, CITATIONS[page, section]
    assert not section or section in numbered(page), CITATIONS[page, section]


def test_every_section_of_the_mathematics_is_cited() -> None:
    cited = {section for page, section in CITATIONS if page == "methods.md"}
    parents = {section.split(".")[0] for section in cited}
    assert numbered("methods.md") - cited - parents - INTRODUCTORY == set()
    assert len(cited) > 15


def test_nothing_outside_of_the_repository_is_cited() -> None:
    """A page's name in capitals is a note of somebody, not a page; those at the top are meant."""
    at_the_top = {"README", "CHANGELOG", "CONTRIBUTING", "LICENSE"}
    for path in SOURCES:
        names = re.findall(r"\b([A-Z][A-Z0-9-]{3,})\.md\b", path.read_text("utf-8"))
        assert set(names) <= at_the_top, path


def test_sections_inside_the_page_exist() -> None:
    text = PAGES["methods.md"]
    assert set(re.findall(r"§(\d+(?:\.\d+)?)", text)) <= numbered("methods.md")
