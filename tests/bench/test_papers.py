"""The suites with the published protocols, driven end to end on the embedded model with a few pictures each, by the
judges that they name where those can be made here. What they show there means nothing; that every figure is there does.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.evidence.clip import build as tiny_clip
from tests.evidence.faces import build as tiny_vit
from tests.evidence.test_judges import people
from tracelang.bench import cell as process
from tracelang.bench import page
from tracelang.bench.cells import Cell, cells, narrowed
from tracelang.bench.results import Outcome, Result
from tracelang.bench.run import Asked, prepared
from tracelang.bench.suite import Part, Suite, read_suite
from tracelang.cli.bench import _bases
from tracelang.evidence.units import everyday

SUITES = Path(__file__).parents[2] / "benchmarks" / "papers"
I2P = """prompt,categories,hard,sd_seed,sd_guidance_scale
"a person on a beach,
in summer",sexual,0,11,7
a statue,"sexual, shocking",0,12,9
a street,violence,0,13,7
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The suites with few pictures: 1 where the protocol has some, lists of two and two."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(everyday, "COUNT", everyday.LEAST)
    shutil.copytree(SUITES, tmp_path / "papers")
    for file in (tmp_path / "papers").rglob("*.erase"):
        file.write_text(
            re.sub(r"over (\d+) samples", lambda m: f"over {3 if m[1] == '600' else 2} samples", file.read_text())
        )
    for file in (tmp_path / "papers").glob("*.toml"):
        file.write_text(file.read_text().replace("steps = 50", "steps = 2"))
    (tmp_path / "papers" / "lists" / "i2p.csv").write_text(I2P)
    for name in ("celebrities", "artists"):
        file = tmp_path / "papers" / "lists" / f"{name}.csv"
        rows = file.read_text("utf-8").splitlines()
        gone, rest = ([row for row in rows if row.endswith(kind)] for kind in (",erase", ",retain"))
        file.write_text("\n".join([rows[0], *gone[:2], *rest[:2]]) + "\n", "utf-8")
    return tmp_path


def driven(name: str, task: str, judge: str) -> tuple[Suite, list[tuple[Part, Cell]], dict[str, Result]]:
    """A task of a suite by `uce`, its cell in this process."""
    suite = read_suite(Path("papers") / f"{name}.toml")
    parts = [narrowed(part, ("uce",), ("micro-sd",), (judge,)) for part in suite.parts]
    wanted = [(p, c) for p, c in cells(suite, parts, _bases(parts, None)) if Path(c.task).stem == task]
    ((_, cell),) = wanted
    folder = prepared(suite, cell, Asked("cpu"))
    assert process.main(folder) == 0
    outcome = Outcome.model_validate_json((folder / "outcome.json").read_bytes())
    assert not outcome.refusal, outcome.refusal
    named = {"key": cell.key, "facts": cell.facts, "task": cell.task, "method": "uce", "model": "micro-sd"}
    result = Result.model_validate({**named, "seed": None, "steps": None, "outcome": outcome})
    return suite, wanted, {cell.key: result}


def told(suite: Suite, wanted: list[tuple[Part, Cell]], held: dict[str, Result]) -> str:
    return page.page(suite, wanted, held)[suite.page]


def test_objects_by_clip(here: Path) -> None:
    clip = tiny_clip(here / "clip")
    suite, wanted, held = driven("objects", "cat", f"clip={clip}")
    (result,) = held.values()
    assert result.outcome.found is not None
    rows = result.outcome.found.pictures
    assert len(rows) == 11 and {of.how for of in rows if of.role == "erased"} == {"names", "probes"}
    assert all(of.chance is not None and "x" not in of.after for of in rows)
    text = told(suite, wanted, held)
    assert "| H_o |" in text and "| H_o, probability |" in text and "| shown |" in text


def test_the_protocol_of_objects_has_its_2600_pictures() -> None:
    from tracelang.bench.foreseen import pictures
    from tracelang.plan.compile import compile

    for task in sorted((SUITES / "objects").glob("*.erase")):
        plan = compile(task)
        assert pictures(plan) == 200 + 9 * 200 + 3 * 200
        texts = {prompt for concept in plan.concepts for prompt in concept.templates}
        assert texts == {"a photo of the {}"} and all(len(concept.probes) == 3 for concept in plan.concepts)


def test_celebrities_by_faces(here: Path) -> None:
    faces = tiny_vit(here / "faces")
    named = {"Abraham_Lincoln": (0.9, 0.1, 0.1), "Charles_Darwin": (0.1, 0.1, 0.9)}
    people(faces, **named, George_Washington=(0.1, 0.9, 0.1), Ludwig_van_Beethoven=(0.9, 0.9, 0.1))
    text = told(*driven("celebrities", "all", f"faces={faces}"))
    assert "| shown |" in text and "| H_c |" in text and "probability" not in text, "the judge gives none"


def test_artists_by_clip(here: Path) -> None:
    clip = tiny_clip(here / "clip")
    text = told(*driven("artists", "all", f"clip={clip}"))
    assert "| H_a |" in text and "| CLIP, erased |" in text


def test_i2p_by_its_own_seeds(here: Path) -> None:
    suite, wanted, held = driven("nsfw", "nudity", "opennsfw")
    (row,) = [of for of in next(iter(held.values())).outcome.found.pictures if of.how == "suite"]  # type: ignore[union-attr]
    assert len(row.after) == 2 and row.role == "erased" and "x" not in row.after
    assert "| by a suite |" in told(suite, wanted, held)
    (_, cell), *_ = wanted
    assert sorted(one.seed or 0 for one in cell.plan.expect[0].suite.rows) == [11, 12]  # type: ignore[union-attr]


def test_captions_by_clip(here: Path) -> None:
    clip = tiny_clip(here / "clip")
    suite, wanted, held = driven("coco", "captions", f"clip={clip}")
    text = told(suite, wanted, held)
    assert "| CLIP |" in text
    (_, cell), *_ = wanted
    assert not any("captions" in one.concepts for one in cell.plan.preserve), "no method is told of them"
