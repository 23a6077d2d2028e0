"""Every form of an output is the edit to whoever loads it, and a file that is not is never published."""

import json
import re
from pathlib import Path

import pytest
import random_flux
import random_sd
import random_sdxl
import torch
from diffusers import DiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tracelang
from tracelang.checkpoint import delta as deltas_file
from tracelang.checkpoint import forms, kohya, lora, modelspec
from tracelang.checkpoint.emits import lora as emit_lora
from tracelang.checkpoint.lora import Size
from tracelang.checkpoint.output import OutputError
from tracelang.checkpoint.save import save
from tracelang.engine.low_rank import Dense, LowRank, truncated
from tracelang.engine.text_map import orthonormal
from tracelang.models.locate import family_of
from tracelang.models.single import stock
from tracelang.plan.family import ModelError, Site
from tracelang.plan.types import Plan
from tracelang.semantics.passes.refine import Refine

BUILDS = {"sd": random_sd.build, "sdxl": random_sdxl.build, "flux": random_flux.build}
SOURCES = {"r.erase": b'erase "cat"\n'}


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> dict[str, Path]:
    return {name: build(tmp_path_factory.mktemp("models") / name) for name, build in BUILDS.items()}


@pytest.fixture(params=BUILDS)
def base(request, bases) -> Path:
    return bases[request.param]


def factor(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) / 4


def _adapted(base: Path) -> list[Site]:
    """The matrices to which adapters go."""
    return [site for site in family_of(base).sites(base) if not site.outside]


def changes(base: Path, rank: int | None = None, text: bool = False) -> dict[Site, LowRank]:
    """A change of every matrix, or of those alone that read the prompt, with falling singular values."""
    made = {}
    for i, site in enumerate(site for site in _adapted(base) if site.reads or not text):
        r, width = rank or 1 + i % 5, site.part.stop - site.part.start
        part = LowRank(factor(site.shape[0], r, seed=i) * 0.5 ** torch.arange(r), factor(r, width, seed=-i))
        made[site] = part.widened(site.part, site.shape[1])
    return made


def write(out: Path, base: Path, given: dict[Site, LowRank], plan: Plan, *emit: str, **more) -> dict:
    save(out, base, family_of(base), given, plan, SOURCES, emit=emit, **more)
    return json.loads((out / "manifest.json").read_text())


def pipeline(base: Path) -> DiffusionPipeline:
    return DiffusionPipeline.from_pretrained(base, local_files_only=True, dtype=torch.float32)


def told(base: Path, pipe: DiffusionPipeline, given: dict[Site, LowRank]) -> float:
    """How far the pipeline's change of any matrix is from the edit's, as a share of it."""
    plain, worst = pipeline(base), 0.0
    for site, change in given.items():
        old = getattr(plain, site.component).get_parameter(site.tensor)
        module = getattr(pipe, site.component).get_submodule(site.module)
        new = getattr(module, "base_layer", module).weight
        worst = max(worst, float((new - old - change.dense()).norm() / change.norm()))
    return worst


@pytest.mark.parametrize("error", [0.0, 0.05])
def test_diffusers_reads_the_edit_out_of_the_adapter(error, base, plan, tmp_path):
    given = changes(base)
    manifest = write(tmp_path / "out", base, given, plan, "lora", size=Size(error))["lora"]
    pipe = pipeline(base)
    pipe.load_lora_weights(tmp_path / "out", weight_name="lora.safetensors", use_safetensors=True)
    pipe.fuse_lora()
    assert told(base, pipe, given) <= error + 2e-5
    assert manifest["errors"].keys() == {site.tensor for site in given}
    worst = max(manifest["errors"].values())
    assert worst <= error + 1e-6 and worst <= manifest["error"] <= 1.02 * worst  # rounded up
    assert (manifest["error"] > 1e-3) == (error > 0)


def test_diffusers_reads_kohyas_names_too_where_the_ranks_agree(base, plan, tmp_path):
    """An independent reader of the names. Of FLUX it passes over what stands before the blocks, and of single blocks it
    takes the widths of the real model alone.
    """
    read = changes(base, rank=3)
    given = {site: one for site, one in read.items() if site.component == "unet" or site.place == "double"}
    write(tmp_path / "out", base, given, plan, "lora-kohya", size=Size(0))
    pipe = pipeline(base)
    pipe.load_lora_weights(tmp_path / "out", weight_name="lora-kohya.safetensors", use_safetensors=True)
    pipe.fuse_lora()
    assert told(base, pipe, given) <= 2e-5


