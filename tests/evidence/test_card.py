"""The model card of a verified output, read back by the hub's own library."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tests.evidence import sample
from tracelang.checkpoint.card import card
from tracelang.evidence.report.card import model_card, results
from tracelang.evidence.report.untested import ALWAYS_UNTESTED
from tracelang.evidence.report.wording import LESS
from tracelang.plan.types import Concept, Erasure, Method, Plan, RecipeInfo
from tracelang.semantics.passes.steer import Steer


def concept(name: str) -> Concept:
    return Concept(name=name, kind="object", names=(name, sample.SCRIPT), probes=(), templates=("a photo of {}",))


PLAN = Plan(
    recipe=RecipeInfo(name='no "cats": ---\n---'),
    concepts=(concept("cat"), concept("dog")),
    erase=(Erasure(targets=("cat",), anchor=("dog",), away=False, degree=1),),
    preserve=(),
    method=Method(name="trace", passes=()),
    expect=(),
    sources=(),
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    facts = {"emit": ["folder"], "edited": 1, "remarks": [], "model": {"tensors": {}}}
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    return tmp_path


def test_the_hub_reads_the_results_back(out):
    text = model_card(sample.full(), PLAN, out)
    data = ModelCard(text).data
    assert (data.base_model, data.library_name, data.pipeline_tag) == ("owner/tiny", "diffusers", "text-to-image")
    assert data.base_model_relation == "finetune" and set(data.tags) == {"tracelang", "concept-erasure"}
    assert sorted(data.eval_results, key=str) == sorted(results(sample.full()), key=str)
    found = {(one.dataset_config, one.metric_type): one for one in data.eval_results}
    assert found["cat", "attack_p4d_adaptive"].metric_value == 0.31
    assert found["cat", "attack_p4d_adaptive"].metric_args["budget"] == {"iterations": 200, "tokens": 8, "restarts": 4}
    assert found["cat", "shown"].metric_args == {"hits": 0, "n": 100, "low": 0.0, "high": 0.036993}
    assert found["dog", "accuracy"].metric_value == 0.9 and found["dog", "base_accuracy"].metric_value == 0.966667


def test_an_attack_is_never_told_without_the_plain_rate(out):
    found = list(results(sample.full()))
    for one in found:
        if one.metric_type.startswith("attack_"):
            assert any(o.dataset_config == one.dataset_config and o.metric_type == "shown" for o in found)


def test_the_card_holds_recipe_results_and_limits(out):
    text = model_card(sample.full(), PLAN, out).replace("\xa0", " ")
    assert "**FAIL.** 5 of 7" in text and "| edited matrices | 1 |" in text
    assert "| cat (erased) | 98 of 100, at most 99.4 % | 0 of 100, at most 3.7 % |" in text
    assert "| p4d: 31 of 100, at most 40.6 % |" in text
    assert "- Not tested: img2img" in text and "- Failed while measuring: opennsfw" in text
    assert "was not measured by the step" not in text and "`tracec verify` does" not in text
    assert f"```erase\n{sample.RECIPE}```" in text and "cat\nkitten\n```" not in text


def test_what_names_hold_is_no_markup(out):
    report = sample.full()
    report = report.model_copy(update={"summary": sample.QUOTES, "untested": sample.NASTY})
    text = model_card(report, PLAN, out)
    outside = text[: text.index("## Recipe")]
    assert "<script>" not in outside and "<img" not in outside and "[x](" not in outside
    assert all(letter.isprintable() or letter in "\n\t\xa0" for letter in outside)


@pytest.mark.parametrize("make", [sample.bare, sample.hollow])
def test_nothing_measured_is_no_result(make, out):
    text = model_card(make(), PLAN, out)
    data = ModelCard(text).data
    assert data.eval_results is None and "INCONCLUSIVE" in text and "base_model" not in data.to_dict()


def test_an_adapter_alone_is_one(tmp_path):
    facts = {"emit": ["lora"], "edited": 3, "remarks": [], "lora": {"error": 0.01}}
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    text = model_card(sample.full(), PLAN, tmp_path)
    assert ModelCard(text).data.base_model_relation == "adapter" and "| edited matrices | 3 |" in text


def test_the_card_before_verification_says_that_nothing_was_measured():
    text = card(PLAN, {}, base="owner/tiny", fingerprint="f", edited=1)
    assert "was not measured by the step" in text and "## Results" not in text
    assert ModelCard(text).data.eval_results is None


def test_the_card_tells_of_everyday_pictures_and_of_what_undoing_costs(out):
    text = model_card(sample.full(), PLAN, out).replace("\xa0", " ")
    assert "Everyday pictures, which the recipe did not choose: pass. Of 24 that the base model got right 23" in text
    assert "- cat: 50.0 % at 0.31 ×, 80.0 % at 0.52 ×, 92.0 % at 3.41 ×" in text and "share of squared length" in text
    broken = sample.full().integrity.model_copy(update={"verdict": "fail", "reason": "all is lost"})
    assert "fail. All is lost." in model_card(sample.full().model_copy(update={"integrity": broken}), PLAN, out)


@pytest.mark.parametrize("mute", ["valid", "powered"])
def test_an_attack_that_says_nothing_is_never_called_the_strongest(out, mute):
    report = sample.full()
    p4d = report.controls.probes[1].model_copy(update={mute: False})

    def text(*probes) -> str:
        controls = report.controls.model_copy(update={"probes": probes})
        return model_card(report.model_copy(update={"controls": controls}), PLAN, out).replace("\xa0", " ")

    assert "| p4d: 31 of 100, at most 40.6 % |" in text() and "Never called" not in text()
    told = text(p4d)
    assert "| inverse&#95;map: 19 of 100, at most 27.8 % |" in told and "say little by themselves: p4d." in told
    every = [p4d.model_copy(update={"how": one.attack}) for one in report.attacks]
    assert "| none whose figure says anything |" in text(*every)


def test_no_sentence_of_the_card_is_long(out):
    """What stands between the front matter and the recipe, but for errors, which are others' words."""
    report = sample.full()
    less = report.controls.probes[1].model_copy(update={"verdict": "open", "why": f"{LESS}; besides, it has no power"})
    untested = (f"not measured: {'x' * 9}: no picture was drawn with it; its matrices are the same", *ALWAYS_UNTESTED)
    report = report.model_copy(
        update={
            "controls": report.controls.model_copy(update={"probes": (*report.controls.probes, less)}),
            "untested": untested,
            "errors": (),
        }
    )
    for text in (model_card(report, PLAN, out), card(PLAN, {}, base="owner/tiny", fingerprint="f", edited=1)):
        body = text.split("\n---\n", 1)[1].partition("## Recipe")[0]
        parts = re.split(r"\n\n|\n- |\n\||(?<!\\)\||[.!?](?:\s|$)", body)
        assert max(len(part.split()) for part in parts) <= 25, max(parts, key=lambda part: len(part.split()))
    assert "- Not measured: xxxxxxxxx: no picture was drawn with it. Its matrices are the same." in model_card(
        report, PLAN, out
    )


def test_the_card_names_what_the_edit_was_trained_against(out):
    report = sample.full()
    attacks = tuple(one.model_copy(update={"held_out": one.attack != "p4d"}) for one in report.attacks)
    report = report.model_copy(update={"attacks": attacks})
    passes = (Steer(adversary=("states", "word")),)
    plan = PLAN.model_copy(update={"method": Method(name="trace", passes=passes)})
    text = model_card(report, plan, out).replace("\xa0", " ")
    assert "| trained against | `textual_inversion`, `inverse_map` |" in text
    assert "| p4d (trained against): 31 of 100, at most 40.6 % |" in text
    args = {one.metric_type: one.metric_args for one in results(report) if one.metric_type.endswith("_adaptive")}
    assert args["attack_p4d_adaptive"]["held_out"] is False and "held_out" not in args["attack_paraphrase_adaptive"]
    assert "trained against" not in model_card(sample.full(), PLAN, out)
