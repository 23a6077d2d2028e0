"""`docs/extending.md` shows what is run: every block of code on it stands so in a test or an example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(?:python|toml)\n# (\S+)[^\n]*\n(.*?)^```$", TEXT, re.M | re.S)
RUN = {
    path: path.read_text("utf-8")
    for folder in (ROOT / "tests" / "extending", ROOT / "examples")
    for path in folder.rglob("*")
    if path.suffix in (".py", ".toml", ".txt")
}


def plain(text: str) -> str:
    """Without blank lines and the space around lines."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@pytest.mark.parametrize(("path", "code"), BLOCKS, ids=[path for path, _ in BLOCKS])
def test_what_the_page_shows_is_run(path: str, code: str) -> None:
    assert any(plain(code) in plain(text) for text in RUN.values()), path


def test_every_block_says_where_it_goes() -> None:
    assert len(BLOCKS) == len(re.findall(r"^```(?:python|toml)$", TEXT, re.M)) > 0


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tracelang|tests|examples)/[\w./]+)`", TEXT))))
def test_the_files_that_it_names_are_there(path: str) -> None:
    added = {path for path, _ in BLOCKS}
    assert (ROOT / path).exists() or path in added or ((ROOT / path).parent.exists() and (ROOT / path).suffix == "")


def test_every_kind_of_addition_has_a_section() -> None:
    rows = re.findall(r"^\| \[(?:an? )?([a-z ]+)\]\(#([\w-]+)\) \|", TEXT, re.M)
    titles = re.findall(r"^## (.*)$", TEXT, re.M)
    assert [anchor for _, anchor in rows] == [title.lower().replace(" ", "-") for title in titles]
