"""Models that take parts from others: their distribution, its packing, and that nothing tells them from whole ones."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tracelang
from tracelang.cli.models import _look
from tracelang.evidence import panel as evidence_panel
from tracelang.models import locate
from tracelang.models.weights import fingerprint
from tracelang.plan.family import ModelError
from tracelang_micro import MODELS, micro_flux, micro_sd, twins
from tracelang_micro.judging import Micro
from tracelang_micro.world import card, diffusion, flux, place, tokens
from tracelang_micro.world.trainings import TRAININGS

ROOT = Path(__file__).parents[2]
HOME = ROOT / "backends" / "tracelang_micro_twins"
PROJECT: dict[str, Any] = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
MOST = 50 * 10**6


def whole(base: Path, into: Path, *own: str) -> Path:
    """A model of the base's architecture with the parts `own` untrained."""
    shutil.copytree(base, into)
    tokenizer = tokens.load_or_train(base / "tokenizer", Path())
    made = {
        "unet": lambda: diffusion.make_unet(seed=2),
        "text_encoder": lambda: diffusion.make_text(
            len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id, seed=2
        ),
        "transformer": lambda: flux.make_transformer(seed=2),
    }
    for part in own:
        made[part]().half().save_pretrained(into / part, safe_serialization=True)
    return into


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A whole twin, and what its distribution holds of it."""
    home = tmp_path_factory.mktemp("twin")
    made = whole(micro_sd(), home / "micro-sd-never-1", "unet", "text_encoder")
    twins.split(made, home / "packed" / made.name, {"micro-sd": micro_sd()})
    return made, home / "packed" / made.name


@given(st.binary(max_size=2000))
def test_what_was_packed_comes_back(data: bytes) -> None:
    assert twins.unpack(twins.pack(data)) == data


def test_trained_weights_are_packed_to_at_most_six_sevenths() -> None:
    data = (micro_sd() / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    packed = twins.pack(data)
    assert len(packed) <= 6 / 7 * len(data) and twins.unpack(packed) == data


def test_a_twin_holds_its_own_and_names_whose_the_rest_is(twin: tuple[Path, Path], tmp_path: Path) -> None:
    made, packed = twin
    assert {place.name for place in packed.iterdir() if place.is_dir()} == {"unet", "text_encoder"}
    shared = json.loads((packed / twins.SHARED).read_bytes())
    assert {*shared} == {"vae", "tokenizer", "scheduler"} and {of["model"] for of in shared.values()} == {"micro-sd"}
    assert not [*packed.rglob("*.safetensors")] and [*packed.rglob("*.safetensors.xz")]
    again = twins.complete(packed, tmp_path)
    assert twins.digest(again) == twins.digest(made) and fingerprint(again) == fingerprint(made)
    assert twins.complete(packed, tmp_path) == again and [*tmp_path.iterdir()] == [again]


def test_a_part_may_be_taken_from_another_twin(
    twin: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, packed = twin
    other = whole(micro_flux(), tmp_path / "micro-flux-never-1", "transformer")
    shutil.rmtree(other / "text_encoder")
    shutil.copytree(made / "text_encoder", other / "text_encoder")
    twins.split(other, tmp_path / "packed" / other.name, {"micro-flux": micro_flux(), made.name: made})
    shared = json.loads((tmp_path / "packed" / other.name / twins.SHARED).read_bytes())
    assert shared["text_encoder"]["model"] == made.name and shared["vae"]["model"] == "micro-flux"
    places = {"micro-flux": micro_flux(), made.name: twins.complete(packed, tmp_path / "cache")}
    monkeypatch.setattr(twins, "locate", places.__getitem__)
    assert twins.digest(twins.complete(tmp_path / "packed" / other.name, tmp_path / "cache")) == twins.digest(other)


def test_a_part_that_is_another_is_refused_and_nothing_is_left(
    twin: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = shutil.copytree(micro_sd(), tmp_path / "changed")
    (changed / "vae" / "config.json").write_text("{}")
    monkeypatch.setattr(twins, "locate", lambda name: changed)
    with pytest.raises(ModelError, match="the vae of micro-sd is not the one that it was trained with; install"):
        twins.complete(twin[1], tmp_path / "cache")
    assert not [*(tmp_path / "cache").iterdir()]


@pytest.mark.parametrize(
    "stated",
    [
        None,
        "{",
        "[]",
        '{"vae": {"model": "micro-sd"}}',
        *(
            json.dumps({name: {"model": model, "sha256": "0"}})
            for name, model in (("../vae", "micro-sd"), ("/tmp", "micro-sd"), ("..", "micro-sd"), ("", "micro-sd"))
        ),
        *(json.dumps({"vae": {"model": model, "sha256": "0"}}) for model in ("owner/name", "../x", "", None)),
    ],
)
def test_a_part_has_a_plain_name_and_an_embedded_model(
    twin: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: str | None
) -> None:
    monkeypatch.setattr(twins, "locate", lambda name: pytest.fail(f"looked for {name}"))
    folder = shutil.copytree(twin[1], tmp_path / "hostile")
    (folder / twins.SHARED).unlink()
    if stated is not None:
        (folder / twins.SHARED).write_text(stated)
    with pytest.raises(ModelError, match=r"hostile: shared\.json cannot be read; install"):
        twins.complete(folder, tmp_path / "cache")
    assert not [*(tmp_path / "cache").iterdir()]


def test_damaged_weights_are_told(twin: tuple[Path, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(twin[1], tmp_path / "damaged")
    next(folder.rglob("*.xz")).write_bytes(b"x")
    with pytest.raises(ModelError, match=r"safetensors\.xz is damaged; install"):
        twins.complete(folder, tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_told(twin: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot be unpacked in .*; set TRACELANG_CACHE to a folder"):
        twins.complete(twin[1], tmp_path / "file" / "models")


def test_it_is_a_model_like_any_other(twin: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its name to an OUT that plain diffusers loads, and that has all that it shares."""
    from diffusers import StableDiffusionPipeline

    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    distribution = ModuleType("made_twins")
    distribution.twin = partial(twins.complete, twin[1])
    monkeypatch.setitem(sys.modules, distribution.__name__, distribution)
    point = EntryPoint(twin[0].name, "made_twins:twin", "tracelang.models")
    monkeypatch.setattr(
        locate, "entry_points", lambda group: [*entry_points(group=group), *([point] if group == point.group else [])]
    )
    found, broken = dict[str, str](), dict[str, str]()
    _look(point.name, found, broken)
    assert (found, broken) == ({point.name: "sd1"}, {})
    plan = tracelang.compile('erase "dog" toward "cat"\npreserve "cat"\nmethod uce {}\n')
    edited = tracelang.apply(tracelang.bind(plan, point.name), device="cpu")
    edited.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "lock.json").read_bytes())["model"]["name"] == point.name
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "out" / "model", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    assert torch.isfinite(pipe("a cat", num_inference_steps=2, output_type="pt").images).all()


