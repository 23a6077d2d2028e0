"""The page of results says what was measured: every figure is read from the files of results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

import tracelang
from tests.benchmarks import page
from tests.pages.reading import README, ROOT, says
from tracelang.api import Applied

TEXT = README.read_text("utf-8")
RESULTS = ROOT / "tests" / "benchmarks" / "results"
CLOSED, FINE = "closed form alone", "fine-tuning alone"


def results(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


def test_the_page_is_as_the_files_have_it() -> None:
    assert page.PAGE.read_text("utf-8") == page.page(), "run python -m tests.benchmarks.page"


def test_a_figure_of_another_model_than_today_s_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    name, stale = "erasure-cuda", "on an earlier edition of the model"
    monkeypatch.setattr(page, "shipped", lambda: {results(name)["options"]["model"]})
    assert stale not in page.asked(name)
    monkeypatch.setattr(page, "shipped", frozenset)
    assert stale in page.asked(name)


def test_every_file_of_results_stands_on_the_page() -> None:
    written = page.PAGE.read_text("utf-8")
    for file in RESULTS.glob("*.json"):
        assert f"`{file.name}`: " in written, file.name
    for file in RESULTS.glob("*.png"):
        assert f"/{file.name})" in written, file.name


def test_no_figure_between_the_tables_was_typed() -> None:
    """Apart from tables, commands, titles and lines made from a file's options, the page's words hold no number."""
    words = re.sub(r"^(\||#|`[\w-]+\.json`: |!\[).*$|^```.*?^```$", "", page.PAGE.read_text("utf-8"), flags=re.M | re.S)
    prose = re.sub(r"`[^`]*`|FLUX\.1-dev|0 to 1|95 %", "", words)
    assert re.findall(r"\d+", prose) == []


def test_a_row_of_a_table() -> None:
    row = {"erased": 0.04, "erased_low": 0.011, "erased_high": 0.135, "kept_worst": -0.3, "kept_worst_row": "cat"}
    assert page.interval(row) == "4 (1–14)" and page.worst(row) == "−30 cat" and page.worst({"kept_worst": 0.0}) == "0"
    assert page.change(-0.0004) == "0.0" and page.change(0.001) == "+0.1" and page.share(None) == "–"
    assert page.window("shipped 20%..100%, no hold") == ("20 %..100 %, shipped", "no")
    assert page.window("no window")[1] == "–" and page.window("40%..100%")[1] == "yes"


def stages(name: str, stage: str, key: str) -> dict[str, Any]:
    return {thing: rows[stage][key] for thing, rows in results(name)["results"].items()}


def means(name: str, key: str) -> dict[str, float]:
    """By window, over the things of a file."""
    rows = list(results(name)["rows"].values())
    return {label: sum(row[label]["figures"][key] for row in rows) / len(rows) for label in rows[0]}


def closed_form() -> None:
    for name in ("erasure-cuda", "erasure-micro-flux"):
        assert not any(stages(name, CLOSED, "erased").values())
    left = stages("erasure-cuda", FINE, "erased")
    assert left["ship"] > 0.1 and stages("erasure-cuda", FINE, "subject")["knife"] < 0.5


def published() -> None:
    now, before = (stages(name, FINE, "erased") for name in ("erasure-loss-prediction", "erasure-cuda"))
    assert max(now.values()) <= 0.01 < max(before.values())
    more, less = (stages(name, FINE, "kept_worst") for name in ("erasure-loss-prediction", "erasure-cuda"))
    assert min(more.values()) < min(less.values())


def window() -> None:
    shipped, alone = "shipped 20%..100%", "windows-fine-tuning-alone-cuda"
    erased, kept = means(alone, "erased"), means(alone, "kept_change")
    assert erased["no window"] == erased[shipped] == 0 and kept[shipped] > kept["no window"]
    assert erased["40%..100%"] > 0.2 and erased["60%..100%"] > 0.2
    assert all(kept[label] < kept[shipped] for label in kept if label.endswith("no hold"))
    for key in ("erased", "probes"):
        assert not any(means("windows-trace-cuda", key).values())


def gate() -> None:
    moved = {
        name: {
            thing: found["shipped 20%..100%"]["moved"]["preserved"] for thing, found in results(name)["rows"].items()
        }
        for name in page.COMPARED
    }
    *others, gated = moved.values()
    assert all(gated[thing] < other[thing] for thing in gated for other in others)


CLAIMS: dict[str, Callable[[], None]] = {
    "The closed form carries the result. By itself the fine-tuning does not suffice: it leaves ships, and turns knives "
    "into nothing recognisable.": closed_form,
    "the fine-tuning alone erases nearly all four, and more of the rest becomes a thing; but the worst kept thing "
    "loses more.": published,
    "Without the closed form, at equal erasure, the shipped window loses fewer kept pictures than none; begun later "
    "with `hold` the push no longer erases, without `hold` it protects less.": window,
    "With the gate preserved pictures move least.": gate,
}


@pytest.mark.parametrize("sentence", CLAIMS)
def test_what_the_page_concludes(sentence: str) -> None:
    says(page.PAGE, sentence)(CLAIMS[sentence])()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)", TEXT + page.page()))))
def test_make_has_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m\s([\w.]+)", TEXT + page.page()))))
def test_python_has_the_module(module: str) -> None:
    assert find_spec(module)


def test_the_lines_of_python_use_what_there_is() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert set(re.findall(r"tracelang\.(\w+)", block)) <= set(tracelang.__all__)
    assert set(re.findall(r"applied\.(\w+)", block)) == {"save", "to"} <= set(dir(Applied))


def test_the_readme_is_short() -> None:
    assert len([line for line in TEXT.splitlines() if not line.startswith("|")]) <= 120, "but for its table"
    limits = TEXT.split("## Honest limits")[1].split("\n## ")[0]
    assert 1 <= len(re.findall(r"^- ", limits, re.M)) <= 6
