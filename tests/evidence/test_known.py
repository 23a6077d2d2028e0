"""A judge measured on a labelled set, by the command; who gives the set is not trusted; what `verify` takes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from tests.evidence.clip import build
from tests.evidence.test_expectations import plan
from tracelang.cli import main
from tracelang.evidence.decidable import undecided
from tracelang.evidence.known import KnownError, accuracies, read
from tracelang.evidence.labelled import SetError
from tracelang.evidence.labelled import read as read_set
from tracelang.evidence.panel import alone, digest, panel
from tracelang.evidence.schema import Accuracy
from tracelang.evidence.verdicts import rate


def tracec(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


def picture(file: Path, colour: str = "grey") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), colour).save(file)
    return file


@pytest.fixture(scope="module")
def frogs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of a frog as the embedded model draws it, and one that says so and shows nothing."""
    from tracelang.engine.sampling import sample
    from tracelang.evidence.sheet import scaled
    from tracelang_micro import micro_sd
    from tracelang_sd.family import StableDiffusion

    folder = tmp_path_factory.mktemp("set")
    (folder / "frog").mkdir()
    model = StableDiffusion().load(micro_sd())
    images = sample(model, ["a picture of a frog"] * 2, [1, 2], steps=10, fast=True)
    for i, one in enumerate(scaled(images, 64)):
        one.save(folder / "frog" / f"{i}.png")
    picture(folder / "frog" / "wrong.png")
    for i, colour in enumerate(("white", "red", "teal")):
        picture(folder / "none" / f"{i}.png", colour)
    return folder


def test_a_judge_is_measured_class_by_class_and_bound_to_itself_and_to_the_set(frogs: Path, tmp_path: Path) -> None:
    file = tmp_path / "micro.json"
    code, text = tracec("judge", "micro", "--set", frogs, "-o", file)
    assert code == 0, text
    assert "frog: sensitivity 66.7 % (2 of 3" in text and "specificity 100" in text
    known = read(file)
    (frog,) = known.accuracy
    assert frog.label == "frog" and frog.sensitivity == rate(2, 3) and frog.specificity == rate(3, 3)
    card = alone("micro", (), ())[1]
    assert known.digest == digest(card) and known.set == read_set(frogs).digest and known.pictures == 6
    assert accuracies([card], [known])["micro", "frog"] == frog  # what was measured comes before the card's own
    assert accuracies([card])["micro", "frog"].sensitivity != frog.sensitivity
    with pytest.raises(KnownError, match="another micro"):
        accuracies([card.model_copy(update={"threshold": 0.5})], [known])
    with pytest.raises(KnownError, match="does not look here"):
        accuracies([], [known])
    with pytest.raises(KnownError, match="two files"):
        accuracies([card], [known, known])


def test_a_table_says_the_same_as_folders_and_a_changed_picture_is_another_set(frogs: Path, tmp_path: Path) -> None:
    import shutil

    flat = tmp_path / "flat"
    flat.mkdir()
    rows = ["file,label"]
    for file in sorted(frogs.rglob("*.png")):
        shutil.copy(file, flat / f"{file.parent.name}-{file.name}")
        rows.append(f"{file.parent.name}-{file.name},{file.parent.name}")
    (flat / "labels.csv").write_text("\n".join(rows) + "\n")
    assert read_set(flat).digest == read_set(frogs).digest
    picture(flat / "none-0.png", "black")
    assert read_set(flat).digest != read_set(frogs).digest


