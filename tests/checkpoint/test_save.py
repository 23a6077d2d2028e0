"""An artifact is the base with exactly the edit in it, as a folder and as an adapter, and plain diffusers agrees."""

import hashlib
import json
import logging
import os
import re
import shutil
import stat
import warnings
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import load_file, save_file

from tracelang.checkpoint import patch
from tracelang.checkpoint.card import card
from tracelang.checkpoint.lora import Size
from tracelang.checkpoint.output import OutputError
from tracelang.checkpoint.save import save
from tracelang.engine.low_rank import LowRank
from tracelang.models import steady
from tracelang.plan.family import ModelError, Site

UNET = "unet/diffusion_pytorch_model.safetensors"
SOURCES = {"cats.erase": b'erase "cat"\npreserve "dog"\n# ``` \n', "lists/more.txt": b"kitten\n"}


@pytest.fixture(scope="module")
def deltas(tiny, family):
    """A change of each matrix that reads text, of various ranks, about as large as the weights."""
    generator = torch.Generator().manual_seed(0)

    def factor(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64) / 4

    text = [site for site in family.sites(tiny) if site.text]
    return {s: LowRank(factor(s.shape[0], 1 + i % 3), factor(1 + i % 3, s.shape[1])) for i, s in enumerate(text)}


def half(base: Path, folder: Path) -> Path:
    """The base as an fp16 checkpoint."""
    shutil.copytree(base, folder)
    for path in folder.rglob("*.safetensors"):
        save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    return folder


def pipeline(folder: Path) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, local_files_only=True, dtype=torch.float32
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: StableDiffusionPipeline) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.from_numpy(
        pipe(["a cat", "a dog"], num_inference_steps=6, generator=generator, output_type="np").images
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_folder_and_adapter_are_the_same_edit_in_plain_diffusers(dtype, tiny, family, plan, deltas, tmp_path, caplog):
    base = half(tiny, tmp_path / "half") if dtype == "float16" else tiny
    save(tmp_path / "out", base, family, deltas, plan, SOURCES, size=Size(0))
    plain, edited, adapted = pipeline(base), pipeline(tmp_path / "out/model"), pipeline(base)

    diffusers_logging.enable_propagation()
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        caplog.clear()
        adapted.load_lora_weights(tmp_path / "out", weight_name="lora.safetensors", use_safetensors=True)
    # diffusers says this of every adapter that leaves the text encoder alone
    assert [r for r in caplog.messages if "No LoRA keys associated to CLIPTextModel" not in r] == []

    resolution = {"float32": 2e-6, "float16": 3e-3}[dtype]
    for site, delta in deltas.items():
        exact = delta.up @ delta.down
        layer = adapted.unet.get_submodule(site.module)
        (name,) = layer.active_adapters
        effective = layer.scaling[name] * layer.lora_B[name].weight @ layer.lora_A[name].weight
        assert (effective - exact).norm() <= resolution * exact.norm()
        fused = edited.unet.get_parameter(site.tensor) - plain.unet.get_parameter(site.tensor)
        assert (fused - exact).norm() <= resolution * exact.norm()

    images = [draw(pipe) for pipe in (plain, edited, adapted)]
    assert (images[1] - images[2]).abs().max() <= {"float32": 1e-5, "float16": 5e-3}[dtype]
    assert (images[0] - images[1]).abs().max() > 0.05


def test_untouched_tensors_and_files_are_byte_identical_and_the_manifest_knows(tiny, family, plan, deltas, tmp_path):
    save(tmp_path / "out", tiny, family, deltas, plan, SOURCES)
    before, after = files(tiny), files(tmp_path / "out/model")
    assert before.keys() == after.keys()
    assert {path for path in before if before[path] != after[path]} == {UNET}
    old, new = load_file(tiny / UNET), load_file(tmp_path / "out/model" / UNET)
    edited = {site.tensor for site in deltas}
    assert {name for name in old if not old[name].equal(new[name])} == edited
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())["model"]
    table = manifest["tensors"][UNET]
    assert table.keys() == old.keys() and manifest["tensors"].keys() == {UNET}
    for name, row in table.items():
        assert row["before"] == hashlib.sha256(old[name].numpy().tobytes()).hexdigest()
        assert row["after"] == hashlib.sha256(new[name].numpy().tobytes()).hexdigest()
        assert (row["before"] != row["after"]) == (name in edited)
    for path, row in manifest["files"].items():
        assert row["before"] == hashlib.sha256(before[path]).hexdigest()
        assert row["after"] == hashlib.sha256(after[path]).hexdigest()


