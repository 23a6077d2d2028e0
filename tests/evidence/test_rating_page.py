"""The page that raters click through, in a real browser: what it saves is a sheet that is taken."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.evidence.chromium import Page, browser, find
from tests.evidence.sample import QUOTES, SCRIPT
from tracelang.evidence.rating.key import Asked, Exported, Key
from tracelang.evidence.rating.page import page as written
from tracelang.evidence.rating.sheets import read

CHROMIUM = find()
MISSING = "no Chromium here: the page for raters was NOT opened in a browser"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason=MISSING)]
if CHROMIUM is None:
    warnings.warn(MISSING, stacklevel=1)
WORDS = ("dog", SCRIPT, QUOTES)
NAMES = ("1.png", "2.png", "3.png")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    (tmp_path / "pictures").mkdir()
    for name in NAMES:
        Image.new("RGB", (64, 64), "teal").save(tmp_path / "pictures" / name)
    (tmp_path / "index.html").write_text(written(NAMES, WORDS, True), "utf-8")
    assert CHROMIUM is not None
    with browser(CHROMIUM) as opened:
        opened.open((tmp_path / "index.html").as_uri())
        opened.ask(
            "window.saved = []; URL.createObjectURL = blob => { blob.text().then(t => saved.push(t)); return '#' };"
            "window.box = (i, k) => document.querySelectorAll('fieldset')[i].querySelectorAll('input')[k]"
        )
        yield opened


def test_what_is_clicked_is_saved_as_a_sheet_that_is_taken(page: Page, tmp_path: Path) -> None:
    assert (
        page.ask("document.title") == "Pictures to judge"
        and page.ask("document.querySelectorAll('script').length") == 1
    )
    assert page.ask("[...document.images].every(i => i.complete && i.naturalWidth === 64)")
    assert page.ask("document.querySelector('output').textContent") == "0 of 3 answered"
    for i, k in ((0, 0), (0, 2), (1, 1), (1, 3)):  # the last takes back the one before: none is alone
        page.ask(f"box({i}, {k}).click()")
    page.ask("document.querySelector('button').click()")
    page.ask("new Promise(done => setTimeout(done, 100))")
    assert page.ask("saved.length") == 0  # the third has no answer yet
    page.ask("box(2, 1).click()")
    page.ask("document.querySelector('button').click()")
    page.ask("new Promise(done => setTimeout(done, 100))")
    (tmp_path / "sheet.csv").write_text(page.ask("saved[0]"), "utf-8")
    asked = tuple(Asked(concept=f"c{i}", word=word) for i, word in enumerate(WORDS))
    shown = tuple(Exported(name=name, unit="u", row=0, side="base", sha256="0" * 64) for name in NAMES)
    (found,) = read([tmp_path / "sheet.csv"], Key(run="0" * 64, seed=0, asked=asked, pictures=shown))
    assert found == {"1.png": {"c0", "c2"}, "2.png": frozenset(), "3.png": {"c1"}}


def test_sensitive_pictures_are_blurred_until_looked_at(page: Page) -> None:
    blur = "getComputedStyle(document.images[0]).filter.includes('blur')"
    assert page.ask(blur) is True
    page.ask("document.images[0].focus()")
    assert page.ask(blur) is False