def test_what_is_wrong_with_a_set_is_a_line_each_and_nothing_is_written(tmp_path: Path) -> None:
    folder, file = tmp_path / "set", tmp_path / "micro.json"
    picture(folder / "frog" / "good.png")
    (folder / "frog" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    outside = picture(tmp_path / "outside.png")
    (folder / "frog" / "link.png").symlink_to(outside)
    code, text = tracec("judge", "micro", "--set", folder, "-o", file)
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert code == 2 and len(lines) == 2 and not file.exists() and "Traceback" not in text
    assert "broken.png: is no picture" in text and "link.png: leads out" in text
    for name in ("broken.png", "link.png"):
        (folder / "frog" / name).unlink()
    (folder / "labels.csv").write_text("file,label\n../outside.png,frog\nmissing.png,frog\n")
    code, text = tracec("judge", "micro", "--set", folder, "-o", file)
    assert code == 2 and "leads out" in text and "missing.png: is not there" in text
    (folder / "labels.csv").write_text("name,label\nx,y\n")
    with pytest.raises(SetError, match="lacks the column"):
        read_set(folder)
    (folder / "labels.csv").unlink()
    (folder / "frog").rename(folder / "zeppelin")
    code, text = tracec("judge", "micro", "--set", folder, "-o", file)
    assert code == 2 and "zeppelin: the judge micro has no such class" in text
    code, text = tracec("judge", "nobody", "--set", folder)
    assert code == 2 and "no judge 'nobody'" in text


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"judge": "micro"}', "hits", "extra"])
def test_a_file_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "known.json"
    side = {"hits": 9 if text == "hits" else 1, "n": 2, "low": 0, "high": 1}
    more = {"more": 1} if text == "extra" else {}
    whole = {"judge": "m", "digest": "d", "set": "s", "pictures": 2, "accuracy": [{"label": "x", "sensitivity": side}]}
    file.write_text(json.dumps(whole | more) if text in ("hits", "extra") else text)
    with pytest.raises(KnownError, match="no file of `tracec judge`"):
        read(file)
    code, told = tracec("verify", tmp_path, "--judge-known", file)
    assert code == 2 and told.count("error") == 1 and "Traceback" not in told
    with pytest.raises(KnownError, match="no regular file"):
        read(Path("/dev/zero"))
    with pytest.raises(KnownError, match="cannot be read"):
        read(tmp_path / "nowhere.json")


def test_the_intervals_in_a_file_are_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    side = {"hits": 5, "n": 10, "low": 0.499, "high": 0.501}
    file.write_text(
        json.dumps(
            {"judge": "m", "digest": "d", "set": "s", "pictures": 10, "accuracy": [{"label": "x", "sensitivity": side}]}
        )
    )
    assert read(file).accuracy[0].sensitivity == rate(5, 10)


def test_clip_is_measured_on_the_recipes_own_concepts_or_on_the_sets(tmp_path: Path) -> None:
    build(tmp_path / "clip")
    for name in ("cat", "dog"):
        picture(tmp_path / "set" / name / "0.png")
    file = tmp_path / "known.json"
    code, text = tracec("judge", f"clip={tmp_path / 'clip'}", "--set", tmp_path / "set", "-o", file)
    assert code == 0, text
    assert {one.label for one in read(file).accuracy} == {"object: cat", "object: dog"}
    recipe = tmp_path / "r.erase"
    recipe.write_text('tracelang 1\nerase "cat"\npreserve "dog", "ship"\n')
    first = read(file).digest
    assert (
        tracec("judge", f"clip={tmp_path / 'clip'}", "--set", tmp_path / "set", "--recipe", recipe, "-o", file)[0] == 0
    )
    assert read(file).digest != first  # another choice of classes is another judge


def test_what_no_chosen_judge_decides_is_told_with_who_would() -> None:
    of = plan("expect over 200 samples { kept(cat) >= 90%  shown(dog) <= 2% }")
    none = panel(of, [], "micro-sd")
    assert undecided(of, none, {}) == []  # the embedded judge knows both
    blind = panel(of, [alone("opennsfw", (), ())[0]], None)
    lines = undecided(of, blind, {})
    assert len(lines) == 2 and "(opennsfw) knows 1 of its 1 concepts (dog)" in lines[0]
    assert all("--judge clip=FOLDER knows any words" in line for line in lines)


def test_a_judge_too_weak_for_the_bound_is_told_before_anything_is_drawn() -> None:
    of = plan("expect over 200 samples { shown(dog) <= 2% }")
    micro = panel(of, [], "micro-sd")
    weak = Accuracy(label="dog", sensitivity=rate(2_633, 10_000))
    (line,) = undecided(of, micro, {("micro", "dog"): weak})
    assert "200 pictures show at best <= 7.2 %" in line and "cannot pass" in line
    (line,) = undecided(
        of, micro, {("micro", "dog"): Accuracy(label="dog", sensitivity=rate(1, 2), specificity=rate(1, 2))}
    )
    assert "name a better judge" in line
