"""Pictures that people judge without knowing which is which, and judges held against them, by the commands."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tests.evidence.test_expectations import plan
from tracelang.cli import main
from tracelang.evidence.agreement import cohen, fleiss
from tracelang.evidence.known import read
from tracelang.evidence.panel import panel
from tracelang.evidence.rating import errors, kept
from tracelang.evidence.rating.key import Key
from tracelang.evidence.units import everyday
from tracelang.evidence.verdicts import rate
from tracelang.evidence.work import Run
from tracelang.models.weights import sha256

EXPECT = "expect over 16 samples { shown(dog) <= 80% kept(cat) >= 20% }"
N = 24
Answer = Callable[[str, set[str]], set[str]]


def tracec(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


def verify(out: Path, *more: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(everyday, "COUNT", everyday.LEAST)
        code, told = tracec("verify", out, "--samples", "0", "--steps", "4", "--device", "cpu", *more)
    assert code in (0, 1, 3), told


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = closed_form(tracelang.compile(RECIPE + EXPECT), tmp_path_factory.mktemp("done") / "out")
    verify(out)
    return out


@pytest.fixture(scope="module")
def blind(done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for raters, its key beside it."""
    folder = tmp_path_factory.mktemp("rating") / "blind"
    code, told = tracec("rate", "export", done, "--n", N, "--seed", 3, "-o", folder)
    assert code == 0 and "the key" in told, told
    return folder


def key_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.key.json")


def work(out: Path) -> Path:
    return out / "report" / "work" / (out / "report" / "work" / "latest").read_text().strip()


def drawn(out: Path) -> list[dict[str, Any]]:
    units = sorted(work(out).glob("shots-*.json"))
    return [row for unit in units for row in json.loads(unit.read_text())["rows"]]


def judged(out: Path, key: Key) -> dict[str, set[str]]:
    """What the judge of the run sees in each picture, of what the raters look for."""
    found = {}
    for one in key.pictures:
        row = json.loads((work(out) / f"{one.unit}.json").read_text())["rows"][one.row]
        label = row[one.side]["micro"]["labels"]["concept"]
        found[one.name] = {each.word for each in key.asked} & {*([label] if isinstance(label, str) else label)}
    return found


def sheet(file: Path, said: Iterable[tuple[str, set[str]]], mark: str = ",") -> Path:
    rows = [f"{name}{mark}{' + '.join(sorted(words)) or 'none'}" for name, words in said]
    file.write_text("\n".join([f"picture{mark}shows", *rows, ""]))
    return file


def lines(told: str) -> list[str]:
    assert "Traceback" not in told
    return [line.removeprefix("error: ") for line in told.splitlines() if line.startswith("error: ")]


def test_an_embedded_models_pictures_are_all_kept_and_the_report_shows_no_more_of_them(done: Path) -> None:
    rows = drawn(done)
    aside = {file for row in rows if row.get("aside") for file in row["files"]}
    assert len(rows) == 32 and all(len(row["files"]) == 2 for row in rows) and aside
    files = {path.relative_to(work(done)).as_posix() for path in work(done).glob("shots-*/*.png")}
    assert files == {file for row in rows for file in row["files"]}
    assert all(name in json.loads((work(done) / f"{Path(name).parent}.json").read_text())["digests"] for name in files)
    shown = json.loads((done / "report" / "report.json").read_text())["pictures"]
    named = {
        Path(one[side]).relative_to(Path("work") / work(done).name).as_posix()
        for one in shown
        for side in ("base", "after")
    }
    assert named & files and not named & aside


