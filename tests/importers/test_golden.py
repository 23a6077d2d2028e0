"""Files in the form of each tool, beside each what becomes of it: the findings, and the recipe.

`TRACELANG_GOLDEN=write` writes them anew; read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tracelang.diagnostics import Findings
from tracelang.importers import MAX_BYTES, TOOLS, convert
from tracelang.plan.compile import compile
from tracelang.semantics.passes.steer import Steer
from tracelang.syntax.read import read

HERE = Path(__file__).parent
FILES = sorted(path for tool in TOOLS for path in (HERE / tool).iterdir() if path.suffix != ".golden")


def converted(tool: str, path: Path) -> tuple[str, str]:
    report = Findings()
    found = read(path, path.name, MAX_BYTES, report)
    assert found is not None
    text = convert(tool, found.source, str(path.parent), report)
    assert text is not None
    lines = []
    for one in report.in_order():
        lines.append(f"{one.location.rpartition('/')[2]}: {one.severity}[{one.code}]: {one.message}\n")
    return "".join(lines), text


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_golden(path: Path) -> None:
    findings, text = converted(path.parent.name, path)
    golden = path.with_name(f"{path.name}.golden")
    if os.environ.get("TRACELANG_GOLDEN") == "write":
        golden.write_text(f"{findings}---\n{text}", "utf-8")
    assert golden.read_text("utf-8") == f"{findings}---\n{text}"
    compile(text)


def test_every_tool_has_a_file() -> None:
    assert {path.parent.name for path in FILES} == set(TOOLS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_warning_stands_in_the_recipe(path: Path) -> None:
    findings, text = converted(path.parent.name, path)
    comments = " ".join(line for line in text.splitlines() if line.startswith("#"))
    assert all(line.partition("]: ")[2] in comments for line in findings.splitlines())


def test_what_leco_says_reaches_the_plan() -> None:
    plan = compile(converted("leco", HERE / "leco" / "config.yaml")[1])
    (steer,) = (step for step in plan.method.passes if isinstance(step, Steer))
    assert (steer.rank, steer.steps, steer.rate, steer.sampler_steps) == (4, 300, 2.5e-5, 30)
    anchors = {erasure.targets: erasure.anchor for erasure in plan.erase}
    assert anchors == {("gothic cathedral",): None, ("lighthouse",): ("harbour",)}
    assert plan.concept("lighthouse").templates == ("{}",)


def test_what_uce_says_reaches_the_plan() -> None:
    plan = compile(converted("uce", HERE / "uce" / "flags.txt")[1])
    (refine,) = plan.method.passes
    assert (refine.tokens, refine.ridge_absolute, refine.erase_weight) == ("last", 0.1, 2)  # type: ignore[union-attr]
    assert {one.weight for one in plan.preserve} == {0.25}
    assert [erasure.anchor for erasure in plan.erase] == [("house",), ("car",)]