def test_the_layout_is_complete_readable_and_repeatable(tiny, family, plan, deltas, tmp_path):
    extra = {"device": "cpu", "base_model": "owner/tiny"}
    for name in ("out", "again"):
        save(tmp_path / name, tiny, family, deltas, plan, SOURCES, extra=extra)
    assert files(tmp_path / "out") == files(tmp_path / "again")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "model",
        "lora.safetensors",
        "recipe",
        "plan.json",
        "lock.json",
        "manifest.json",
        "README.md",
    }
    out = tmp_path / "out"
    held = files(out / "recipe")
    assert b"erase cat degree 100%" in held.pop("explained.erase") and held == SOURCES  # they do not give this plan
    assert json.loads((out / "plan.json").read_text())["digest"] == plan.digest
    lock = json.loads((out / "lock.json").read_text())
    assert lock["plan"] == plan.digest and lock["device"] == "cpu" and "torch" in lock["versions"]
    assert lock["model"]["name"] == lock["base_model"] == "owner/tiny" and lock["model"]["folder"] == tiny.name
    assert "scheduler/scheduler_config.json" in lock["model"]["settings"]
    assert lock["model"]["fingerprint"] == family.load(tiny).fingerprint
    assert lock["model"]["components"]["unet"] == hashlib.sha256((tiny / UNET).read_bytes()).hexdigest()
    card = (out / "README.md").read_text()
    assert card.startswith('---\nbase_model: "owner/tiny"\n') and plan.digest in card
    assert "````erase\n" in card and "kitten" not in card
    assert "<b>" not in re.sub(r"^(`{3,})erase\n.*?^\1$", "", card, flags=re.M | re.S)  # in a fence it is text
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o044 for path in out.rglob("*") if path.is_file())
    assert str(tmp_path) not in (card + json.dumps(lock) + (out / "manifest.json").read_text())


def test_an_edit_of_nothing_is_a_copy_bit_for_bit(tiny, family, plan, tmp_path):
    save(tmp_path / "out", tiny, family, {}, plan, SOURCES)
    assert files(tmp_path / "out/model") == files(tiny)
    assert not (tmp_path / "out/lora.safetensors").exists()


def test_every_copy_of_an_edited_matrix_is_edited_or_left_out(tiny, family, plan, deltas, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(tiny, base)
    halves = {name: tensor.half() for name, tensor in load_file(base / UNET).items()}
    save_file(halves, base / "unet/diffusion_pytorch_model.fp16.safetensors")
    leaks = ["unet/diffusion_pytorch_model.bin", "v1-pruned.ckpt", "v1-pruned.safetensors", "unet/model.onnx"]
    for leak in leaks[:2] + leaks[3:]:
        (base / leak).write_bytes(b"unedited")
    save_file({"model.diffusion_model.x": torch.zeros(3)}, base / "v1-pruned.safetensors")
    save_file({"x": torch.zeros(3)}, base / "unet/other.safetensors")
    some = {site.tensor: halves[site.tensor] for site in list(deltas)[:3]}
    save_file(some, base / "unet/model.part.safetensors")
    (base / ".git").mkdir()
    (base / ".git/config").write_text("")
    (base / "LICENSE").write_text("kept")
    save(tmp_path / "out", base, family, deltas, plan, SOURCES, emit=("folder",))
    model = tmp_path / "out/model"
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())["model"]
    assert sorted(manifest["left_out"]) == sorted([*leaks, "unet/other.safetensors", "unet/model.part.safetensors"])
    assert not any((model / path).exists() for path in [*manifest["left_out"], ".git"])
    assert (model / "LICENSE").read_text() == "kept"
    for site, delta in deltas.items():
        expected = (halves[site.tensor].double() + delta.up @ delta.down).half()
        assert load_file(model / "unet/diffusion_pytorch_model.fp16.safetensors")[site.tensor].equal(expected)


def hub_cache(tiny: Path, root: Path) -> Path:
    """A snapshot as the hub's cache lays it out: relative links to blobs."""
    blobs, base = root / "blobs", root / "snapshots" / "0123abcd"
    blobs.mkdir(parents=True)
    for i, path in enumerate(sorted(path for path in tiny.rglob("*") if path.is_file())):
        shutil.copy(path, blobs / str(i))
        link = base / path.relative_to(tiny)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blobs / str(i), link.parent))
    return base


