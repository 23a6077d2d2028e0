"""What is written loads: every layout and naming of a base, edited, loaded by the line that the card prints."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, FluxPipeline, StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPImageProcessor

import tracelang
import tracelang.api
from tracelang.checkpoint import folder as folders
from tracelang.checkpoint.output import OutputError
from tracelang.cli import main
from tracelang.evidence import artifact, compared
from tracelang.models import loading, weights
from tracelang.plan.family import ModelError

RECIPE = """
templates object = "a photo of a {}"
erase "cat" toward "ship"
preserve "dog"
method uce
"""
PIPELINE = {"sd": StableDiffusionPipeline, "flux": FluxPipeline}
DENOISER = {"sd": "unet", "flux": "transformer"}
ENCODERS = {"sd": ("text_encoder",), "flux": ("text_encoder", "text_encoder_2")}
STEM = "diffusion_pytorch_model"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    Path("r.erase").write_text(RECIPE)


def stored(path: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {name: tensor.to(dtype) for name, tensor in load_file(path).items()}


def variant(component: Path, name: str, keep: bool = False, dtype: torch.dtype = torch.float16) -> None:
    """A component's single file as a variant."""
    for path in component.glob("*.safetensors"):
        if path.name.count(".") == 1:
            save_file(stored(path, dtype), path.with_name(f"{path.stem}.{name}.safetensors"), {"format": "pt"})
            if not keep:
                path.unlink()


def shards(component: Path, names: str, index: str) -> None:
    """A component's single file as three shards; the last holds no edited tensor, the first but one."""
    (path,) = component.glob("*.safetensors")
    tensors = load_file(path)
    edited = [name for name in tensors if re.search("attn2.to_[kv]|context_embedder.weight|text_embedder.lin", name)]
    rest = [name for name in tensors if name not in edited]
    parts = [edited[:1] + rest[:9], edited[1:] + rest[9:20], rest[20:]]
    table = {}
    for i, part in enumerate(parts, 1):
        name = names.format(stem=path.stem, i=i)
        table |= dict.fromkeys(part, name)
        save_file({name: tensors[name] for name in part}, component / name, {"format": "pt"})
    told = {"metadata": {"total_size": 1}, "weight_map": table}
    (component / index.format(stem=path.stem)).write_text(json.dumps(told))
    if path.name not in table.values():
        path.unlink()


def every(base: Path) -> list[Path]:
    return sorted({path.parent for path in base.glob("*/*.safetensors")})


def whole(base: Path, dtype: torch.dtype) -> None:
    for path in base.glob("*/*.safetensors"):
        save_file(stored(path, dtype), path, {"format": "pt"})


def denoiser(base: Path) -> Path:
    return next(base / name for name in DENOISER.values() if (base / name).is_dir())


def pickles(base: Path) -> None:
    """The layout of 2022: pickles beside the safetensors, one single file of everything."""
    for component in every(base):
        (component / f"{STEM}.bin").write_bytes(b"\x80\x02unedited")
    (base / "v1-5-pruned.ckpt").write_bytes(b"\x80\x02unedited")
    shutil.copy(denoiser(base) / f"{STEM}.safetensors", base / "v1-5-pruned.safetensors")


def broken_variant(base: Path) -> None:
    """An index of a variant whose shards are not all there, as an interrupted download leaves it."""
    shards(denoiser(base), "{stem}.fp16-0000{i}-of-00003.safetensors", "{stem}.safetensors.index.fp16.json")
    (denoiser(base) / f"{STEM}.fp16-00003-of-00003.safetensors").unlink()


def beside(base: Path, change) -> None:
    """The change beside the plain file."""
    path = denoiser(base) / f"{STEM}.safetensors"
    data = path.read_bytes()
    change(base)
    path.write_bytes(data)


