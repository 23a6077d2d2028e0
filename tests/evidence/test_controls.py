"""Controls are found, or refused in a line before anything is drawn; one is in memory at a time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import random_sd
from tracelang.evidence import controls
from tracelang.evidence.attacks import Budget
from tracelang.evidence.bench import Bench
from tracelang.evidence.controls import Asked, Control
from tracelang.evidence.errors import EvidenceError
from tracelang.evidence.panel import Panel
from tracelang.models import weights
from tracelang.models.model import PipelineModel
from tracelang_sd import StableDiffusion
from tracelang_sd.model import StableDiffusionModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_sd.build(tmp_path_factory.mktemp("controls") / "base")


@pytest.fixture(scope="module")
def base(folder: Path) -> StableDiffusionModel:
    return StableDiffusion().load(folder)


def twin(folder: Path, where: Path, seed: int) -> Path:
    """Another model of the base's architecture, with its autoencoder."""
    made = random_sd.build(where, seed=seed)
    shutil.rmtree(made / "vae")
    shutil.copytree(folder / "vae", made / "vae")
    return made


@pytest.fixture(scope="module")
def twins(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home = tmp_path_factory.mktemp("twins")
    return [twin(folder, home / f"twin-{seed}", seed) for seed in (2, 3)]


def found(asked: Sequence[Asked], folder: Path, base: StableDiffusionModel) -> dict[str, Control]:
    return controls.find(asked, folder, base, base, "the edited one's")


def test_they_are_named_in_the_order_of_their_models_each_with_what_draws_its_pictures(
    folder: Path, base: StableDiffusionModel, twins: list[Path]
) -> None:
    first, second = map(str, twins)
    some = found([("random", ()), ("never", (second,)), ("never", (first, second))], folder, base)
    assert {name: one.model for name, one in some.items()} == {
        "never-1": twins[1].name,
        "never-2": twins[0].name,
        "random": "the denoiser drawn anew",
    }
    assert [some[f"never-{i}"].fingerprint for i in (1, 2)] == [weights.fingerprint(one) for one in reversed(twins)]
    assert some["random"].fingerprint == some["random"].load().fingerprint != base.fingerprint


def test_one_is_in_memory_at_a_time_and_holds_no_autoencoder_of_its_own(
    folder: Path, base: StableDiffusionModel, twins: list[Path]
) -> None:
    bench = Bench(
        None,  # type: ignore[arg-type]
        base,
        base,
        Panel((), {}, {}),
        Budget(),
        2,
        others=found([("never", tuple(map(str, twins))), ("random", ())], folder, base),
    )
    assert bench.controls == ("never-1", "never-2", "random")
    assert bench.model("base") is base and bench.model("edited") is base and not bench.held
    for name in bench.controls:
        model = bench.model(name)
        assert isinstance(model, PipelineModel) and bench.model(name) is model and list(bench.held) == [name]
        pairs = zip(model.vae.parameters(), base.vae.parameters(), strict=True)
        assert all(mine.data_ptr() == theirs.data_ptr() for mine, theirs in pairs)
        mine, theirs = (one.weight(base.sites[0]) for one in (model, base))
        assert not torch.equal(mine, theirs)
    with pytest.raises(KeyError):
        bench.model("never-3")


def test_one_that_somebody_writes_to_before_it_is_loaded_is_no_longer_that_control(
    folder: Path, base: StableDiffusionModel, twins: list[Path], tmp_path: Path
) -> None:
    place = shutil.copytree(twins[0], tmp_path / "twin")
    control = found([("never", (str(place),))], folder, base)["never-1"]
    assert control.load().fingerprint == control.fingerprint
    file = place / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(EvidenceError, match=f"^{place}: was written to since this command began; run it again$"):
        control.load()


def test_an_edited_model_stored_otherwise_is_no_control_of_itself(
    folder: Path, base: StableDiffusionModel, twins: list[Path], tmp_path: Path
) -> None:
    """As `never` it would show as much as the edit does, whatever that is: no excess, and a verdict of none."""
    place = tmp_path / "again"
    shutil.copytree(twins[0], place)
    (file,) = (place / "unet").glob("*.safetensors")
    save_file({name: tensor.half() for name, tensor in load_file(file).items()}, file)
    edited = StableDiffusion().load(twins[0])
    with pytest.raises(EvidenceError, match="is the edited model itself, stored otherwise; name a model"):
        controls.find([("never", (str(place),))], folder, base, edited, "the edited one's")
    assert controls.find([("never", (str(twins[1]),))], folder, base, edited, "the edited one's")


def test_a_name_means_all_the_installed_models_that_are_numbered_after_it(
    folder: Path, base: StableDiffusionModel, twins: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {f"micro-never-{i}": place for i, place in zip((10, 2), twins, strict=True)}
    monkeypatch.setattr(controls, "embedded", lambda: places)
    monkeypatch.setattr(controls, "locate", places.__getitem__)
    some = found([("never", ("micro-never",))], folder, base)
    assert [one.fingerprint for one in some.values()] == [weights.fingerprint(twins[1]), weights.fingerprint(twins[0])]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("missing", "is no folder, no hub id, and no installed model or twins of it; run `make twins`"),
        ("same", "base is the base itself; name a model that never knew it"),
        ("vae", "has another vae than the base; name a model that was trained as the base was"),
        ("tokenizer", "has another tokenizer than the base"),
        ("scheduler", "has another scheduler than the base"),
        ("family", "is of the family sd2, the base of sd1"),
        ("weights", "cannot be used .*unet.*"),
        ("no model", "no model_index.json in it"),
    ],
)
def test_what_is_no_control_of_this_base_is_refused_in_a_line(
    folder: Path, base: StableDiffusionModel, twins: list[Path], tmp_path: Path, change: str, why: str
) -> None:
    place = tmp_path / "other"
    shutil.copytree(twins[0], place)
    match change:
        case "missing":
            place = Path("micro-sx-never")
        case "same":
            place = folder
        case "vae":
            shutil.rmtree(place / "vae")
            shutil.copytree(random_sd.build(tmp_path / "third", seed=9) / "vae", place / "vae")
        case "tokenizer":
            (place / "tokenizer" / "special_tokens_map.json").write_text('{"pad_token": "!"}')
        case "scheduler":
            file = place / "scheduler" / "scheduler_config.json"
            file.write_text(file.read_text().replace("0.012", "0.013"))
        case "family":
            random_sd.build(tmp_path / "sd2", config="sd2")
            for part in ("unet", "text_encoder"):
                shutil.rmtree(place / part)
                shutil.copytree(tmp_path / "sd2" / part, place / part)
        case "weights":
            next((place / "unet").glob("*.safetensors")).unlink()
        case "no model":
            place = tmp_path / "empty"
            place.mkdir()
    with pytest.raises(EvidenceError, match=why) as error:
        found([("never", (str(place),))], folder, base)
    assert "\n" not in str(error.value)