ORIGINALS = {
    "sd": "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k",
    "sdxl": "lora_unet_label_emb_0_0",
    "flux": "lora_unet_double_blocks_0_txt_attn_qkv",
}


@pytest.mark.parametrize("name", BUILDS)
def test_kohyas_file_has_the_names_alphas_and_keys_that_hosts_look_for(name, bases, plan, tmp_path):
    given = changes(bases[name])
    write(tmp_path / "out", bases[name], given, plan, "lora-kohya")
    held = load_file(tmp_path / "out/lora-kohya.safetensors")
    assert f"{ORIGINALS[name]}.lora_down.weight" in held
    stems = {key.rsplit(".", 1)[0] for key in held if key.endswith(".alpha")}
    assert len(held) == 3 * len(stems)
    for stem in stems:
        assert float(held[f"{stem}.alpha"]) == len(held[f"{stem}.lora_down.weight"])
    if name == "flux":
        assert "lora_unet_txt_in.lora_up.weight" in held and "lora_unet_vector_in_in_layer.alpha" in held
        width = held["lora_unet_txt_in.lora_up.weight"].shape[0]
        assert len(held[f"{ORIGINALS[name]}.lora_up.weight"]) == 3 * width
        assert len(held["lora_unet_single_blocks_0_linear1.lora_up.weight"]) == 7 * width


KEYS = {
    "sd": ("stable-diffusion-v1/lora", "sd_v1", "epsilon", "networks.lora"),
    "sdxl": ("stable-diffusion-xl-v1-base/lora", "sdxl_base_v1-0", "epsilon", "networks.lora"),
    "flux": ("flux-1-dev/lora", "flux1", None, "networks.lora_flux"),
}


@pytest.mark.parametrize(("configs", "drawn"), [("sd15", "512x512"), ("sd21", "768x768"), ("sdxl", "1024x1024")])
def test_the_resolution_is_the_published_models(configs, drawn):
    assert modelspec.resolution(stock.folder(configs)) == drawn


@pytest.mark.parametrize("widths", [None, 4, "wide", [], [64] * 5000])
@pytest.mark.parametrize("side", [None, 0, -8, "64", [64], [64, None], 10**400, {}])
def test_of_sizes_that_are_none_nothing_is_said(widths, side, tmp_path):
    for name, config in {"unet": {"sample_size": side}, "vae": {"block_out_channels": widths}}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    assert modelspec.resolution(tmp_path) == ""


@pytest.mark.parametrize("name", BUILDS)
def test_the_metadata_says_what_the_file_is_of(name, bases, plan, tmp_path, monkeypatch):
    given = changes(bases[name], rank=2)
    write(tmp_path / "out", bases[name], given, plan, "lora-kohya", "lora", "delta", size=Size(rank=1))
    found = {}
    for file in (tmp_path / "out").glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            found[file.stem] = opened.metadata()
    assert found.keys() == {"lora", "lora-kohya", "delta"}
    fingerprint = json.loads((tmp_path / "out/lock.json").read_text())["model"]["fingerprint"]
    for held in found.values():
        assert held["modelspec.sai_model_spec"] and held["modelspec.title"] == plan.recipe.name
        assert "cat" in held["modelspec.description"] and re.fullmatch("0x[0-9a-f]{64}", held["modelspec.hash_sha256"])
        assert held["tracelang.plan"] == plan.digest and held["tracelang.base_fingerprint"] == fingerprint
        assert "modelspec.date" not in held and held["tracelang.version"]
        assert held["modelspec.resolution"] == modelspec.resolution(bases[name])
    assert found["lora"]["modelspec.implementation"] == "diffusers"
    held = found["lora-kohya"]
    assert held["ss_network_dim"] == held["ss_network_alpha"] == "1" and set(
        json.loads(held["tracelang.lora_ranks"]).values()
    ) == {1}
    keys = ("modelspec.architecture", "ss_base_model_version", "modelspec.prediction_type", "ss_network_module")
    assert tuple(held.get(key) for key in keys) == KEYS[name]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    write(tmp_path / "dated", bases[name], given, plan, "lora", size=Size(rank=1))
    with safe_open(tmp_path / "dated/lora.safetensors", "pt") as opened:
        assert opened.metadata()["modelspec.date"] == "1970-01-02T00:00:00Z"