def test_only_what_may_be_shown_is_kept_where_so_asked_and_that_is_no_sample(done: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(done, out)
    before = json.loads((out / "report" / "report.json").read_text())["pictures"]
    verify(out, "--keep", "shown")
    rows = drawn(out)
    assert 0 < sum("files" in row for row in rows) < len(rows) and not any("aside" in row for row in rows)
    after = json.loads((out / "report" / "report.json").read_text())["pictures"]
    assert [(one["prompt"], one["seed"], one["what"]) for one in before] == [
        (one["prompt"], one["seed"], one["what"]) for one in after
    ]
    code, told = tracec("rate", "export", out, "--n", "2", "-o", tmp_path / "blind")
    (line,) = lines(told)
    assert code == 2 and "of 64 pictures of plain prompts, picked by what judges saw" in line and "--keep all" in line
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_raters_learn_nothing_but_the_pictures_and_the_key_tells_which_is_which(done: Path, blind: Path) -> None:
    names = [f"{i:02d}.png" for i in range(1, N + 1)]
    assert sorted(path.name for path in blind.iterdir()) == ["README.txt", "index.html", "pictures", "sheet.csv"]
    assert sorted(path.name for path in (blind / "pictures").iterdir()) == names
    with (blind / "sheet.csv").open() as stream:
        assert list(csv.reader(stream)) == [["picture", "shows"], *([name, ""] for name in names)]
    for file in ("README.txt", "index.html", "sheet.csv"):
        text = (blind / file).read_text()
        assert not any(word in text for word in ("base", "after", "edited", "shots", done.name + "/", "a picture of"))
    assert all(word in (blind / "README.txt").read_text() for word in ("  dog\n", "  cat\n", "  none\n"))
    assert all(not Image.open(path).info for path in (blind / "pictures").iterdir())
    key = Key.model_validate_json(key_of(blind).read_bytes())
    for one in key.pictures:
        file = work(done) / drawn(done)[one.row]["files"][one.side == "after"]
        assert one.unit == "shots-0000" and sha256(blind / "pictures" / one.name) == one.sha256 == sha256(file)
    sides = [one.side for one in key.pictures]
    places = [one.row for one in key.pictures]
    assert {*sides} == {"base", "after"} and places != sorted(places) and len({*zip(places, sides, strict=True)}) == N


def test_the_seed_picks_the_pictures_and_nothing_is_overwritten(done: Path, blind: Path, tmp_path: Path) -> None:
    for seed, same in ((3, True), (4, False)):
        again = tmp_path / str(seed)
        assert tracec("rate", "export", done, "--n", N, "--seed", seed, "-o", again)[0] == 0
        assert (key_of(again).read_text() == key_of(blind).read_text()) is same
    for words, why in (
        (("-o", tmp_path / "3"), "is there already; name a new folder"),
        (("-o", tmp_path / "new", "--key", tmp_path / "new" / "key.json"), "lies in the folder that raters get"),
        (("-o", tmp_path / "new", "--key", key_of(tmp_path / "3")), "the only key"),
        (("-o", tmp_path / "new", "--n", "65"), "give --n 64 or less"),
    ):
        code, told = tracec("rate", "export", done, *words)
        (line,) = lines(told)
        assert code == 2 and why in line and not (tmp_path / "new").exists()


def test_a_changed_picture_is_no_picture_of_the_run(done: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(done, out)
    file = next(work(out).glob("shots-*/*.png"))
    Image.new("RGB", (64, 64)).save(file)
    code, told = tracec("rate", "export", out, "-o", tmp_path / "blind")
    (line,) = lines(told)
    assert code == 2 and f"{file.name}: is not the picture that was drawn" in line and not (tmp_path / "blind").exists()


def test_judge_and_raters_are_counted_as_by_hand_and_merge_takes_it(done: Path, blind: Path, tmp_path: Path) -> None:
    key = Key.model_validate_json(key_of(blind).read_bytes())
    micro = judged(done, key)
    own = sheet(tmp_path / "one.csv", micro.items())
    code, told = tracec("rate", "import", done, key_of(blind), own, "-o", tmp_path)
    assert code == 0 and "one rater of 24 pictures" in told, told
    dogs = sum("dog" in words for words in micro.values())
    assert 2 < dogs < N - 2
    known = read(tmp_path / "micro.known.json")
    dog = next(one for one in known.accuracy if one.label.endswith("dog"))
    assert (dog.sensitivity, dog.specificity) == (rate(dogs, dogs), rate(N - dogs, N - dogs)) and known.pictures == N

    # Two more see a dog where the judge sees none, once, and miss one: most see it so, and the first is alone.
    names = [*micro]
    lost = next(name for name in names if "dog" in micro[name])
    more = next(name for name in names if not micro[name])
    other = {**micro, lost: set[str](), more: {"dog"}}
    two = sheet(tmp_path / "two.csv", reversed(other.items()), ";")
    three = sheet(tmp_path / "three.csv", other.items())
    three.write_bytes(
        b"\xef\xbb\xbf"
        + three.read_text()
        .upper()
        .replace("PICTURE;", "")
        .encode()
        .replace(b"PICTURE,SHOWS", b"picture,shows")
        .replace(b".PNG", b".png")
    )
    code, told = tracec("rate", "import", done, key_of(blind), own, two, three, "-o", tmp_path)
    assert code == 0, told
    votes = [["yes" if "dog" in said[name] else "no" for said in (micro, other, other)] for name in names]
    assert f"dog: 3 raters say the same of {N - 2} of {N} pictures, Fleiss' kappa {fleiss(votes):.2f}\n" in told
    dog = next(one for one in read(tmp_path / "micro.known.json").accuracy if one.label.endswith("dog"))
    assert (dog.sensitivity, dog.specificity) == (rate(dogs - 1, dogs), rate(N - dogs - 1, N - dogs))

    code, told = tracec("rate", "import", done, key_of(blind), own, two, "-o", tmp_path)
    kappa = cohen(["dog" in micro[name] for name in names], ["dog" in other[name] for name in names])
    assert f"Cohen's kappa {kappa:.2f}; 2 left out, as many for as against" in told
    dog = next(one for one in read(tmp_path / "micro.known.json").accuracy if one.label.endswith("dog"))
    assert (dog.sensitivity, dog.specificity) == (rate(dogs - 1, dogs - 1), rate(N - dogs - 1, N - dogs - 1))

    out = tmp_path / "out"
    shutil.copytree(done, out)
    code, told = tracec("merge", out, "--judge-known", tmp_path / "micro.known.json")
    assert code in (0, 1, 3), told
    (card,) = json.loads((out / "report" / "report.json").read_text())["judges"]
    assert any("rated by 2" in one["on"] for one in card["accuracy"])


def test_every_fault_of_a_sheet_is_a_line_and_nothing_is_written(done: Path, blind: Path, tmp_path: Path) -> None:
    file = tmp_path / "sheet.csv"

    def faults(text: str | bytes, *others: Path) -> list[str]:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        code, told = tracec("rate", "import", done, key_of(blind), file, *others, "-o", tmp_path)
        assert code == 2 and not (tmp_path / "micro.known.json").exists(), told
        return lines(told)

    rest = "".join(f"{i:02d}.png,none\n" for i in range(8, N + 1))
    wrong = (
        "01.png,zebra",
        "02.png,",
        "03.png,dog",
        "03.png,cat",
        "../04.png,dog",
        "05.png,dog + none",
        "06.png,dog +",
    )
    found = faults("\n".join(["picture,shows", *wrong, rest]))
    assert [line.partition(": ")[2].partition(";")[0] for line in found] == [
        "'zebra' is none of the words: cat, dog, none",
        "02.png has no answer",
        "03.png stands in line 4 already",
        "'../04.png' is no picture of this key",
        "05.png has none beside a word",
        "'' is none of the words: cat, dog, none",
        "has no line for 04.png",
        "has no line for 07.png",
    ]
    assert [line.split(":")[1] for line in found[:6]] == ["2", "3", "5", "6", "7", "8"]
    whole = "".join(f"{i:02d}.png,none\n" for i in range(1, N + 1))
    for text, why in (
        ("", "lacks the column"),
        ("name,shows\n" + whole, "lacks the column"),
        (b"picture,shows\n01.png,\xff\n", "is not UTF-8"),
        ("picture,shows\n" + whole + " " * 2**20, "is larger than 1 MiB"),
        ('picture,shows\n"01.png,none\n', "is no CSV"),
    ):
        (line,) = faults(text)
        assert why in line
    assert len(faults("picture,shows\n" + "x.png,none\n" * 5_000)) == errors.MOST + 1
    (line,) = faults("picture,shows\n" + whole, file)
    assert "is given twice" in line
    (line,) = faults("picture,shows\n" + whole, tmp_path)
    assert "is no file" in line
    (line,) = faults("picture,shows\n" + whole, tmp_path / "nowhere.csv")
    assert "cannot be read" in line


def test_a_key_is_believed_only_where_the_run_has_its_pictures(done: Path, blind: Path, tmp_path: Path) -> None:
    good = json.loads(key_of(blind).read_text())
    answers = sheet(tmp_path / "sheet.csv", ((one["name"], set[str]()) for one in good["pictures"]))
    first = good["pictures"][0]
    for changed, why in (
        ({"run": "../../.."}, "is no key"),
        ({"run": "0" * 64}, "holds no run"),
        ({"pictures": []}, "is no key"),
        ({"pictures": [first, first]}, "two pictures alike"),
        ({"pictures": [{**first, "unit": "../run"}]}, "is no picture of this run"),
        ({"pictures": [{**first, "row": 10**9}]}, "is no picture of this run"),
        ({"pictures": [{**first, "sha256": "0" * 64}]}, "is no picture of this run"),
        (
            {"pictures": [{**first, "side": "base" if first["side"] == "after" else "after"}]},
            "is no picture of this run",
        ),
        ({"more": 1}, "is no key"),
    ):
        key = tmp_path / "key.json"
        key.write_text(json.dumps({**good, **changed}))
        code, told = tracec("rate", "import", done, key, answers, "-o", tmp_path)
        (line,) = lines(told)
        assert code == 2 and why in line, (changed, line)


def test_nobody_is_asked_for_what_is_protected_and_words_tell_concepts_apart() -> None:
    of = plan(
        "expect over 8 samples { kept(cat) >= 20% }",
        'concept frog kind protected { names "frog" }\nconcept one { names "ship" }\nconcept two { names "ship" }\n'
        'concept three { names "bird" }\nerase frog preserve one preserve two preserve three',
    )
    run = Run.of(panel(of, [], "micro-sd"), {}, [], {})
    assert "frog" in {one.name for one in of.concepts}
    words = {one.concept: one.word for one in kept.asked(of, run)}
    assert words == {"cat": "cat", "dog": "dog", "one": "one", "two": "two", "three": "bird"}
