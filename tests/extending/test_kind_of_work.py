"""A kind of work is a file in `evidence/units` and a row in its table: then it is planned, done, kept and counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import tracelang
from tests.extending.conftest import Add
from tracelang.evidence import units

FILE = '''
"""How far the edit moves the states of the erased concepts' prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tracelang.evidence.bench import Bench, Failed, Record, Unit, Wanted, attempt
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Member


class StatesRecord(Record):
    member: Member
    value: float | None = None


@dataclass(frozen=True)
class StatesUnit(Unit):
    member: Member

    kind = "states"
    title = "text states"
    record = StatesRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[StatesUnit]:
        for i, erasure in enumerate(wanted.plan.active):
            yield cls(f"states-{i:04d}", erasure.targets)

    def done(self, bench: Bench, folder: Path) -> StatesRecord:
        prompts = [prompt.text for prompt in edit_prompts(bench.plan, self.member)]

        def moved() -> float:
            before, after = (model.encode(prompts).inputs for model in (bench.base, bench.edited))
            return max(float((after[name] - states).norm() / states.norm()) for name, states in before.items())

        found = attempt(moved)
        if isinstance(found, Failed):
            return StatesRecord(member=self.member, errors=(found.why,))
        return StatesRecord(member=self.member, value=found)
'''


def test_a_kind_of_work_is_a_file_and_a_row(
    add: Add, edit: Callable[[str], Path], small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(units.__name__, "states", FILE)
    module = import_module("tracelang.evidence.units.states")
    monkeypatch.setitem(units.KINDS, "states", module.StatesUnit)
    out, told = edit(""), list[tuple[str, int, int]]()
    report = tracelang.verify(out, samples=0, steps=2, progress=lambda *said: told.append(said))
    assert ("text states", 1, 1) in told
    assert "states" in report.cost.seconds and not report.errors
    (file,) = (out / "report" / "work").glob("*/states-0000.json")
    record = units.read(json.loads(file.read_bytes()))
    assert record == module.StatesRecord(**{**record.model_dump(), "value": 0.0})  # this edit leaves the encoder alone
    assert record.model_dump()["member"] == ("dog",)

    again = list[str]()
    monkeypatch.setattr(module.StatesUnit, "done", lambda self, bench, folder: again.append(self.key))
    assert tracelang.verify(out, samples=0, steps=2) == report and not again  # what is finished is not done again
    monkeypatch.setattr(
        module.StatesUnit, "done", lambda self, *_: module.StatesRecord(member=self.member, errors=("no states",))
    )
    failed = tracelang.verify(out, samples=0, steps=3)
    assert "states-0000: no states" in failed.errors