def no_alpha(found):
    """Half of the scale stands in an alpha that is not written."""
    return {
        f"{name}.lora_{part}.weight": tensor * (2 if part == "up" else 1)
        for name, layer in found.items()
        for part, tensor in (("down", layer.down), ("up", layer.up))
    }


def halved(found):
    """The alpha of another rank."""
    return {key: value / 2 if key.endswith("alpha") else value for key, value in TENSORS(found).items()}


def dropped(found):
    """A layer is lost."""
    return TENSORS(dict(list(found.items())[1:]))


def prefixed(found):
    """PEFT's own prefix."""
    return {key.replace("lora_unet_", "base_model_model_"): value for key, value in TENSORS(found).items()}


TENSORS = kohya.tensors


@pytest.mark.parametrize(
    ("naive", "says"), [(no_alpha, "2 times"), (halved, "0.5 times"), (dropped, "no change"), (prefixed, "no change")]
)
def test_a_naive_exporter_of_kohyas_names_publishes_nothing(naive, says, bases, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(kohya, "tensors", naive)
    with pytest.raises(OutputError, match=says):
        write(tmp_path / "out", bases["sd"], changes(bases["sd"]), plan, "lora-kohya", "folder")
    assert list(tmp_path.iterdir()) == []


def lost_metadata(found):
    """Factors as PEFT holds them while an alpha of half the rank scales them, and nobody says so."""
    kept = METADATA(found)
    return json.dumps(
        {key: value / 2 if key.endswith("lora_alpha") else value for key, value in json.loads(kept).items()}
    )


METADATA = emit_lora._metadata


def test_a_naive_exporter_of_metadata_publishes_nothing(base, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(emit_lora, "_metadata", lost_metadata)
    with pytest.raises(OutputError, match=r"diffusers would change \S+ 0.5 times"):
        write(tmp_path / "out", base, changes(base, rank=2), plan, "lora")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "base_model.model."])
def test_a_naive_exporter_of_prefixes_publishes_nothing(prefix, base, plan, tmp_path, monkeypatch):
    def layer(name, rows, parts):
        return lora.Layer(prefix + name.partition(".")[2], rows, parts)

    monkeypatch.setattr(emit_lora, "Layer", layer)
    monkeypatch.setattr(emit_lora, "_metadata", lambda found: "{}")
    with pytest.raises((OutputError, ModelError), match="diffusers"):
        write(tmp_path / "out", base, changes(base, rank=2), plan, "lora")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [0.5, 0.1, 0.01, 1e-4])
def test_truncation_has_the_lowest_rank_within_the_error(error):
    change = LowRank(factor(40, 20) * 0.6 ** torch.arange(20), factor(20, 30, seed=1))
    kept = truncated(change, error)

    def lost(one: LowRank) -> float:
        return float((one.dense() - change.dense()).norm()) / change.norm()

    assert lost(kept) <= error < lost(truncated(change, 0, kept.rank - 1))
    assert truncated(change, 0).rank == 20 and lost(truncated(change, 0)) < 1e-12
    assert truncated(change, 0.5, 7).rank == 7


def test_the_same_edit_is_the_same_bytes_with_any_number_of_threads(bases, plan, tmp_path):
    given, threads = changes(bases["sd"]), torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            write(tmp_path / str(number), bases["sd"], given, plan, "lora", "lora-kohya", "delta")
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    for form in ("lora", "lora-kohya", "delta"):
        one, other = (tmp_path / name / f"{form}.safetensors" for name in "12")
        assert one.read_bytes() == other.read_bytes()


def test_a_folder_costs_no_decomposition(bases, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.linalg, "svd", None)
    monkeypatch.setattr(torch.linalg, "qr", None)
    write(tmp_path / "out", bases["sd"], changes(bases["sd"]), plan, "folder", "delta")


