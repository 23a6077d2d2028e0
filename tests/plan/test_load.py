"""Only what this version wrote, and nobody changed, is taken for a plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracelang import CompileError, load_plan
from tracelang.diagnostics import Source
from tracelang.plan.compile import compile
from tracelang.plan.load import parsed

TEXT = compile('erase "cat" toward "truck" preserve "dog"').to_json()


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(CompileError) as error:
        parsed(Source("<plan>", text))
    assert len(error.value.diagnostics) == 1
    one = error.value.diagnostics[0]
    assert "\n" not in one.message
    return one.code, one.location.removeprefix("<plan>:")


def test_a_plan_comes_back(tmp_path: Path) -> None:
    (tmp_path / "x.plan.json").write_text(TEXT, "utf-8")
    assert load_plan(tmp_path / "x.plan.json") == compile('erase "cat" toward "truck" preserve "dog"')


def test_refusals() -> None:
    assert refusal("") == ("TL121", "1:1")
    assert refusal(TEXT[:400])[0] == "TL121"
    assert refusal('erase "cat"') == ("TL121", "1:1")
    assert refusal("[1, 2]") == ("TL121", "1:1")
    assert refusal("[" * 100_000)[0] == "TL121"
    assert refusal('{"format_version": 2}')[0] == "TL121"
    assert refusal(TEXT.replace('"format_version": 2', '"format_version": 1'))[0] == "TL122"
    assert refusal(TEXT.replace('"degree": 1.0', '"degree": 0.5'))[0] == "TL123"
    assert refusal(TEXT.replace('"degree": 1.0', '"degree": 7.5'))[0] == "TL121"
    assert refusal(TEXT.replace('"degree": 1.0', '"degree": NaN'))[0] == "TL121"
    assert refusal(TEXT.replace('"away"', '"unknown"'))[0] == "TL121"
    assert refusal(json.dumps({k: v for k, v in json.loads(TEXT).items() if k != "digest"}))[0] == "TL123"


Change = Callable[[dict[str, Any]], object]


def sealed(change: Change) -> str:
    """The plan changed, under a digest that fits: what someone who knows the format can write."""
    data = json.loads(TEXT)
    change(data)
    meaning = {name: value for name, value in data.items() if name not in ("digest", "sources")}
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    data["digest"] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(data)


def at(*path: str | int, value: object) -> Change:
    def change(data: Any) -> None:
        for part in path[:-1]:
            data = data[part]
        data[path[-1]] = value

    return change


def twice(*path: str | int) -> Change:
    def change(data: Any) -> None:
        for part in path:
            data = data[part]
        data.append(data[0])

    return change


def test_a_new_digest_is_no_key_to_anything_else() -> None:
    assert parsed(Source("<plan>", sealed(lambda data: None))).digest == json.loads(TEXT)["digest"]
    assert parsed(Source("<plan>", sealed(at("erase", 0, "degree", value=0.5)))).erase[0].degree == 0.5


STEER = ("method", "passes", 0)


@pytest.mark.parametrize(
    "change",
    [
        *(at(*STEER, "label", value=label) for label in ("../../x", "", "a/b", "A", "x\n", "..", "é")),
        at(*STEER, "terms", 0, "label", value="../x"),
        at("method", "name", value="../x"),
        twice("method", "passes"),
        twice(*STEER, "terms"),
        twice("erase"),
        twice("preserve"),
        twice("concepts"),
        at("erase", 0, "away", value=True),
        *(at("concepts", 0, "templates", value=value) for value in ([], ["x"], ["{} {}"], ["{0} {}"], ["{}}"])),
        at("concepts", 0, "names", value=[" "]),
        *(at("sources", 0, "path", value=path) for path in ("/etc/passwd", "../x", "a/../../x", "", "C:\\x", "..\\x")),
        at("sources", 0, "sha256", value="x"),
        at(*STEER, "batch", value=10**9),
        at(*STEER, "trajectories", value=10**9),
        at(*STEER, "seed", value=2**63),
        at(*STEER, "terms", 0, "during", "high", value=1.5),
        *(at(*STEER, "adversary", value=value) for value in (None, "word", ["word", "prefix"], [["word"]], ["evil"])),
        *(at(*STEER, "adversary_share", value=value) for value in (None, 0, 1.5, True, "x")),
        *(at(*STEER, "terms", 0, "during", value={"share": x, "part": "inside"}) for x in (-1, 1.01, True, None)),
        at(*STEER, "terms", 0, "during", value={"share": 0.3, "part": "after"}),
        at(*STEER, "terms", value=None),
        *(at("prior", 0, "prompts", value=value) for value in (None, 5, {"a": 1}, ["b", "a"], ["a", "a"], [" "], [1])),
        *(at("prior", 0, "kind", value=value) for value in ("given", None, ["vocabulary"])),
        *(at("prior", 0, name, value=value) for name in ("weight", "cosine", "sample") for value in (0, None, "x")),
        at("prior", value=None),
        twice("prior"),
        at("expect", value=[{"metric": "x", "concepts": [["cat"]], "attack": None, "comparison": "<=", "bound": 0.1,
                             "samples": 1, "seed": 0}]),
    ],
)  # fmt: skip
def test_what_the_compiler_never_writes_is_refused_also_with_a_digest_that_fits(change: Change) -> None:
    assert refusal(sealed(change))[0] == "TL121"


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
        plan = parsed(Source("<plan>", text))
    except CompileError:
        return
    assert plan.canonical_json() == parsed(Source("<plan>", TEXT)).canonical_json()