def test_a_hub_cache_of_links_becomes_real_files(tiny, family, plan, deltas, tmp_path):
    base = hub_cache(tiny, tmp_path / "models--owner--tiny")
    save(tmp_path / "out", base, family, deltas, plan, SOURCES)
    save(tmp_path / "plain", tiny, family, deltas, plan, SOURCES)
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert files(tmp_path / "out/model") == files(tmp_path / "plain/model") and files(base) == files(tiny)


@pytest.mark.parametrize("cache", [True, False])
def test_what_lies_outside_the_base_is_not_taken_along(cache, tiny, family, plan, deltas, tmp_path):
    base = tmp_path / "base"
    if cache:
        base = hub_cache(tiny, tmp_path / "models--owner--tiny")
    else:
        shutil.copytree(tiny, base)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key.json").write_text("mine")
    (base / "secrets").symlink_to(tmp_path / "secrets")
    (base / "key.txt").symlink_to(tmp_path / "secrets/key.json")
    (base / "unet/gone").symlink_to("nowhere")
    (base / "again").symlink_to(".")
    (base / "same.txt").symlink_to("unet/config.json")
    os.mkfifo(base / "vae/pipe")
    save(tmp_path / "out", base, family, deltas, plan, SOURCES, emit=("folder",))
    model = tmp_path / "out/model"
    left_out = json.loads((tmp_path / "out/manifest.json").read_text())["model"]["left_out"]
    assert sorted(left_out) == ["key.txt", "secrets", "unet/gone", "vae/pipe"]
    assert not any((model / path).exists() for path in [*left_out, "again"])
    assert (model / "same.txt").read_bytes() == (base / "unet/config.json").read_bytes()