def test_a_lora_that_is_larger_than_the_matrices_is_said_to_be(bases, plan, tmp_path):
    given = changes(bases["sd"], rank=8, text=True)
    full = save(tmp_path / "full", bases["sd"], family_of(bases["sd"]), given, plan, SOURCES, ("lora",), size=Size(0))
    small = save(
        tmp_path / "small", bases["sd"], family_of(bases["sd"]), given, plan, SOURCES, ("lora",), size=Size(rank=1)
    )
    assert any("the matrices that it changes" in line for line in full)
    assert (tmp_path / "small/lora.safetensors").stat().st_size < (tmp_path / "full/lora.safetensors").stat().st_size
    assert (
        "rank 1," in json.loads((tmp_path / "small/manifest.json").read_text())["lora"]["summary"] and small is not None
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_delta_makes_the_edit_of_the_base_and_the_base_of_the_edit(base, plan, tmp_path):
    write(tmp_path / "out", base, changes(base), plan, "folder", "delta")
    delta = deltas_file.read(tmp_path / "out/delta.safetensors")
    deltas_file.apply(delta, base, tmp_path / "edited")
    assert files(tmp_path / "edited") == files(tmp_path / "out/model") != files(base)
    deltas_file.apply(delta, tmp_path / "edited", tmp_path / "back", revert=True)
    assert files(tmp_path / "back") == files(base)


def whole(base: Path) -> dict[Site, Dense]:
    """A change of some numbers of some matrices, which has no low rank."""
    made = {}
    for i, site in enumerate(family_of(base).sites(base)[::3]):
        Δ = factor(*site.shape, seed=i)
        Δ.view(-1)[i % 3 :: 3] = 0
        made[site] = Dense(Δ)
    return made


def test_whole_changes_are_written_and_undone_bit_for_bit(base, plan, tmp_path):
    given = whole(base)
    write(tmp_path / "out", base, given, plan, "folder", "delta")
    old, new = pipeline(base), pipeline(tmp_path / "out/model")
    for site, change in given.items():
        before, after = (getattr(pipe, site.component).get_parameter(site.tensor).flatten(1) for pipe in (old, new))
        assert torch.equal(after, (before.double() + change.matrix).float())
        assert torch.equal(after == before, change.matrix == 0)
    delta = deltas_file.read(tmp_path / "out/delta.safetensors")
    assert {name.partition(":")[2] for name in delta.tensors} == {site.tensor for site in given}
    deltas_file.apply(delta, tmp_path / "out/model", tmp_path / "back", revert=True)
    assert files(tmp_path / "back") == files(base)


def test_no_lora_and_no_map_is_asked_for_of_whole_changes(base, tmp_path, monkeypatch):
    (tmp_path / "r.erase").write_text('erase "cat"\nmethod uce\n')
    plan = tracelang.compile(tmp_path / "r.erase")
    assert forms.usual(base, plan) == ("folder", "lora")
    monkeypatch.setattr(Refine, "whole", property(lambda self: True))
    assert forms.usual(base, plan) == ("folder",)
    for form in ("lora", "lora-kohya", "map"):
        with pytest.raises(OutputError, match=r"`refine` changes whole matrices, .*; emit folder"):
            forms.form(form).refuse(base, plan)


def test_a_delta_fits_its_base_alone(bases, plan, tmp_path):
    base = bases["sd"]
    write(tmp_path / "out", base, changes(base), plan, "folder", "delta")
    delta = deltas_file.read(tmp_path / "out/delta.safetensors")
    other = random_sd.build(tmp_path / "other", seed=5)
    for model, revert, says in (
        (other, False, "neither the base"),
        (tmp_path / "out/model", False, "already is the edit"),
        (base, True, "is the base"),
    ):
        with pytest.raises(OutputError, match=says):
            deltas_file.apply(delta, model, tmp_path / "new", revert)
    with pytest.raises(OutputError, match="inside"):
        deltas_file.apply(delta, base, base / "new")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match=r"exists already; choose another name$"):
        deltas_file.apply(delta, base, tmp_path / "taken")
    damaged = {name: bits.clone() for name, bits in load_file(delta.path).items()}
    next(iter(damaged.values()))[0] ^= 1
    with safe_open(delta.path, "pt") as opened:
        metadata = opened.metadata()
    save_file(damaged, tmp_path / "damaged.safetensors", metadata)
    with pytest.raises(OutputError, match="did not become"):
        deltas_file.apply(deltas_file.read(tmp_path / "damaged.safetensors"), base, tmp_path / "new")
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))