INDEX, VARIED, OLDER = (f"{{stem}}.safetensors{end}" for end in (".index.json", ".index.fp16.json", ".fp16.index.json"))
LAYOUTS = {
    "plain": (lambda base: None, None),
    "halves": (lambda base: whole(base, torch.float16), None),
    "bfloat16": (lambda base: whole(base, torch.bfloat16), None),
    "a variant only": (lambda base: [variant(one, "fp16") for one in every(base)], "fp16"),
    "a variant of bfloat16 only": (
        lambda base: [variant(one, "bf16", dtype=torch.bfloat16) for one in every(base)], "bf16"),
    "a variant of the denoiser only": (lambda base: variant(denoiser(base), "fp16"), "fp16"),
    "several variants": (
        lambda base: [variant(one, name, keep=True) for one in every(base) for name in ("fp16", "non_ema")], None),
    "shards": (lambda base: shards(denoiser(base), "{stem}-0000{i}-of-00003.safetensors", INDEX), None),
    "shards of every component": (
        lambda base: [shards(one, "{stem}-0000{i}-of-00003.safetensors", INDEX) for one in every(base)], None),
    "shards with names of their own": (lambda base: shards(denoiser(base), "part {i}.safetensors", INDEX), None),
    "a shard with the single file's name": (
        lambda base: beside(base, lambda base: shards(denoiser(base), "{stem}-{i}.safetensors", INDEX)), None),
    "shards of a variant": (
        lambda base: shards(denoiser(base), "{stem}.fp16-0000{i}-of-00003.safetensors", VARIED), "fp16"),
    "older shards of a variant": (
        lambda base: shards(denoiser(base), "{stem}-0000{i}-of-00003.fp16.safetensors", VARIED), "fp16"),
    "older shards and index of a variant": (
        lambda base: shards(denoiser(base), "{stem}-0000{i}-of-00003.fp16.safetensors", OLDER), "fp16"),
    "pickles beside": (pickles, None),
    "half a variant beside": (lambda base: beside(base, broken_variant), None),
}  # fmt: skip


def apply(base: Path, out: Path = Path("out"), **options) -> tuple[str, ...]:
    bound = tracelang.api.bind(tracelang.compile("r.erase"), base)
    tracelang.api.check_output(bound, out, **options)
    return tracelang.api.apply(bound, device="cpu").save(out, **options)


def printed(out: Path) -> str:
    """The Python of the card."""
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.S)
    return code


def run(out: Path, monkeypatch) -> DiffusionPipeline:
    """What the card's lines load, in the folder that it stands in."""
    found = {}
    with monkeypatch.context() as context:
        context.chdir(out)
        exec(printed(out), found)
    return found["pipe"]


def parameters(pipe: DiffusionPipeline) -> dict[str, torch.Tensor]:
    parts = {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    return {f"{name} {key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


def sites(base: Path) -> set[str]:
    return {f"{site.component} {site.tensor}" for site in tracelang.api.bind(tracelang.compile("r.erase"), base).sites}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_loads_and_only_the_intended_tensors_differ(layout, kind, base, tmp_path, monkeypatch):
    change, expected = LAYOUTS[layout]
    change(base)
    apply(base)
    out, code = tmp_path / "out", printed(tmp_path / "out")
    assert (f'variant="{expected}"' in code) == (expected is not None)
    if layout != "a variant of the denoiser only":  # which has two dtypes
        assert ("torch.float16" in code) == (layout in ("halves", "a variant only"))
    after = run(out, monkeypatch)
    assert type(after) is PIPELINE[kind]
    (tmp_path / "plain").mkdir()
    base.rename(tmp_path / "plain/model")
    shutil.copy(out / "README.md", tmp_path / "plain/README.md")
    before = run(tmp_path / "plain", monkeypatch)
    old, new = parameters(before), parameters(after)
    assert old.keys() == new.keys() and all(old[name].dtype == new[name].dtype for name in old)
    assert {name for name in old if not old[name].equal(new[name])} == sites(tmp_path / "plain/model")


def test_no_stored_copy_of_an_edited_matrix_is_the_bases(kind, base, tmp_path):
    """Nor is any file lost that an index names: plain, two variants, and shards that another index names."""
    beside(base, lambda base: shards(denoiser(base), "part.{i}.safetensors", OLDER))
    LAYOUTS["several variants"][0](base)
    pickles(base)
    edited = {name.partition(" ")[2] for name in sites(base)}
    apply(base)
    written, seen = tmp_path / "out/model" / DENOISER[kind], 0
    (index,) = written.glob("*.index*.json")
    assert all((written / name).is_file() for name in json.loads(index.read_text())["weight_map"].values())
    for path in written.glob("*.safetensors"):
        old, new = load_file(base / DENOISER[kind] / path.name), load_file(path)
        for name in edited & old.keys():
            assert not old[name].equal(new[name])
            seen += 1
    assert seen == 4 * len(edited)


def test_what_is_left_out_is_said(kind, base, tmp_path):
    pickles(base)
    beside(base, broken_variant)
    remarks = " ".join(apply(base))
    left_out = json.loads((tmp_path / "out/manifest.json").read_text())["model"]["left_out"]
    assert f"{DENOISER[kind]}/{STEM}.safetensors.index.fp16.json" in left_out
    assert f"{DENOISER[kind]}/{STEM}.fp16-00001-of-00003.safetensors" in left_out and "v1-5-pruned.ckpt" in left_out
    assert f"and {len(left_out) - 3} more" in remarks and left_out[0] in remarks


CHECKER = {"vision_config": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "image_size": 16,
                             "num_attention_heads": 2, "patch_size": 8, "projection_dim": 8},
           "text_config": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
                           "num_attention_heads": 2}, "projection_dim": 8}  # fmt: skip