@pytest.mark.parametrize("part", ["vae", "unet/config.json"])
def test_a_base_that_keeps_a_part_of_itself_elsewhere_is_refused(part, tiny, family, plan, deltas, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(tiny, base)
    (base / part).rename(tmp_path / "elsewhere")
    (base / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match=part):
        save(tmp_path / "out", base, family, deltas, plan, SOURCES)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_component_changes_nothing(tiny, family, plan, deltas, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(tiny, base)
    (base / "loras").mkdir()
    (base / "loras/x.safetensors").write_bytes(b"whatever")
    assert family.load(base).fingerprint == family.load(tiny).fingerprint
    save(tmp_path / "out", base, family, deltas, plan, SOURCES)
    assert (tmp_path / "out/model/loras/x.safetensors").read_bytes() == b"whatever"


def test_names_that_are_no_text_do_not_stop_the_writing(tiny, family, plan, deltas, tmp_path):
    odd = os.fsdecode(b"caf\xe9")
    base = tmp_path / odd
    shutil.copytree(tiny, base)
    (base / f"{odd}.txt").write_text("x")
    save(tmp_path / "out", base, family, deltas, plan, SOURCES)
    assert (tmp_path / "out/model" / f"{odd}.txt").read_text() == "x"
    assert f"{odd}.txt" in json.loads((tmp_path / "out/manifest.json").read_text("utf-8"))["model"]["files"]
    assert json.loads((tmp_path / "out/lock.json").read_text("utf-8"))["model"]["name"] == odd


def test_the_card_shows_names_as_they_are_and_steers_no_terminal(plan):
    method = plan.method.model_copy(update={"name": "a`b & <i>|c"})
    info = plan.recipe.model_copy(update={"name": "x\x1b[31m\u202ey"})
    given = plan.model_copy(update={"method": method, "recipe": info})
    source = 'erase "cat"\t# ```\x1b```\x9b\r\n# next\u2028'.encode()
    text = card(given, {"a_b & c.erase": source}, base="o_o/m", fingerprint="f", edited=1)
    assert "`` a`b & <i>\\|c ``" in text and "`a_b & c.erase`" in text and "`o_o/m`" in text
    assert "\n# x&#91;31my\n" in text
    assert '\n```````erase\nerase "cat"\t# ``````\n# next\n```````\n' in text
    assert all(c.isprintable() or c in "\n\t" for c in text)


FAULTS = {
    "another model": lambda d: {Site("unet", "x.weight", (1, 1), "key", "mid", None, False): next(iter(d.values()))},
    "factors": lambda d: {site: LowRank(v.up, v.down[:, 1:]) for site, v in d.items()},
    "nan": lambda d: d | {site: LowRank(v.up * torch.nan, v.down) for site, v in list(d.items())[:1]},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("emit", [("folder",), ("lora",)])
def test_an_edit_that_does_not_fit_leaves_no_output(fault, emit, tiny, family, plan, deltas, tmp_path):
    with pytest.raises(ModelError) as caught:
        save(tmp_path / "out", tiny, family, FAULTS[fault](deltas), plan, SOURCES, emit)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [UNET, "vae/diffusion_pytorch_model.safetensors", "text_encoder/config.json"])
@pytest.mark.parametrize("when", ["since the edit was begun", "while it is written"])
def test_a_base_that_somebody_writes_to_gives_no_output(when, name, tiny, family, plan, deltas, tmp_path, monkeypatch):
    """The fingerprint in the lock, the edit and the copy are all of one base."""
    base = shutil.copytree(tiny, tmp_path / "base")
    os.utime(base / name, (0, 0))
    before, last = steady.checkpoint(base), base / "vae/diffusion_pytorch_model.safetensors"
    real = patch.clone

    def copied(source, target):
        digest = real(source, target)
        if source == last:  # by now every file of the base has been copied
            (base / name).write_bytes((base / name).read_bytes())
        return digest

    if when == "while it is written":
        monkeypatch.setattr(patch, "clone", copied)
    else:
        (base / name).write_bytes((base / name).read_bytes())
    with pytest.raises(ModelError, match=f"^{base / name}: was written to since this command began; run it again$"):
        save(tmp_path / "out", base, family, deltas, plan, SOURCES, ("folder",), before=before)
    assert {path.name for path in tmp_path.iterdir()} == {"base"}


def test_bad_bases_sources_and_outputs_are_refused_before_anything_is_written(tiny, family, plan, deltas, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    (broken / UNET).write_bytes((broken / UNET).read_bytes()[:-1])
    with pytest.raises(ModelError):
        save(tmp_path / "out", broken, family, deltas, plan, SOURCES)
    for sources in ({"../x.erase": b""}, {"/x.erase": b""}, {"": b""}):
        with pytest.raises(OutputError, match="recipe root"):
            save(tmp_path / "out", tiny, family, deltas, plan, sources)
    for emit in ((), ("checkpoint",)):
        with pytest.raises(OutputError, match="emit"):
            save(tmp_path / "out", tiny, family, deltas, plan, SOURCES, emit)
    with pytest.raises(OutputError, match="inside"):
        save(tiny / "out", tiny, family, deltas, plan, SOURCES)
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_an_edited_checkpoint_can_be_edited_in_place_with_force(tiny, family, plan, deltas, tmp_path):
    save(tmp_path / "out", tiny, family, deltas, plan, SOURCES)
    negative = {site: LowRank(-delta.up, delta.down) for site, delta in deltas.items()}
    save(tmp_path / "out", tmp_path / "out/model", family, negative, plan, SOURCES, force=True)
    old, new = load_file(tiny / UNET), load_file(tmp_path / "out/model" / UNET)
    assert all((old[name] - new[name]).abs().max() < 1e-6 for name in old)


@pytest.mark.parametrize(("form", "size"), [("lora", Size(0)), ("lora-kohya", Size(rank=4))])
def test_every_kind_of_site_has_a_name_that_diffusers_maps_back(form, size, tiny, family, plan, tmp_path):
    def ranks(i):
        return size.rank or 1 + i % 4

    deltas = {
        site: LowRank(torch.randn(site.shape[0], ranks(i)).double(), torch.randn(ranks(i), site.shape[1]).double())
        for i, site in enumerate(site for site in family.sites(tiny) if not site.outside)
    }
    save(tmp_path / "out", tiny, family, deltas, plan, SOURCES, emit=(form,), size=size)
    pipe = pipeline(tiny)
    pipe.load_lora_weights(tmp_path / "out", weight_name=f"{form}.safetensors", use_safetensors=True)
    pipe.fuse_lora()
    base = load_file(tiny / UNET)
    for site, delta in deltas.items():
        fused = pipe.unet.get_submodule(site.module).base_layer.weight - base[site.tensor]
        assert (fused - delta.up @ delta.down).abs().max() < 1e-4