# --- the distribution ---


def test_its_models_are_those_of_the_trainings_that_are_not_shipped_beside_the_judge() -> None:
    names = {*PROJECT["entry-points"]["tracelang.models"]}
    assert {name for name, one in TRAININGS.items() if not one.clip} - {*place.SHIPPED} <= names
    assert names <= {*TRAININGS} - {*place.SHIPPED}
    for name, value in PROJECT["entry-points"]["tracelang.models"].items():
        assert value == f"tracelang_micro_twins:{name.replace('-', '_')}"
    assert [line.split(" ")[0] for line in PROJECT["dependencies"]] == ["tracelang-micro==0.1.0"]
    assert place.TWINS == HOME


def test_its_models_are_looked_at_by_the_judge_of_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order in which the two distributions are found, and with the same identity."""

    class Point:
        def __init__(self, name: str, value: str, home: str) -> None:
            self.name, self.module, self.dist = name, value.partition(":")[0], self
            self.version, self.home = "0.1.0", home

    def points(group: str, homes: tuple[str, ...]) -> list[Point]:
        tables = {
            home: tomllib.loads((ROOT / "backends" / home / "pyproject.toml").read_text())["project"] for home in homes
        }
        made = []
        for table in tables.values():
            for name, value in table["entry-points"][group].items():
                made.append(Point(name, value, table["name"]))
        for point in made:
            point.dist = type("Distribution", (), {"name": point.home, "version": point.version})()
        return made

    codes = set()
    for homes in (("tracelang_micro", "tracelang_micro_twins"), ("tracelang_micro_twins", "tracelang_micro")):
        monkeypatch.setattr(evidence_panel, "entry_points", lambda group, homes=homes: points(group, homes))
        for name in ("micro-sd", "micro-sd-never-1"):
            (judge,) = evidence_panel._default(name, [])
            assert judge.card.name == "micro"
            codes.add(evidence_panel.code(judge))
        assert evidence_panel._default(None, []) == []
    monkeypatch.setattr(evidence_panel, "entry_points", lambda group: points(group, ("tracelang_micro",)))
    assert codes == {evidence_panel.code(Micro())}


def test_the_installed_models_take_at_most_fifty_megabytes() -> None:
    held = [file for file in HOME.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in held if file.suffix != ".pyc") <= MOST
    names = {folder.name for folder in (HOME / "models").iterdir()}
    assert names == {*PROJECT["entry-points"]["tracelang.models"]}
    assert {card.file_of(name) for name in names} == {file.name for file in HOME.glob("card-*.json")}
    for name in names:
        shared = json.loads((HOME / "models" / name / twins.SHARED).read_bytes())
        assert {"vae", "tokenizer"} <= {*shared}
        for part, of in shared.items():
            if of["model"] in place.SHIPPED:
                assert twins.digest(MODELS / of["model"] / part) == of["sha256"], (name, part)


def test_what_was_made_goes_into_both_distributions(tmp_path: Path) -> None:
    published, home, apart = tmp_path / "published", tmp_path / "home", tmp_path / "apart"
    shutil.copytree(micro_sd(), published / "models" / "micro-sd")
    whole(micro_sd(), published / "models" / "micro-sd-seed-2", "text_encoder")
    (published / "card.json").write_text("1")
    (published / "card-micro-sd-seed-2.json").write_text("2")
    (published / "judge").mkdir()
    (published / "judge" / "judge.safetensors").write_bytes(b"judge")
    (home / "judge").mkdir(parents=True)
    place.place(published, home, apart)
    assert twins.digest(home / "models" / "micro-sd") == twins.digest(micro_sd())
    assert [file.name for file in apart.rglob("*.safetensors.xz")] == ["model.safetensors.xz"]
    assert {file.name: file.read_text() for at in (home, apart) for file in at.glob("*.json")} == {
        "card.json": "1",
        "card-micro-sd-seed-2.json": "2",
    }
    assert (home / "judge" / "judge.safetensors").read_bytes() == b"judge"