def checked(base: Path) -> Path:
    """The base with a safety checker, as the folders of Stable Diffusion 1 have one."""
    StableDiffusionSafetyChecker(CLIPConfig(**CHECKER)).save_pretrained(base / "safety_checker")
    CLIPImageProcessor(crop_size=16, size=16).save_pretrained(base / "feature_extractor")
    path = base / "model_index.json"
    path.write_text(
        json.dumps(
            json.loads(path.read_text())
            | {
                "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
                "feature_extractor": ["transformers", "CLIPImageProcessor"],
                "requires_safety_checker": True,
            }
        )
    )
    return base / "safety_checker"


def bin_only(checker: Path) -> None:
    torch.save(load_file(checker / "model.safetensors"), checker / "pytorch_model.bin")
    (checker / "model.safetensors").unlink()


CHECKERS = {
    "safetensors": (lambda checker: None, None),
    "safetensors and a pickle": (lambda checker: (checker / "pytorch_model.bin").write_bytes(b"\x80"), None),
    "a variant": (lambda checker: variant(checker, "fp16"), None),
    "a pickle": (bin_only, "pytorch_model.bin, a pickle"),
    "a config only": (lambda checker: (checker / "model.safetensors").unlink(), "no safetensors"),
    "nothing": (shutil.rmtree, "not there"),
    "a file cut short": (lambda checker: (checker / "model.safetensors").write_bytes(b"\0" * 4), "truncated"),
}


@pytest.mark.parametrize("kind", ["sd"], indirect=True)
@pytest.mark.parametrize("case", CHECKERS)
def test_a_safety_checker_is_whole_or_said_to_be_gone(case, kind, base, tmp_path, monkeypatch):
    change, word = CHECKERS[case]
    change(checked(base))
    remarks = apply(base)
    out = tmp_path / "out"
    pipe = run(out, monkeypatch)
    manifest = json.loads((out / "manifest.json").read_text())["model"]
    index = json.loads((out / "model/model_index.json").read_text())
    assert (pipe.safety_checker is None) == (word is not None)
    if word is None:
        assert all("pytorch_model.bin" in told or told.startswith("lora.safetensors takes") for told in remarks)
        assert index["safety_checker"] == ["stable_diffusion", "StableDiffusionSafetyChecker"]
        assert manifest["without"] == {} and "Note: the copy" not in (out / "README.md").read_text()
        return
    assert index["safety_checker"] == [None, None] and not (out / "model/safety_checker").exists()
    assert word in manifest["without"]["safety_checker"] and str(tmp_path) not in json.dumps(manifest)
    assert word in remarks[0] and "Note: the copy is without its safety" in (out / "README.md").read_text()
    assert {path for path, file in manifest["files"].items() if file["before"] != file["after"]} == {
        "model_index.json",
        f"unet/{STEM}.safetensors",
    }
    assert manifest["files"]["model_index.json"]["after"] == weights.sha256(out / "model/model_index.json")


@pytest.mark.parametrize("kind", ["sd"], indirect=True)
def test_a_copy_without_its_safety_checker_can_be_verified(kind, base, tmp_path):
    """Its index differs from the base's in nothing else, and nothing else may be said of it."""
    bin_only(checked(base))
    apply(base)
    out = tmp_path / "out"
    compared.with_base(artifact.read(out), artifact.find_base(artifact.read(out), str(base)))
    path, manifest = out / "model/model_index.json", out / "manifest.json"
    index, facts = json.loads(path.read_text()), json.loads(manifest.read_text())
    path.write_text(json.dumps(index | {"requires_safety_checker": False}))
    facts["model"]["files"]["model_index.json"]["after"] = weights.sha256(path)
    manifest.write_text(json.dumps(facts))
    with pytest.raises(artifact.EvidenceError, match=r"model_index\.json differs from the base's"):
        compared.with_base(artifact.read(out), base)


