"""`tracec verify` on real edits of the embedded model: what passes, what never does, what stops and goes on."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

import tracelang
from tests.evidence.edits import RECIPE, closed_form, expecting, nothing, ruin
from tracelang.cli import main
from tracelang.engine import rollout, sampling
from tracelang.evidence import attacks, prepare, sheet, verify
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.attacks import textual_inversion
from tracelang.evidence.bench import Bench, Unit
from tracelang.evidence.judges import Answer, Judge
from tracelang.evidence.panel import JudgeError
from tracelang.evidence.schema import Hit, Report
from tracelang.evidence.units import drift, noise, shots
from tracelang.evidence.units.degree import at_degree
from tracelang_micro import micro_sd
from tracelang_micro.judging import Micro
from tracelang_sd.model import StableDiffusionModel

EXPECT = "expect over 6 samples { accuracy(dog) >= 0% accuracy(cat) >= 0% }"
FAST = {"samples": 0, "steps": 2}
"""For what does not depend on what the pictures show."""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An edit that erases dogs; nobody writes into it."""
    return closed_form(tracelang.compile(RECIPE + EXPECT), tmp_path_factory.mktemp("fresh") / "out")


@pytest.fixture
def out(fresh: Path, tmp_path: Path) -> Path:
    shutil.copytree(fresh, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One trajectory for each figure that is taken along trajectories."""
    monkeypatch.setattr(drift, "DRIFTS", 1)
    monkeypatch.setattr(noise, "TRAJECTORIES", 1)


def run(out: Path, judges: Sequence[str | Judge] = (), **settings: Any) -> Report:
    found = verify.verify(out, judges, **{**FAST, **settings})
    assert found is not None
    return found


class Faulty(Micro):
    """The world's judge, which fails as told on the pictures whose number is in `bad`."""

    def __init__(self, fault: Callable[[Sequence[Answer]], Any], bad: int = 3) -> None:
        super().__init__()
        self.fault, self.bad, self.asked = fault, bad, 0

    def look(self, images: Tensor) -> Any:
        self.asked += len(images)
        seen = super().look(images)
        return self.fault(seen) if self.asked >= self.bad else seen


def boom(seen: Sequence[Answer]) -> Any:
    raise RuntimeError("boom")


def not_a_number(seen: Sequence[Answer]) -> Any:
    return [Answer(one.labels, {"concept": dict.fromkeys(one.scores["concept"], float("nan"))}) for one in seen]


@pytest.mark.parametrize("fault", [boom, not_a_number, lambda seen: None, lambda seen: [], lambda seen: seen[:-1]])
def test_a_judge_that_fails_never_gives_a_pass(out: Path, fault: Callable[[Sequence[Answer]], Any]) -> None:
    good = run(out)
    assert good.verdict == "pass" and not good.errors  # the bounds are such that anything passes
    shutil.rmtree(out / "report")
    report = run(out, [Faulty(fault)])
    assert report.verdict == "inconclusive"
    assert {one.verdict for one in report.outcomes} == {"inconclusive"}
    assert report.errors and sum(card.errors for card in report.judges) > 0


class Leaving(Micro):
    """Ends the program at one of the places where it is asked for something."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "__dict__").get("where"):
            raise SystemExit(0)
        return object.__getattribute__(self, name)


@pytest.mark.parametrize("where", ["find", "world", "look", "subject", "extractor", "__init__", "attack"])
def test_a_judge_or_an_attack_that_exits_ends_in_2_with_a_line(
    out: Path, where: str, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(spec: str) -> Judge:
        if where == "__init__":
            raise SystemExit(0)
        return Leaving(where)

    def leaves(*_: Any) -> Any:
        raise SystemExit(0)

    monkeypatch.setattr("tracelang.evidence.panel.load", loaded)
    monkeypatch.setattr(attacks, "ATTACKS", {"p4d": attacks.Attack("white box", leaves)} if where == "attack" else {})
    samples = "1" if where == "attack" else "0"
    words = ["verify", str(out), "--judge", "leaving", "--samples", samples, "--steps", "2", "--device", "cpu"]
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 2 and not (out / "report" / "report.json").exists()
    last = ran.output.strip().splitlines()[-1]
    assert last.startswith("error: ") and "ended the program (SystemExit: 0)" in last and "Traceback" not in ran.output


class Blind(Micro):
    """Knows no concept, so that no expectation counts on it; and fails on what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.card = self.card.model_copy(update={"name": "blind"})

    def find(self, words: Sequence[str], kind: Any) -> None:
        return None

    def look(self, images: Tensor) -> Any:
        raise RuntimeError("boom")


def test_an_error_that_no_expectation_counts_still_lets_nothing_pass(out: Path) -> None:
    report = run(out, [Micro(), Blind()])
    assert {one.verdict for one in report.outcomes} == {"pass"} and report.verdict == "inconclusive"
    assert "1 kind of error stands below, and with an error nothing is passed" in report.summary
    assert {card.name: card.errors for card in report.judges}.pop("blind") == report.cost.pictures
    page = (out / "report" / "report.html").read_text()
    assert "more than its expectations: see the errors" in page


def test_an_attack_that_fails_unasked_lets_nothing_pass(out: Path, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(target: Any, model: Any, budget: Any) -> Any:
        raise ArithmeticError("no gradient")

    def long(target: Any, model: Any, budget: Any) -> Any:
        return attacks.Found(("a dog",) * target.count, None, {"tries": 1}, float("nan"), ())

    monkeypatch.setattr(
        attacks,
        "ATTACKS",
        {
            "p4d": attacks.Attack("white box", broken),
            "inverse_map": attacks.Attack("soft states", long),
        },
    )
    report = run(out, samples=2)
    assert {one.verdict for one in report.outcomes} == {"pass"} and report.verdict == "inconclusive"
    told = {one.attack: one.error for one in report.attacks}
    assert "no gradient" in told["p4d"] and "no number" in told["inverse_map"]


def test_an_attack_that_training_was_aimed_at_is_named_in_all_that_is_written(
    tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(target: attacks.Target, model: Any, budget: attacks.Budget) -> attacks.Found:
        return attacks.Found(("a dog",) * target.count, None, {"tries": 1}, None, ())

    kinds = ("p4d", "textual_inversion")
    monkeypatch.setattr(attacks, "ATTACKS", {kind: attacks.Attack("white box", found) for kind in kinds})
    method = "define method m { steer { adversary = word  push {} } } method m"
    out = nothing(tracelang.compile(RECIPE.replace("method uce {}", method)), tmp_path / "out")
    assert json.loads((out / "lock.json").read_text())["trained_against"] == ["textual_inversion"]
    assert "| trained against | `textual_inversion` |" in (out / "README.md").read_text()
    report = run(out, samples=1)
    assert report.trained_against == ("textual_inversion",)
    assert {one.attack: one.held_out for one in report.attacks} == {"p4d": True, "textual_inversion": False}
    assert "trained against" in (out / "report" / "report.html").read_text()


def test_an_attack_that_there_is_nothing_for_is_untested_and_no_error(
    out: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_there(target: Any, model: Any, budget: Any) -> Any:
        raise attacks.Inapplicable("inverse_map: no matrix of this model reads prompt states alone")

    monkeypatch.setattr(attacks, "ATTACKS", {"inverse_map": attacks.Attack("soft states", nothing_there)})
    report = run(out, samples=2)
    assert report.verdict == "pass" and not report.errors
    assert "no matrix" in report.attacks[0].error and report.attacks[0].adaptive is None
    assert any(line.startswith("dog: the attack inverse_map; ") for line in report.untested)
    asked = run(expecting(out, "expect over 2 samples { attack(dog, inverse_map) <= 99% }"))
    assert asked.verdict == "inconclusive" and "no matrix" in asked.outcomes[0].reason


def test_a_judge_that_is_missing_is_refused(out: Path) -> None:
    with pytest.raises(JudgeError, match="no judge 'nobody'"):
        run(out, ["nobody"])
    ran = CliRunner().invoke(main, ["verify", str(out), "--judge", "nobody"])
    assert ran.exit_code == 2 and "no judge 'nobody'" in ran.output


def test_without_a_class_for_a_concept_it_is_inconclusive_and_says_so(out: Path) -> None:
    class Stranger(Micro):
        def find(self, words: Sequence[str], kind: Any) -> None:
            return None

    report = run(out, [Stranger()])
    assert report.verdict == "inconclusive"
    assert all("no judge has a class" in one.reason for one in report.outcomes)
    assert any("no judge has a class" in line for line in report.untested)


def test_no_expectations_are_inconclusive(out: Path) -> None:
    report = run(expecting(out, ""))
    assert report.verdict == "inconclusive" and report.outcomes == () and "expects nothing" in report.summary
    ran = CliRunner().invoke(main, ["verify", str(out), "--samples", "0", "--steps", "2", "--device", "cpu"])
    assert ran.exit_code == 3


def test_an_edit_that_destroys_all_pictures_does_not_pass_kept(tmp_path: Path) -> None:
    expect = "expect over 8 samples { shown(dog) <= 40% kept(cat) >= 40% subject(dog) >= 40% }"
    plan = tracelang.compile(RECIPE + expect)
    report = run(ruin(plan, tmp_path / "out"), steps=20)
    verdicts = {one.metric: one.verdict for one in report.outcomes}
    assert verdicts["shown"] == "pass"  # there is no dog, for there is nothing
    assert verdicts["kept"] == verdicts["subject"] == report.verdict == "fail"
    assert report.pictures[0].what == "damaged"


def test_no_edit_does_not_pass_shown(tmp_path: Path) -> None:
    plan = tracelang.compile(RECIPE + "expect over 8 samples { shown(dog) <= 40% kept(cat) >= 40% }")
    out = nothing(plan, tmp_path / "out")
    report = run(out, steps=20)
    assert {one.metric: one.verdict for one in report.outcomes} == {"shown": "fail", "kept": "pass"}
    ran = CliRunner().invoke(main, ["verify", str(out), "--samples", "0", "--device", "cpu"])  # what is done stands
    assert ran.exit_code == 1 and "fail: Of 2 expectations 1 were shown to hold, 1 were shown not to" in ran.output
    hits = [Hit.model_validate_json(line) for line in (out / "report" / "hits.jsonl").read_text().splitlines()]
    assert len(hits) == report.outcomes[0].measures[0].rate.hits  # type: ignore[union-attr]
    assert all(hit.reproduce.startswith(f"tracec sample {shlex.quote(str(out))} --prompt ") for hit in hits)
    assert report.pictures[0].what == "residual hit"
    assert (out / "report" / report.pictures[0].after).is_file()


def test_a_hit_is_drawn_again_by_its_command_and_by_its_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tracelang.compile(RECIPE + "expect over 2 samples { shown(dog) <= 40% }")
    out = nothing(plan, tmp_path / "out")
    report = run(out, steps=10)
    hit = Hit.model_validate_json((out / "report" / "hits.jsonl").read_text().splitlines()[0])
    (kept,) = (one for one in report.pictures if (one.prompt, one.seed) == (hit.prompt, hit.seed))
    file = out / "report" / kept.after
    pixels = torch.from_numpy(np.asarray(Image.open(file), dtype=np.float32).copy()).permute(2, 0, 1) / 255

    drawn = list[Tensor]()
    drawn_sheet = sheet.sheet

    def seen(columns: Any) -> Any:
        drawn.extend(columns[0][1][0].rows.values())
        return drawn_sheet(columns)

    monkeypatch.setattr(sheet, "sheet", seen)
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, shlex.split(hit.reproduce)[1:])
    assert ran.exit_code == 0, ran.output
    ((again,),) = drawn
    assert (again - pixels).abs().max() < 2 / 255  # a batch of one may round otherwise

    before = file.read_bytes()
    shutil.rmtree(out / "report" / "work" / hit.unit)
    (out / "report" / "work" / f"{hit.unit}.json").unlink()
    assert same(run(out, steps=10)) == same(report) and file.read_bytes() == before


def test_a_closed_form_edit_passes_and_everything_is_in_its_report(
    out: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real recipe, 8 pictures, an attack that asks for other words and one that hands over the base's states."""

    def words(target: Any, model: Any, budget: Any) -> Any:
        return attacks.Found(tuple(target.dealt(target.count)), None, {"tries": 1}, None, target.prompts[:1])

    def broken(target: Any, model: Any, budget: Any) -> Any:
        raise ArithmeticError("no gradient")

    monkeypatch.setattr(
        attacks,
        "ATTACKS",
        {
            "paraphrase": attacks.Attack("black box", words),
            "p4d": attacks.Attack("white box", broken),
        },
    )
    out = expecting(
        out,
        "expect over 8 samples { shown(dog) <= 40% kept(cat) >= 40% attack(dog, paraphrase) <= 80%"
        " residual(dog) <= 50% attack(dog, p4d) <= 99% }",
    )
    report = run(out, samples=4, steps=10)
    verdicts = {one.attack or one.metric: one.verdict for one in report.outcomes}
    assert verdicts.pop("p4d") == "inconclusive"
    assert set(verdicts.values()) == {"pass"}
    assert report.verdict == "inconclusive"
    assert sum("no gradient" in line for line in report.errors) == 2
    assert [point.degree for point in report.degrees] == [0, 0.25, 0.5, 0.75, 1]
    shares = [point.shown.share for point in report.degrees]
    assert shares[0] - shares[-1] >= 0.75
    rates = [point.shown for point in report.degrees]
    assert all(later.low <= earlier.high for earlier, later in pairwise(rates))
    assert report.noise is not None and len(report.noise.logsnr) == len(report.noise.erased)
    assert report.certificate is not None and report.certificate.layers
    assert report.harmonics and report.harmonics[0].name == "H_o"
    (words_found,) = (one for one in report.attacks if one.attack == "paraphrase")
    assert words_found.adaptive == words_found.static is not None
    assert words_found.base is not None and words_found.base.hits > words_found.adaptive.hits  # the same prompts
    assert words_found.prompts is not None and words_found.prompts.n == 2
    (attacked,) = (one for one in report.outcomes if one.attack == "paraphrase")
    again = attacked.measures[0].base
    assert again is not None and (again.hits, again.n) == (words_found.base.hits, words_found.base.n)
    assert "on the base model the same attack: " in attacked.reason
    (dog,) = (one for one in report.concepts if one.member == ("dog",))
    assert dog.judged_as == "dog" and dog.probes is not None and dog.drift is not None
    assert Report.model_validate_json((out / "report" / "report.json").read_bytes()) == report
    assert "<html" in (out / "report" / "report.html").read_text()
    assert "base_model" in (out / "README.md").read_text()


def test_an_interrupted_run_goes_on_and_draws_nothing_twice(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shots, "SHOTS", 8)
    out = expecting(out, "expect over 12 samples { accuracy(dog) >= 0% }")
    whole = run(out, samples=0)
    shutil.rmtree(out / "report")
    done: list[str] = []
    does = verify.done

    def stops(unit: Unit, bench: Bench, folder: Path) -> dict[str, Any]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(unit.key)
        return does(unit, bench, folder)

    monkeypatch.setattr(verify, "done", stops)
    words = ["verify", str(out), "--samples", "0", "--steps", "2", "--device", "cpu"]
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 130 and "Go on with: tracec verify" in ran.output
    assert not (out / "report" / "report.json").exists()
    assert done == ["certificate", "rounding"]
    monkeypatch.setattr(verify, "done", lambda unit, *rest: (done.append(unit.key), does(unit, *rest))[1])
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 0 and done == ["certificate", "rounding", "shots-0000", "shots-0001", "everyday"]
    again = Report.model_validate_json((out / "report" / "report.json").read_bytes())
    assert same(again) == same(whole)


def same(report: Report) -> dict[str, Any]:
    """All of a report but its cost and times."""
    data = report.model_dump(exclude={"cost", "registered"})
    for attack in data["attacks"]:
        attack.pop("seconds")
    return data


def test_units_of_other_settings_are_not_taken(out: Path) -> None:
    first, card = run(out), (out / "README.md").read_bytes()
    (old,) = (out / "report" / "work").glob("*/")
    units = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    with pytest.warns(UserWarning, match=r"said something else \(pass\); it is kept in .*earlier/0001"):
        again = run(out, steps=3)
    assert again.provenance.sampler["steps"] == 3
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == units  # and nothing is lost
    kept = out / "report" / "earlier" / "0001"
    assert Report.model_validate_json((kept / "report.json").read_bytes()) == first
    assert (kept / "README.md").read_bytes() == card
    words = ["merge", str(out), str(old)]
    assert "earlier/0002" in CliRunner().invoke(main, words).stderr  # the first run, from its units
    assert Report.model_validate_json((out / "report" / "report.json").read_bytes()) == first


def test_protected_concepts_are_never_drawn(tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a picture, not for an attack, not beside another concept: a model that counts sees only the cat."""
    plan = tracelang.compile(
        RECIPE.replace("concept dog {", "concept dog kind protected {")
        + "expect over 2 samples { residual(dog) <= 99% drift(cat) <= 99% kept(cat) >= 1% }"
    )
    out = closed_form(plan, tmp_path / "out")
    monkeypatch.setattr(
        attacks,
        "ATTACKS",
        {
            "paraphrase": attacks.Attack("black box", lambda *_: pytest.fail("a protected concept was attacked")),
        },
    )
    decoded, drawn = list[int](), list[str]()
    decode, draw = StableDiffusionModel.decode, sampling.sample

    def counted(self: StableDiffusionModel, latents: Tensor) -> Tensor:
        decoded.append(len(latents))
        return decode(self, latents)

    def told(model: Any, prompts: Sequence[str], *rest: Any, **named: Any) -> Tensor:
        drawn.extend(prompts)
        return draw(model, prompts, *rest, **named)

    walked = list[str]()
    follow = rollout.record

    def followed(model: Any, starts: Sequence[rollout.Start], *rest: Any) -> Any:
        walked.extend(start.prompt for start in starts)
        return follow(model, starts, *rest)

    monkeypatch.setattr(StableDiffusionModel, "decode", counted)
    monkeypatch.setattr("tracelang.evidence.bench.sampling.sample", told)
    monkeypatch.setattr("tracelang.evidence.units.drift.record", followed)
    report = run(out, samples=2)
    assert any("cat" in prompt for prompt in walked)  # no trajectory goes there, not even undecoded
    assert not [prompt for prompt in walked if "dog" in prompt or "canine" in prompt]
    assert drawn and sum(decoded) == len(drawn)
    assert not [prompt for prompt in drawn if "dog" in prompt or "canine" in prompt]
    (dog,) = (one for one in report.concepts if one.member == ("dog",))
    assert dog.base is dog.after is dog.drift is None
    assert any("protected" in line for line in report.untested)
    assert next(one for one in report.outcomes if one.metric == "residual").verdict != "inconclusive"


def test_the_base_has_to_be_the_one_that_was_edited(out: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    shutil.copytree(micro_sd(), foreign)
    scheduler = json.loads((foreign / "scheduler" / "scheduler_config.json").read_text())
    (foreign / "scheduler" / "scheduler_config.json").write_text(json.dumps({**scheduler, "beta_end": 0.013}))
    with pytest.raises(EvidenceError, match="not the model that was edited"):
        run(out, model=str(foreign))
    ran = CliRunner().invoke(main, ["verify", str(out), "--model", str(foreign)])
    assert ran.exit_code == 2 and "not the model that was edited" in ran.output


WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
LOADED, DRAWN = (prepare.artifacts, "load"), (verify, "share")
TOUCHED = [
    (LOADED, f"out/model/{WEIGHTS}", "is not what `tracec apply` wrote"),
    (LOADED, f"base/{WEIGHTS}", "base: was written to since this command began"),
    (DRAWN, "out/manifest.json", "another edit was written there since this command began"),
]


@pytest.mark.parametrize(("step", "name", "told"), TOUCHED)
def test_what_somebody_writes_to_meanwhile_is_not_reported_on(
    step: tuple[Any, str], name: str, told: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the comparison with the manifest to the models in memory, and from there to the report."""
    base, real = shutil.copytree(micro_sd(), tmp_path / "base"), getattr(*step)

    def slow(*given: Any) -> Any:
        found, file = real(*given), tmp_path / name
        data = file.read_bytes()
        file.write_bytes(data.replace(b'"edited": ', b'"edited": 1') if file.suffix == ".json" else data[:-1] + b"?")
        return found

    monkeypatch.setattr(*step, slow)
    nobody = 1_000_000  # a share without a unit
    with pytest.raises(EvidenceError, match=told):
        verify.verify(out, [Micro()], shard=(nobody, nobody), model=str(base), **FAST)


def test_a_picture_that_was_damaged_is_named(out: Path) -> None:
    run(out)
    picture = next((out / "report" / "work").rglob("*-after.png"))
    picture.write_bytes(b"<svg onload='x'/>")
    ran = CliRunner().invoke(main, ["verify", str(out), "--samples", "0", "--steps", "2", "--device", "cpu"])
    assert ran.exit_code == 2 and f"{picture}: is not the picture that was drawn" in ran.output
    assert "Traceback" not in ran.output


def test_an_out_that_was_changed_is_refused(out: Path) -> None:
    file = out / "model" / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(EvidenceError, match="not what `tracec apply` wrote"):
        run(out)


def test_weights_that_the_manifest_does_not_know_are_refused(out: Path) -> None:
    shutil.copy(
        out / "model" / "unet" / "diffusion_pytorch_model.safetensors",
        out / "model" / "unet" / "diffusion_pytorch_model.fp16.safetensors",
    )
    with pytest.raises(EvidenceError, match="is not in the manifest"):
        run(out)


@pytest.mark.parametrize("name", ["plan.json", "lock.json", "manifest.json", "model"])
def test_an_out_that_lacks_something_is_refused(out: Path, name: str) -> None:
    path = out / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if name == "model":
        (out / "lora.safetensors").unlink()
    ran = CliRunner().invoke(main, ["verify", str(out)])
    assert ran.exit_code == 2 and ran.output.startswith("error: ") and "Traceback" not in ran.output


def test_an_adapter_alone_is_verified_like_the_folder(out: Path) -> None:
    folder = run(out)
    shutil.rmtree(out / "model")
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["model"]
    manifest["emit"].remove("folder")
    (out / "manifest.json").write_text(json.dumps(manifest))
    adapter = run(out)
    assert adapter.verdict == folder.verdict == "pass"
    assert adapter.about and folder.about and adapter.about.parameters is None and folder.about.parameters
    assert adapter.provenance.edited_fingerprint != folder.provenance.edited_fingerprint
    one, other = (report.certificate for report in (adapter, folder))
    assert one is not None and other is not None
    changes = zip(one.layers, other.layers, strict=True)
    assert all(a.change == pytest.approx(b.change, rel=1e-2, abs=1e-6) for a, b in changes)


def test_a_degree_between_is_between_and_leaves_the_model_as_it_was(fresh: Path) -> None:
    from tracelang_sd import StableDiffusion

    family = StableDiffusion()
    base, edited = family.load(micro_sd(), "cpu"), family.load(fresh / "model", "cpu")
    site = next(site for site in edited.sites if not torch.equal(base.weight(site), edited.weight(site)))
    before = edited.weight(site).clone()
    for degree, wanted in ((0.0, base.weight(site)), (1.0, before), (0.5, (base.weight(site) + before) / 2)):
        with at_degree(base, edited, degree) as model:
            torch.testing.assert_close(model.weight(site), wanted)
        assert torch.equal(edited.weight(site), before)


def test_a_bound_that_cannot_pass_is_said_before_anything_is_drawn(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expecting(out, "expect over 6 samples { shown(dog) <= 5% }")
    monkeypatch.setattr(verify.artifacts, "load", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    ran = CliRunner().invoke(main, ["verify", str(out)])
    assert ran.exit_code == 130
    assert ran.output.count("warning: shown(dog) <= 5%: 6 pictures show at best") == 1
    with pytest.warns(UserWarning, match="6 pictures show at best"), pytest.raises(KeyboardInterrupt):
        tracelang.verify(out, device="cpu")


def test_the_python_api(out: Path) -> None:
    report = tracelang.verify(out, device="cpu", **FAST)
    assert report.verdict == "pass"


@pytest.mark.parametrize(("native", "precision"), [(True, "bfloat16 autocast"), (False, "float32")])
def test_the_precision_line_says_what_was_multiplied(
    out: Path, native: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures and searches alike, on a processor that multiplies bfloat16 itself and on one that does not."""

    def searching(target: Any, model: Any, budget: Any) -> Any:
        return textual_inversion.run(target, model, attacks.Budget(rows=1, iterations=1))

    monkeypatch.setattr("tracelang.engine.precision.multiplies_bfloat16", lambda: native)
    monkeypatch.setattr(attacks, "ATTACKS", {"textual_inversion": attacks.Attack("soft states", searching)})
    used = set[tuple[bool, bool]]()
    predict = StableDiffusionModel.predict

    def noted(self: StableDiffusionModel, *rest: Any) -> Tensor:
        used.add((torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
        return predict(self, *rest)

    monkeypatch.setattr(StableDiffusionModel, "predict", noted)
    report = run(expecting(out, "expect over 2 samples { shown(dog) <= 99% attack(dog, textual_inversion) <= 99% }"))
    assert used == {(False, native), (True, native)}
    assert report.provenance.sampler["precision"] == report.cost.dtype == precision
    page = (out / "report" / "report.html").read_text()
    assert f"<dt>precision</dt><dd>{precision}</dd>" in page


def test_a_crash_is_no_verdict(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> None:
        raise RuntimeError("a fault of the program")

    monkeypatch.setattr(prepare, "panel", crash)
    done = CliRunner().invoke(main, ["verify", str(out)])
    assert done.exit_code == 2 and "a fault of the program" in done.output
