"""`docs/extending.md` is right: its files, added at run time as they stand there, do what the page says of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import tracelang
from tests import random_sd
from tests.engine.toy import Toy
from tracelang.cli import main
from tracelang.evidence import metrics, units
from tracelang.evidence.attacks.attack import Budget, Target
from tracelang.evidence.bench import Bench, Judgement
from tracelang.evidence.expectations import outcome
from tracelang.evidence.judges import Class
from tracelang.evidence.metrics.metric import Drawn, Measured
from tracelang.evidence.panel import Panel, Sought
from tracelang.evidence.pictures import Sample, rows_of, samples_of
from tracelang.evidence.report.wording import demand
from tracelang.evidence.schema import Outcome
from tracelang.plan.changes import changes
from tracelang.semantics import tables
from tracelang_sd import StableDiffusion

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", TEXT, re.M | re.S))
ROWS = dict(re.findall(r"^```python\n# (\w+) in tracelang/semantics/tables.py\n(.*?)^```$", TEXT, re.M | re.S))
EXAMPLES = {path: code for path, code in BLOCKS.items() if path.startswith("examples/")}
ADDED = {path: code for path, code in BLOCKS.items() if path.startswith("tracelang/")}


def test_every_block_says_where_it_goes() -> None:
    assert len(re.findall(r"^```(?:python|toml)$", TEXT, re.M)) == len({**EXAMPLES, **ADDED, **ROWS})


@pytest.mark.parametrize("path", EXAMPLES)
def test_what_is_shown_of_an_example_stands_there(path: str) -> None:
    assert EXAMPLES[path] in (ROOT / path).read_text("utf-8")


def test_every_kind_of_addition_has_a_section() -> None:
    rows = re.findall(r"^\| \[[a-z ]+\]\(#([\w-]+)\) \|", TEXT, re.M)
    titles = re.findall(r"^## (.*)$", TEXT, re.M)
    assert rows == [title.lower().replace(" ", "-") for title in titles]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tracelang|tests|examples)/[\w./]+)`", TEXT))))
def test_the_files_that_it_names_are_there(path: str) -> None:
    place = ROOT / re.sub(r"(KIND|NAME)\.py$", "", path)
    assert place.exists() or path in ADDED


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's files, in a folder that the packages they belong to look into as well; and a place to work in."""
    for path, code in ADDED.items():
        file = tmp_path / "added" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code, "utf-8")
        package = import_module(".".join(Path(path).parts[:-1]))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(file.parent)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if f"{name.replace('.', '/')}.py" in ADDED:
            del sys.modules[name]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's rows in the language's tables."""
    for table, row in ROWS.items():
        for name, value in eval("{" + row + "}", {"Metric": tables.Metric}).items():
            monkeypatch.setitem(getattr(tables, table), name, value)


def tracec(*words: str, stdin: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, words, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


DIMMED = """erase "cat" toward "dog" preserve "horse"
define method m { steer { steps = 2  batch = 2  trajectories = 2  sampler_steps = 4  dim { share = %s } } }
method m"""
TRIMMED = """erase "cat" toward "dog" preserve "horse"
define method m { refine on prompt {}  trim { rank = %s } }
method m"""


def test_the_term(added: Path) -> None:
    assert "share = 0.8" in tracec("explain", "-", stdin=DIMMED % 0.8)[1]
    code, told = tracec("compile", "-", stdin=DIMMED % 1.5)
    assert code == 1 and "TL213" in told and "share" in told
    (added / "old.erase").write_text(DIMMED % 0.8)
    (added / "new.erase").write_text(DIMMED % 0.7)
    code, told = tracec("breaking", "new.erase", "--against", "old.erase", stdin="")
    assert code == 1 and "TL419" in told and "share" in told
    assert changes(tracelang.compile(DIMMED % 0.8), tracelang.compile(DIMMED % 0.7))
    bound = tracelang.bind(tracelang.compile(DIMMED % 0.8), random_sd.build(added / "tiny"))
    edit = tracelang.apply(bound, device="cpu").edit
    assert len(edit.adapters) == 1 and any(change.dense().any() for change in edit.adapters[0].factors.values())


def test_a_term_without_its_half_of_the_engine(added: Path) -> None:
    (added / "added" / "tracelang/engine/terms/dim.py").unlink()
    with pytest.raises(ValueError, match=r"`dim` \(dimming a concept.*not carried out yet"):
        tracelang.bind(tracelang.compile(DIMMED % 0.8), random_sd.build(added / "tiny"))


def test_the_pass(added: Path) -> None:
    assert "rank = 2" in tracec("explain", "-", stdin=TRIMMED % 2)[1]
    base = random_sd.build(added / "tiny")
    whole, cut = (
        tracelang.apply(tracelang.bind(tracelang.compile(TRIMMED % rank), base), device="cpu").edit for rank in (512, 2)
    )
    ranks = [torch.linalg.matrix_rank(next(iter(edit.maps.values())).left).item() for edit in (whole, cut)]
    assert ranks[0] > ranks[1] == 2
    assert list(whole.maps) == list(cut.maps) and len(set(map(id, cut.maps.values()))) == 1


@pytest.mark.usefixtures("rows")
def test_the_attack(added: Path) -> None:
    shout = import_module("tracelang.evidence.attacks.shout")
    model, plan = Toy(), tracelang.compile('concept p kind protected { names "loud dog" } erase "cat"')
    prompts = ("a cat", "a loud cat")
    target = Target(plan, ("cat",), 0, model.noise([0]), prompts, model, 5)
    found = shout.run(target, model, Budget())
    assert found.prompts == ("A CAT", "A LOUD CAT", "A CAT", "A LOUD CAT", "A CAT") and found.states is None
    assert tables.ATTACKS["shout"][0] == found.budget["access"]


STEADY = """concept cat { names "cat" templates "a {}", "{}" } erase cat preserve "dog"
expect over %s samples { steady(cat) >= 50%% }"""


@pytest.mark.usefixtures("rows")
def test_the_metric(added: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = tracec("lint", "-", stdin=STEADY.replace(">=", "<=") % 100)
    assert code == 1 and "TL304" in told and "steady" in told
    module = import_module("tracelang.evidence.metrics.steady")
    monkeypatch.setitem(metrics.MEASURES, "steady", module.MEASURES["steady"])
    plan, sought = tracelang.compile(STEADY % 40), {("cat",): (Sought("judge", Class("concept", "cat")),)}
    (row,) = rows_of(plan, plan.expect[0])

    def found(changed: int) -> Outcome:
        pictures = {
            sample: Drawn(judged("cat"), judged("fox" if i < changed else "cat"))
            for i, sample in enumerate(samples_of(plan, row))
        }
        return outcome(plan.expect[0], Measured(plan, sought, {}, pictures))

    assert [found(changed).verdict for changed in (0, 20, 40)] == ["pass", "inconclusive", "fail"]
    assert "show of it what they showed before the edit" in demand(found(0))


def judged(label: str) -> dict[str, Judgement]:
    return {"judge": Judgement({"concept": label})}


def test_the_kind_of_work(added: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repeat = import_module("tracelang.evidence.units.repeat")
    monkeypatch.setitem(units.KINDS, "repeat", repeat.RepeatUnit)
    plan = tracelang.compile('erase "cat" preserve "dog"')
    wanted = units.Wanted(plan, {}, (), 0, {Sample(f"a {thing}", 3): None for thing in ("cup", "key", "hat")})
    (unit,) = (one for one in units.units(wanted) if one.kind == "repeat")
    model = StableDiffusion().load(random_sd.build(added / "tiny"))
    record = unit.done(Bench(None, model, model, Panel((), {}, {}), Budget(), steps=2), added)  # type: ignore[arg-type]
    assert record.apart == 0 and record.pictures == 4
    assert units.read({**record.to_json(), "kind": "repeat"}).apart == 0