@pytest.mark.parametrize("kind", ["sd"], indirect=True)
def test_the_terminal_says_that_a_component_is_gone(kind, base):
    from click.testing import CliRunner

    bin_only(checked(base))
    result = CliRunner().invoke(main, ["apply", "r.erase", "--model", str(base), "--out", "out", "--device", "cpu"])
    assert result.exit_code == 0 and "note: the copy is without its safety_checker" in result.stderr


def lost(base: Path, name: str) -> Path:
    """A further component that `model_index.json` names."""
    path = base / "model_index.json"
    kind = ["transformers", "CLIPVisionModelWithProjection"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: kind}))
    (base / name).mkdir()
    (base / name / "config.json").write_text("{}")
    return base / name


NAMED = {
    "a pickle": (lambda one: (one / "pytorch_model.bin").write_bytes(b"\x80"), "safe_serialization"),
    "a config only": (lambda one: None, "no safetensors"),
    "no folder": (shutil.rmtree, "not there"),
    "no config": (lambda one: (one / "config.json").unlink(), "config.json: is missing"),
    "a file cut short": (lambda one: (one / "model.safetensors").write_bytes(b"\0" * 4), "truncated"),
    "another name": (lambda one: save_file({"x": torch.zeros(1)}, one / "weights.safetensors"), "no safetensors"),
    "a variant that no other has, in another format": (
        lambda one: (one / "model.fp16.bin").write_bytes(b"\x80"),
        "safe_serialization",
    ),
    "an index without its shards": (
        lambda one: (one / "model.safetensors.index.json").write_text(
            '{"metadata": {}, "weight_map": {"x": "a.safetensors"}}'
        ),
        "a.safetensors",
    ),
}


@pytest.mark.parametrize("case", NAMED)
def test_any_other_component_without_weights_is_refused_before_work(case, kind, base, tmp_path):
    change, word = NAMED[case]
    change(lost(base, "image_encoder"))
    with pytest.raises(ModelError, match=word) as caught:
        apply(base)
    assert "image_encoder" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    apply(base, emit=("lora",))  # which has no model/ to be loaded


def test_components_of_two_variants_that_no_single_call_loads_are_refused(kind, base):
    variant(denoiser(base), "fp16")
    variant(base / "vae", "bf16")
    with pytest.raises(ModelError, match="there is no safetensors weights file"):
        apply(base)


def test_a_file_without_an_ending_that_keeps_diffusers_from_a_variant_is_named(kind, base):
    variant(denoiser(base), "fp16")
    (base / "vae/LICENSE").write_text("")
    with pytest.raises(IndexError):
        DiffusionPipeline.from_pretrained(base, variant="fp16")
    with pytest.raises(ModelError, match="LICENSE"):
        apply(base)


@pytest.mark.parametrize("part", ["denoiser", "text_encoder", "vae", "scheduler", "tokenizer"])
def test_a_copy_that_lost_a_part_is_not_published(part, kind, base, tmp_path, monkeypatch):
    """A fault injected into the writing: whatever its cause, an output that does not load is none."""
    name = DENOISER[kind] if part == "denoiser" else part
    real = folders.copy

    def losing(base, target, *rest):
        manifest = real(base, target, *rest)
        for path in (target / name).iterdir():
            if path.suffix == ".safetensors" or part in ("scheduler", "tokenizer"):
                path.unlink()
        return manifest

    monkeypatch.setattr(folders, "copy", losing)
    with pytest.raises(OutputError, match=f"not written, plain diffusers could not load it: {name}") as caught:
        apply(base)
    assert "partial" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"base", "cache", "r.erase"}


def test_the_line_is_for_the_place_where_the_card_stands(built):
    assert loading.call(built) == (
        'from diffusers import DiffusionPipeline\n\npipe = DiffusionPipeline.from_pretrained("model")'
    )


def test_the_card_of_an_adapter_has_its_line(kind, base, tmp_path, monkeypatch):
    apply(base)
    (line,) = re.findall(r"`(pipe\.load_lora_weights\(.*?\))`", (tmp_path / "out/README.md").read_text())
    pipe = PIPELINE[kind].from_pretrained(base)
    monkeypatch.chdir(tmp_path / "out")
    exec(line, {"pipe": pipe})
    assert pipe.get_active_adapters()


def test_a_card_without_a_folder_has_no_lines(base, tmp_path):
    apply(base, emit=("lora",))
    assert "```python" not in (tmp_path / "out/README.md").read_text()
