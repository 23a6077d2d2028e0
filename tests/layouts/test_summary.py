"""What the table says of itself, and of a refusal whose reason stands only in the file's name."""

import pytest

from tests.benchmarks import layouts
from tests.layouts import judge as judging
from tests.layouts.rows import WORKS, Given, Row
from tracelang.models.prompt_side import PromptSide


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"good": 3}, "3 of 3 rows as they should be"),
        ({"good": 2, "wrong": 1}, "2 of 3 rows as they should be"),
        ({"good": 2, "skipped": 1}, "2 of 2 rows as they should be; 1 not run for lack of room"),
        ({"skipped": 4}, "0 of 0 rows as they should be; 4 not run for lack of room"),
    ],
)
def test_a_row_without_room_is_no_good_row(counts, told):
    assert layouts.summary(counts) == told


@pytest.mark.parametrize(("line", "fault"), [("{}: is no model", True), ("{}: is a LoRA", False)])
def test_a_name_is_no_reason(line, fault, tmp_path, monkeypatch):
    file = tmp_path / "LoRA.safetensors"
    said = judging.Ran(1, f"error: {line.format(file)}", "")
    monkeypatch.setattr(judging, "run", lambda *words, **told: said)
    judged = judging.judge(
        Row("lora", lambda at, size: Given(str(file), file), None, ("LoRA",)), tmp_path, Given(str(file), file)
    )
    assert bool(judged.faults) == fault


def test_invented_states_are_those_that_the_closed_form_asks_for(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    given = next(row for row in WORKS if row.family == "flux").make(tmp_path, "tiny")
    layouts._invent(given)
    monkeypatch.setattr(PromptSide, "_encode", None)  # nothing is left to encode
    recipe = tmp_path / "r.erase"
    recipe.write_text(judging.RECIPE)
    words = ["--model", given.model, "--out", str(tmp_path / "out"), "--emit", "folder", "--device", "cpu"]
    ran = judging.run("apply", str(recipe), *words, given=given)
    assert not ran.code, ran.line
