"""The report in a real browser: nothing leaves the file, nothing in it runs, everything can be reached by keyboard."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evidence import sample
from tests.evidence.chromium import Page, browser, find
from tracelang.evidence.report.html import write_html

CHROMIUM = find()
MISSING = "no Chromium here: the report was NOT opened in a browser"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason=MISSING)]
if CHROMIUM is None:
    warnings.warn(MISSING, stacklevel=1)  # a skip alone is a letter that nobody reads
PRESSED = "[...document.querySelectorAll('.pair.sensitive')].map(b => b.getAttribute('aria-pressed') === 'true')"
BLURRED = "[...document.querySelectorAll('.pair.sensitive img')].map(i => getComputedStyle(i).filter.includes('blur'))"
REACHABLE = "a[href], button, summary, [tabindex]"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("report")
    sample.draw(sample.full(), folder)
    write_html(sample.full(), folder, "all")
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    assert CHROMIUM is not None
    with browser(CHROMIUM) as page:
        yield page


@pytest.fixture
def page(chromium: Page, url: str) -> Page:
    chromium.events.clear()
    chromium.open(url)
    return chromium


def test_nothing_is_requested_and_nothing_complains(page, url):
    page.ask("document.querySelectorAll('details').forEach(d => d.open = true); window.scrollTo(0, 1e6)")
    page.ask("new Promise(done => setTimeout(done, 500))")
    asked = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
    assert [one for one in asked if not one.startswith("data:")] == [url]
    complaints = [e for e in page.events if e["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled")]
    complaints += [e for e in page.events if e["method"] == "Log.entryAdded"]
    assert not complaints


def test_the_control_finds_what_the_test_above_looks_for(page, url, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('x'); nothing()</script>")
    page.events.clear()
    page.open(bad.as_uri())
    page.ask("new Promise(done => setTimeout(done, 500))")
    assert any("127.0.0.1" in json.dumps(e) for e in page.events if e["method"] == "Network.requestWillBeSent")
    assert {"Runtime.exceptionThrown", "Runtime.consoleAPICalled"} <= {e["method"] for e in page.events}


def test_every_picture_is_there(page):
    page.ask("window.scrollTo(0, 1e6)")
    page.ask("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    page.ask("Promise.all([...document.querySelectorAll('img')].map(i => i.decode()))")
    widths = page.ask("[...document.querySelectorAll('img')].map(i => i.naturalWidth)")
    assert widths == [96] * 16


def test_what_a_prompt_holds_stays_text(page):
    assert page.ask("document.title").startswith("FAIL: ")
    assert page.ask("document.scripts.length") == 1
    assert page.ask("document.querySelectorAll('img[onerror]').length") == 0
    prompts = page.ask("[...document.querySelectorAll('figcaption .prompt')].map(p => p.textContent)")
    assert sample.SCRIPT in prompts and sample.QUOTES in prompts
    assert "a cat⟨U+202E⟩ gnp.exe⟨U+2066⟩ ⟨U+001B⟩[31mred⟨U+0007⟩ zero⟨U+200B⟩width" in prompts


def test_the_policy_stops_what_would_still_run(page):
    page.ask("document.body.insertAdjacentHTML('beforeend', '<p id=x onclick=\"document.title=1\">x</p>')")
    page.ask("document.getElementById('x').click()")
    page.ask("{ const s = document.createElement('script'); s.text = 'document.title=2'; document.body.append(s) }")
    assert page.ask("fetch('data:,x').then(() => 'sent', () => 'stopped')") == "stopped"
    assert page.ask("document.title").startswith("FAIL: ")


def test_sensitive_pictures_are_blurred_until_clicked(page):
    assert page.ask(PRESSED) == [False, False] and page.ask(BLURRED) == [True] * 4
    page.click(".pair.sensitive")
    assert page.ask(PRESSED) == [True, False] and page.ask(BLURRED) == [False, False, True, True]
    page.click(".pair.sensitive")
    assert page.ask(BLURRED) == [True] * 4


@pytest.mark.parametrize("key", ["Enter", " "])
def test_the_blur_works_by_keyboard(page, key):
    while not page.ask("document.activeElement.matches('.pair.sensitive')"):
        page.press("Tab")
    page.press(key)
    assert page.ask(BLURRED) == [False, False, True, True]
    page.press(key)
    assert page.ask(BLURRED) == [True] * 4


def test_one_switch_shows_all_and_knows_when_all_are_shown(page):
    state = "document.getElementById('reveal').getAttribute('aria-pressed')"
    page.click("#reveal")
    assert page.ask(BLURRED) == [False] * 4 and page.ask(state) == "true"
    page.click(".pair.sensitive")
    assert page.ask(state) == "false"
    page.click("#reveal")
    assert page.ask(BLURRED) == [False] * 4
    page.click("#reveal")
    assert page.ask(BLURRED) == [True] * 4


def test_everything_that_can_be_used_is_reached_by_tab(page):
    page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
    wanted = page.ask(f"document.querySelectorAll('{REACHABLE}').length")
    assert wanted > 20
    page.ask("window.reached = new Set()")
    for _ in range(wanted):
        page.press("Tab")
        page.ask("void window.reached.add(document.activeElement)")
    missed = f"[...document.querySelectorAll('{REACHABLE}')].filter(e => !window.reached.has(e)).map(e => e.outerHTML)"
    assert page.ask(missed) == []


@pytest.mark.parametrize("width", [1400, 1280, 1240, 1100, 941, 800, 720, 390, 360])
def test_the_page_never_scrolls_sideways(page, width):
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    try:
        page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
        wide, room = page.ask("(({scrollWidth, clientWidth}) => [scrollWidth, clientWidth])(document.documentElement)")
        assert wide <= room  # a scroll bar takes some of the width
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


def test_no_figure_runs_into_the_column_beside_it(page):
    page.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    try:
        cells = "[...document.querySelectorAll('#attacks td, #controls td')]"
        assert page.ask(f"{cells}.length") > 20
        assert page.ask(f"{cells}.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)") == []
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(page, scheme):
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        ratios = page.ask(CONTRAST)
        assert len(ratios) > 10 and min(ratio for _, ratio in ratios) >= 4.5, sorted(ratios, key=lambda r: r[1])[:3]
    finally:
        page.call("Emulation.setEmulatedMedia", features=[])


CONTRAST = """(() => {
  const line = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => line(v / 255));
    return .2126 * r + .7152 * g + .0722 * b; };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const kinds = 'h1, h2, p, .small, .none, .badge, .what, summary, dt, .chart text, .errors li';
  const texts = [...document.querySelectorAll(kinds)];
  return texts.map(e => { const s = getComputedStyle(e), c = light(e.closest('svg') ? s.fill : s.color);
    return [e.outerHTML.slice(0, 80), (Math.max(c, ground) + .05) / (Math.min(c, ground) + .05)]; });
})()"""
