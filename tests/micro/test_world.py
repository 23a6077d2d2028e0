"""The embedded world: what the issue asks of it, read from what is shipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import tracelang
import tracelang_micro
from tracelang.evidence.bench import Presence
from tracelang.evidence.judges import Answer, Class, load
from tracelang.evidence.pictures import Sample
from tracelang.evidence.schema import JudgeCard
from tracelang.evidence.work import Run, Work
from tracelang.plan.prompts import edit_prompts
from tracelang_micro import measure, table
from tracelang_micro.world.card import FLOORS, PAIR_FLOOR
from tracelang_micro.world.concepts import (
    CHARACTERS,
    EVERYDAY,
    GROUPS,
    OBJECTS,
    REPORTING_PAIRS,
    STYLES,
    THINGS,
    TUNING,
    TUNING_PAIRS,
    UNSAFE,
)

HOME = Path(tracelang_micro.__file__).parent
ROOT = Path(__file__).parents[2]
MEGA = 10**6


def test_the_groups_mirror_the_four_tasks() -> None:
    assert len(OBJECTS) == 10 and all(len(thing.synonyms) == 3 for thing in OBJECTS)
    assert len(CHARACTERS) >= 16 and len(UNSAFE) >= 10 and len(EVERYDAY) >= 20 and len(STYLES) >= 3
    words = [word for thing in THINGS for word in (thing.name, *thing.synonyms)]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("card_file", ["card.json", "card-flux.json"])
def test_the_cards_fix_the_split_and_the_floors(card_file: str) -> None:
    card = json.loads((HOME / card_file).read_text())
    assert {group: tuple(names) for group, names in card["tuning"].items()} == TUNING
    assert card["floors"] == (FLOORS if card["edition"] == 1 else FLOORS | PAIR_FLOOR)
    if card["edition"] > 1:
        assert card["pairs"] == {"tuning": [*map(list, TUNING_PAIRS)], "reporting": [*map(list, REPORTING_PAIRS)]}
    for group, things in GROUPS.items():
        held = set(TUNING.get(group, ()))
        assert set(card["reporting"][group]) == {thing.name for thing in things} - held


def test_weights_are_small_safe_and_load_in_plain_diffusers() -> None:
    from diffusers import StableDiffusionPipeline

    folder = tracelang_micro.micro_sd()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 16 * MEGA
    assert sum(path.stat().st_size for path in (HOME / "judge").iterdir()) <= 2 * MEGA
    assert {path.suffix for path in files} <= {".json", ".safetensors"}
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("a picture of a cat", num_inference_steps=2, output_type="pt").images
    assert picture.shape == (1, 3, 64, 64) and torch.isfinite(picture).all()


def test_the_notice_names_every_artwork_and_licence() -> None:
    notice = (HOME / "NOTICE").read_text()
    for style in STYLES:
        assert f"{style.package} {style.version}" in notice and style.licence in notice and style.author in notice


def test_the_judge_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="not finite"):
        load("micro").look(torch.full((1, 3, 64, 64), float("nan")))


def test_the_judge_sees_nothing_in_noise() -> None:
    noise = torch.rand((20, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    judge = load("micro")
    assert not any(judge.subject(seen) for seen in judge.look(noise))


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.name)
def test_every_thing_has_a_recipe(thing: table.Thing) -> None:
    plan = tracelang.compile(table.recipe(thing))
    erased = plan.concept(plan.erase[0].targets[0])
    assert erased.names == (thing.name,) and set(erased.probes) == set(thing.synonyms)
    assert len(plan.preserve) == len(table.neighbours(thing))


@pytest.mark.slow
def test_the_base_model_draws_what_it_is_asked_for() -> None:
    on = measure.bench()
    asked = [one for one in table.ask(OBJECTS[5], 6, 2, 1, seed=9) if one.row[0] in ("kept", "erased")]
    seen = measure.answered(on.model, on.judge, asked, on.steps)
    assert sum(one.shows for one in seen) / len(asked) >= 0.85


def test_an_edit_works_on_the_words_that_are_measured() -> None:
    for thing in THINGS:
        plan = tracelang.compile(table.recipe(thing))
        edited = {prompt.text for prompt in edit_prompts(plan, plan.erase[0].targets)}
        asked = table.ask(thing, 5, 1, 1, seed=0)
        assert {one.sample.prompt for one in asked if one.row[0] == "erased"} == edited
        assert not edited & {one.sample.prompt for one in asked if one.row[0] == "probe"}


def test_the_table_of_a_style_asks_for_things_drawn_in_it() -> None:
    style, *_ = (style for style in STYLES if style.name == "blueprint")
    assert table.erased(tracelang.compile(ROOT / "recipes/micro/style.erase")) == style
    rows: dict[str, list[table.Question]] = {}
    for question in table.ask(style, 40, 1, 1, seed=0, everything=False):
        rows.setdefault(question.row[0], []).append(question)
    assert set(rows) == {"erased", "scene", "kept", "style", "background"}
    assert {one.wanted.head for one in rows["erased"]} == {"style"} and len(rows["erased"]) == 40
    assert all("blueprint" in one.sample.prompt for name in ("erased", "scene") for one in rows[name])
    assert {one.row[1] for one in rows["style"]} == {"noto", "ink"}


def test_a_measurement_goes_on_after_a_stop_and_tables_share_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, drawn = table.ask(OBJECTS[0], 4, 1, 1, seed=0), list[int]()

    class Fixed:
        card = JudgeCard(name="fixed", digest="0", classes=("cat", "style: ink", "background: red"))

        def find(self, words: object, kind: object) -> Class:
            return Class("concept", "cat")

        def subject(self, answer: Answer) -> bool:
            return True

        def look(self, images: torch.Tensor) -> list[Answer]:
            return [Answer({"concept": "cat", "style": "ink", "background": "red"})] * len(images)

    def draw(model: object, samples: Sequence[Sample], steps: int) -> torch.Tensor:
        drawn.append(len(samples))
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return torch.zeros(len(samples), 3, 64, 64)

    monkeypatch.setattr(measure, "draw", draw)
    run = Run({}, (), (), {}, {}, (), {})
    work = Work(tmp_path / run.folder, run)
    work.begin()
    with pytest.raises(KeyboardInterrupt):
        measure.answered(None, Fixed(), asked, 20, work)
    done = sum(drawn[:2])
    drawn[:] = [0, 0, 0]
    seen = measure.answered(None, Fixed(), asked, 20, work)
    assert sum(drawn) == len(asked) - done and 0 < done < len(asked)
    assert {q.row for q, one in zip(asked, seen, strict=True) if one.shows and q.row[0] == "style"} == {
        ("style", "ink")
    }
    drawn[:] = [0, 0, 0]
    other = table.ask(OBJECTS[1], 4, 1, 1, seed=0)
    measure.answered(None, Fixed(), other, 20, work)
    kept = sum(one.row[0] == "kept" for one in other)
    assert 0 < sum(drawn) <= len(other) - kept + 1  # of the other's kept things all but the one erased here are there


def test_a_table_of_few_pictures_leaves_out_what_it_never_asked_for() -> None:
    asked = table.ask(OBJECTS[0], 6, 1, 1, seed=0)
    assert not any(one.row[0] == "scene" for one in asked)
    seen = table.outcome(asked, [Presence(shows=True, subject=True)] * len(asked))
    figures = table.figures(seen, seen)
    json.dumps(figures, allow_nan=False)
    assert "placed" not in figures and figures["subject"] == 1 and "–" in table.render({"base": figures})
