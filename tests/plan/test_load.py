"""Only what this version wrote, and nobody changed, is taken for a plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracelang import CompileError, load_plan
from tracelang.plan.compile import compile
from tracelang.plan.load import parse_plan

TEXT = compile('erase "cat" preserve "dog"').to_json()


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(CompileError) as error:
        parse_plan(text)
    assert len(error.value.diagnostics) == 1
    one = error.value.diagnostics[0]
    assert "\n" not in one.message
    return one.code, one.location.removeprefix("<plan>:")


def test_a_plan_comes_back(tmp_path: Path) -> None:
    (tmp_path / "x.plan.json").write_text(TEXT, "utf-8")
    assert load_plan(tmp_path / "x.plan.json") == compile('erase "cat" preserve "dog"')


def test_refusals() -> None:
    assert refusal("") == ("TL121", "1:1")
    assert refusal(TEXT[:400])[0] == "TL121"
    assert refusal('erase "cat"') == ("TL121", "1:1")
    assert refusal("[1, 2]") == ("TL121", "1:1")
    assert refusal("[" * 100_000)[0] == "TL121"
    assert refusal('{"format_version": 1}')[0] == "TL121"
    assert refusal(TEXT.replace('"format_version": 1', '"format_version": 2'))[0] == "TL122"
    assert refusal(TEXT.replace('"degree": 1.0', '"degree": 0.5'))[0] == "TL123"
    assert refusal(TEXT.replace('"degree": 1.0', '"degree": 7.5'))[0] == "TL121"
    assert refusal(TEXT.replace('"degree": 1.0', '"degree": NaN'))[0] == "TL121"
    assert refusal(TEXT.replace('"away"', '"unknown"'))[0] == "TL121"
    assert refusal(json.dumps({k: v for k, v in json.loads(TEXT).items() if k != "digest"}))[0] == "TL123"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(CompileError):
            load_plan(path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_of_the_text_is_refused_or_means_nothing(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT) - 1))
    text = TEXT[:at] + data.draw(st.characters(codec="utf-8")) + TEXT[at + 1 :]
    try:
        plan = parse_plan(text)
    except CompileError:
        return
    assert plan.canonical_json() == parse_plan(TEXT).canonical_json()