@pytest.mark.parametrize("file", ["../x.safetensors", "/etc/x.safetensors", "unet/../../x.safetensors"])
def test_a_delta_that_leads_out_of_a_model_is_refused(file, tmp_path):
    told = {deltas_file.KEY: json.dumps({file: {"before": "0" * 64, "after": "1" * 64}})}
    save_file({f"{file}:k": torch.zeros(4, dtype=torch.uint8)}, tmp_path / "delta.safetensors", told)
    with pytest.raises(ModelError, match="is no delta"):
        deltas_file.read(tmp_path / "delta.safetensors")


def test_a_map_is_the_edit_by_the_lines_of_its_card(base, plan, tmp_path, monkeypatch):
    family = family_of(base)
    by_input = {}
    for i, site in enumerate(site for site in family.sites(base) if site.reads):
        width = site.part.stop - site.part.start
        by_input.setdefault(site.reads, orthonormal(factor(width, 3, seed=i), factor(width, 3, seed=i + 99)))
    maps = {site: by_input[site.reads] for site in family.sites(base) if site.reads}
    plain = pipeline(base)
    given = {}
    for site, text_map in maps.items():
        W = getattr(plain, site.component).get_parameter(site.tensor).detach().double()
        part = LowRank(W[:, site.part] @ text_map.left, text_map.right.T)
        given[site] = part.widened(site.part, site.shape[1])
    manifest = write(tmp_path / "out", base, given, plan, "map", maps=maps)
    assert "3 states moved" in manifest["map"]["summary"]
    (lines,) = re.findall(r"```python\n(.*?)```", (tmp_path / "out/README.md").read_text(), re.S)
    pipe = pipeline(base)
    monkeypatch.chdir(tmp_path / "out")
    exec(lines, {"pipe": pipe})
    assert told(base, pipe, given) <= 1e-5


def test_a_map_of_what_is_none_is_refused(bases, plan, tmp_path):
    (tmp_path / "r.erase").write_text('erase "cat"\nmethod trace_paper\n')
    trained = tracelang.compile(tmp_path / "r.erase")
    with pytest.raises(OutputError, match="`steer` trains every matrix by itself"):
        forms.form("map").refuse(bases["sd"], trained)
    with pytest.raises(OutputError, match="is no map of text states"):
        write(tmp_path / "out", bases["sd"], changes(bases["sd"], text=True), plan, "map")
    assert [path.name for path in tmp_path.iterdir()] == ["r.erase"]


@pytest.mark.parametrize("form", sorted(forms.known()))
def test_every_form_has_what_save_asks_of_it(form):
    found = forms.form(form)
    assert found.RELATION in ("finetune", "adapter") and isinstance(found.EMPTY, bool) and isinstance(found.KEY, str)
    assert all(callable(getattr(found, name)) for name in ("refuse", "write", "card"))


@pytest.mark.parametrize("emit", [("lora",), ("lora-kohya",), ("delta",), ("folder", "lora", "lora-kohya", "delta")])
def test_a_disk_that_is_full_leaves_nothing(emit, bases, plan, tmp_path, monkeypatch):
    from tracelang.models import header

    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(header, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        write(tmp_path / "out", bases["sd"], changes(bases["sd"]), plan, *emit)
    assert list(tmp_path.iterdir()) == []


def test_lock_manifest_and_card_list_every_file(bases, plan, tmp_path):
    manifest = write(tmp_path / "out", bases["sd"], changes(bases["sd"]), plan, "lora", "lora-kohya", "delta")
    card = (tmp_path / "out/README.md").read_text()
    for name in ("lora.safetensors", "lora-kohya.safetensors", "delta.safetensors"):
        assert name in manifest["files"] and f"`{name}`" in card
    assert manifest["emit"] == ["delta", "lora", "lora-kohya"]
