"""A single file goes in and comes out: the bytes that the folder's edit would have, and no other byte changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from diffusers import DiffusionPipeline

import tracelang.api
from tests.layouts import folder, ldm, single
from tests.layouts.checkpoint import Checkpoint, checkpoint
from tests.layouts.judge import draw
from tests.layouts.tensors import BITS, Tensor, given, write
from tests.pages.reading import COMMANDS_PAGE, says
from tracelang.checkpoint.output import OutputError
from tracelang.checkpoint.save import save
from tracelang.cli import main
from tracelang.evidence import artifact as artifacts
from tracelang.evidence import compared
from tracelang.models import configs, header, weights
from tracelang.models.locate import locate

UCE = 'erase "cat" toward "dog"\npreserve "ship"\nmethod uce\n'
TRACE = """
erase "cat" toward "dog"
preserve "ship"
method trace { steer.steps = 2  steer.batch = 2  steer.trajectories = 2  steer.sampler_steps = 10  steer.rank = 2 }
"""
WHOLE = """
erase "cat" toward "dog"
preserve "ship"
method esd_u {
  steer.on = everything  steer.steps = 2  steer.rate = 0.01  steer.trajectories = 2  steer.sampler_steps = 10
}
"""
CASES = [
    *((WHOLE, True, kind) for kind in ("sd1", "sd2", "sdxl", "flux-dev")),
    *((UCE, False, kind) for kind in ("sd1", "sd2", "sdxl", "sdxl-v", "flux-dev")),
    *((TRACE, True, kind) for kind in ("sdxl", "flux-dev")),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(cache))
    return tmp_path


def both(kind: str, **which: Any) -> tuple[Checkpoint, Path, Path]:
    model = checkpoint(kind)
    at = folder.build(Path("folder"), model)
    told = {"markers": ("v_pred",)} if kind == "sdxl-v" else {}
    return model, at, single.build(Path("model.safetensors"), model, **told, **which)


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    """Puts here what is made once of a kind: `folder`, `model.safetensors`, and both edited by `UCE`."""
    made: dict[str, Path] = {}

    def put(kind: str) -> None:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            with contextlib.chdir(made[kind]):
                _, at, file = both(kind)
                applied(UCE, "of-folder", at, "--emit", "folder")
                applied(UCE, "of-file", file, "--config", str(at))
        shutil.copytree(made[kind], ".", dirs_exist_ok=True)

    return put


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def applied(recipe: str, out: str, model: Path, *more: str) -> None:
    Path("r.erase").write_text(recipe, "utf-8")
    result = run("apply", "r.erase", "--model", str(model), "--out", out, *more)
    assert result.exit_code == 0, result.output


def read(files: Mapping[str, tuple[Path, header.Entry]]) -> dict[str, Tensor]:
    """Tensors as they lie in files."""
    found = {}
    for name, (file, entry) in files.items():
        bits = np.frombuffer(file.read_bytes()[entry.begin : entry.end], BITS[entry.dtype]).reshape(entry.shape)
        found[name] = Tensor(entry.dtype, entry.shape, lambda bits=bits: bits)  # type: ignore[misc]
    return found


def raw(file: Path) -> dict[str, bytes]:
    data = file.read_bytes()
    return {name: data[entry.begin : entry.end] for name, entry in header.read(file).tensors.items()}


def assert_only(before: Path, after: Path, edited: set[str]) -> None:
    """The same header, and the same bytes but for those tensors, every one of which differs."""
    old, new = before.read_bytes(), after.read_bytes()
    start = 8 + int.from_bytes(old[:8], "little")
    assert len(old) == len(new) and old[:start] == new[:start]
    one, other = raw(before), raw(after)
    assert {name for name in one if one[name] != other[name]} == edited


@says(
    COMMANDS_PAGE,
    "It is edited as it lies there. OUT holds `FILE.safetensors` again: the same header, and every byte as before but "
    "those of the edited matrices, which are the bytes that the edited folder of the same weights has.",
)
@pytest.mark.parametrize(("recipe", "many", "kind"), CASES)
def test_a_file_is_edited_as_its_folder_would_be(kind, recipe, many, edited):
    """As converting, editing the folder and converting back, tensor by tensor."""
    if recipe == UCE:
        edited(kind)
        model, file = checkpoint(kind), Path("model.safetensors")
    else:
        model, at, file = both(kind)
        applied(recipe, "of-folder", at, "--emit", "folder")
        applied(recipe, "of-file", file, "--config", str(at))
    parts = {name: read(weights.find(Path("of-folder/model") / name).tensors) for name in model.parts}
    told = {"markers": ("v_pred",)} if kind == "sdxl-v" else {}
    back = single.build(Path("back.safetensors"), replace(model, parts=parts), **told)
    out = Path("of-file/model.safetensors")
    assert raw(out) == raw(back) and out.read_bytes() == back.read_bytes()
    changed = {name for name, data in raw(out).items() if data != raw(file)[name]}
    assert_only(file, out, changed)
    fused = [name for name in changed if name.endswith((".qkv.weight", ".linear1.weight"))]
    assert bool(fused) == (many and kind.startswith("flux"))
    assert len(changed) >= (20 if many else 2)


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_diffusers_loads_the_file_as_its_card_says_and_draws_the_folders_picture(kind, edited, monkeypatch):
    edited(kind)
    expected = draw(DiffusionPipeline.from_pretrained("of-folder/model", dtype=torch.float32))
    lines = re.findall(r"```python\n(.*?)```", Path("of-file/README.md").read_text("utf-8"), re.DOTALL)
    assert len(lines) == 1 and "float16" in lines[0]
    monkeypatch.chdir("of-file")
    names: dict[str, Any] = {}
    exec(lines[0].replace("float16", "float32"), names)
    assert torch.equal(draw(names["pipe"]), expected)
    base = draw(DiffusionPipeline.from_pretrained("../folder", dtype=torch.float32))
    assert not torch.equal(base, expected)


def test_a_card_says_what_else_is_needed(monkeypatch):
    _, at, file = both("sd1", vae=False)
    applied(UCE, "out", file, "--config", str(at))
    assert json.loads(Path("out/manifest.json").read_text())["single-file"]["lacking"] == ["vae"]
    text = Path("out/README.md").read_text("utf-8")
    lines = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    monkeypatch.chdir("out")
    names: dict[str, Any] = {}
    exec(lines.replace('"FOLDER"', repr(f"../{at}")).replace("float16", "float32"), names)
    assert draw(names["pipe"]).isfinite().all()


@says(
    COMMANDS_PAGE,
    "Averages over training (`model_ema.`) are models of their own: a closed form is computed for their own matrices, "
    "an adapter is added as it was trained; so it is with the variants in a folder.",
)
def test_averages_over_training_get_a_change_of_their_own():
    """The generated averages are the plain matrices with their rows moved on by one, and so must be their changes."""
    _, at, file = both("sd1", ema=True)
    applied(UCE, "out", file, "--config", str(at))
    out = Path("out/model.safetensors")
    changed = {name for name, data in raw(out).items() if data != raw(file)[name]}
    assert_only(file, out, changed)
    plain = {name for name in changed if not name.startswith("model_ema.")}
    assert changed - plain == ldm.ema(dict.fromkeys(plain, given("F16", 0.0))).keys() and len(plain) >= 8
    old, new = (in_floats(path) for path in (file, out))
    for name in plain:
        (average,) = ldm.ema({name: given("F16", 0.0)})
        change, other = new[name] - old[name], new[average] - old[average]
        room = 2e-3 * (old[name].norm() + new[name].norm())
        assert (change.roll(1, 0) - other).norm() <= room < (change - other).norm()


def in_floats(file: Path) -> dict[str, torch.Tensor]:
    return {
        name: torch.frombuffer(bytearray(data), dtype=torch.float16).view(entry.shape).float()
        for name, data in raw(file).items()
        if (entry := header.read(file).tensors[name]).dtype == "F16"
    }


def test_flux_transformers_alone(monkeypatch):
    model, at, _ = both("flux-dev")
    file = single.build(Path("flux1-dev.safetensors"), model, prefix="", vae=False, encoders=False)
    applied(UCE, "out", file, "--config", str(at))
    assert_only(file, Path("out/flux1-dev.safetensors"), {"txt_in.weight", "vector_in.in_layer.weight"})
    assert not [path for path in Path("out").rglob("*") if path.is_symlink()]
    assert "holds no vae" in run("sample", "out", "--prompt", "a ship", "--count", "1", "--steps", "2").output
    drawn = run("sample", "out", "--config", str(at), "--prompt", "a ship", "--count", "1", "--steps", "2")
    assert drawn.exit_code == 0, drawn.output


@says(
    COMMANDS_PAGE,
    "A file without a VAE is edited in closed form without `--config`, since nothing is drawn for that; to draw, to "
    "train and to verify take one.",
)
def test_without_a_vae_a_closed_form_needs_no_config_and_drawing_does(monkeypatch):
    _, at, file = both("sd1", vae=False)
    monkeypatch.setattr("tracelang.models.locate.prepare.stock_of", lambda file, found: bare)
    bare = Path(shutil.copytree(at, "bare"))
    for path in bare.rglob("*.safetensors"):
        path.unlink()
    applied(UCE, "out", file, "--emit", "single-file")
    applied(UCE, "borrowed", file, "--emit", "single-file", "--config", str(at))
    assert Path("out/model.safetensors").read_bytes() == Path("borrowed/model.safetensors").read_bytes()
    assert json.loads(Path("out/manifest.json").read_text())["single-file"]["lacking"] == ["vae"]
    draw = ("--prompt", "a ship", "--count", "1", "--steps", "2")
    for command in (("sample", str(file), *draw), ("sample", "out", *draw)):
        result = run(*command)
        assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "holds no vae" in result.stderr
        assert "pass --config FOLDER|ID, a StableDiffusionPipeline" in result.stderr
    assert run("sample", "out", "--config", str(at), *draw).exit_code == 0
    Path("t.erase").write_text(TRACE, "utf-8")
    for command in (("plan",), ("apply", "--out", "trained")):
        result = run(command[0], "t.erase", "--model", str(file), *command[1:])
        assert result.exit_code == 1 and "holds no vae" in result.stderr, result.output
    with pytest.raises(artifacts.EvidenceError, match="apply again with --config"):
        artifacts.find_base(artifacts.read(Path("out")), str(file))


def test_what_ships_will_do_for_a_file_without_a_vae():
    """At the published sizes, as shapes alone: the configs are the shipped ones, and nothing is asked for."""
    model = checkpoint("sd1", "true", keep=lambda component, name: False)
    file = single.build(Path("model.safetensors"), model, vae=False)
    bound = tracelang.api.bind(tracelang.compile(_recipe()), file)
    assert len(bound.sites) == 32 and bound.family.name(bound.folder) == "sd1"


@pytest.mark.parametrize(("kind", "recipe", "which"), [("sd1", UCE, {"ema": True}), ("flux-dev", TRACE, {})])
def test_a_delta_of_a_single_file_makes_its_edit_and_the_file_again(kind, recipe, which):
    """Of averages over training too, and of matrices that lie side by side in one tensor."""
    _, at, file = both(kind, **which)
    applied(recipe, "out", file, "--config", str(at), "--emit", "single-file,delta")
    renamed = file.rename("a:name of one's own.safetensors")
    patched = run("patch", "out/delta.safetensors", "--model", str(renamed), "--out", "edited.safetensors")
    assert patched.exit_code == 0 and "the edit: 1 file, digests as stated" in patched.stdout, patched.output
    assert Path("edited.safetensors").read_bytes() == Path("out/model.safetensors").read_bytes()
    words = ("patch", "out/delta.safetensors", "--model", "edited.safetensors", "--revert", "--out")
    assert run(*words, "back.safetensors").exit_code == 0
    assert Path("back.safetensors").read_bytes() == renamed.read_bytes() != Path("edited.safetensors").read_bytes()
    for model, out, *more, reason in (
        ("edited.safetensors", "new.safetensors", "pass --revert for its base"),
        (str(renamed), "new.safetensors", "--revert", "leave --revert out"),
        (str(renamed), "edited.safetensors", "exists already"),
        (str(renamed), "new", "a name that ends .safetensors"),
        (str(at), "new.safetensors", "pass that file"),
        ("out/delta.safetensors", "new.safetensors", "is neither the base"),
    ):
        result = run("patch", "out/delta.safetensors", "--model", model, "--out", out, *more)
        assert result.exit_code == 1 and result.stderr.count("\n") == 1 and reason in result.stderr, result.output
    assert not Path("new.safetensors").exists() and not Path("new").exists()
    assert not list(Path().glob(".tracec-*"))


def test_a_delta_of_a_folder_is_not_of_a_file():
    _, at, file = both("sd1")
    applied(UCE, "of-folder", at, "--emit", "delta")
    result = run("patch", "of-folder/delta.safetensors", "--model", str(file), "--out", "patched")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "pass the folder" in result.stderr
    assert not Path("patched").exists()


def test_what_an_output_lacks_or_says_wrongly_is_told_at_once_and_truly():
    model, at, file = both("sd1", vae=False)
    applied(UCE, "out", file, "--config", str(at))
    assert json.loads(Path("out/lock.json").read_text())["model"]["components"]["vae"]
    with pytest.raises(artifacts.EvidenceError, match="holds no vae; pass --config"):
        artifacts.find_base(artifacts.read(Path("out")), str(file))
    assert artifacts.find_base(artifacts.read(Path("out")), str(file), str(at))
    whole = single.build(Path("whole.safetensors"), model)
    applied(UCE, "whole", whole, "--config", str(at))
    index = Path("whole/config/model_index.json")
    told = json.loads(index.read_text())
    for change, reason in (
        ({"_class_name": "FluxPipeline"}, "is a 'FluxPipeline', and whole/whole.safetensors a StableDiffusionPipeline"),
        ({"vae": ["diffusers", "AutoencoderTiny"]}, "vae is ['diffusers', 'AutoencoderTiny'], not diffusers's Auto"),
    ):
        index.write_text(json.dumps(told | change))
        result = run("sample", "whole", "--prompt", "a ship", "--count", "1", "--steps", "2")
        assert result.exit_code == 1 and result.stderr.count("\n") == 1 and reason in result.stderr, result.output


def test_safetensors_under_another_ending_are_called_what_they_are():
    _, _, file = both("sd1")
    other = file.rename("model.sft")
    Path("r.erase").write_text(UCE, "utf-8")
    result = run("plan", "r.erase", "--model", str(other))
    assert result.exit_code == 1 and "call it model.safetensors" in result.stderr
    other.write_bytes(b"none" * 99)
    assert "no safetensors file" in run("plan", "r.erase", "--model", str(other)).stderr


def test_a_message_about_a_matrix_names_it_as_the_file_does():
    _, at, file = both("sd1")
    name = next(name for name in header.read(file).tensors if name.endswith("attn2.to_k.weight"))
    entry = header.read(file).tensors[name]
    with file.open("r+b") as stream:
        stream.seek(entry.begin)
        stream.write(b"\x00\x7e")  # NaN in half precision
    Path("r.erase").write_text(UCE, "utf-8")
    result = run("apply", "r.erase", "--model", str(file), "--config", str(at), "--out", "out")
    assert result.exit_code == 1 and name in result.stderr and "down_blocks" not in result.stderr, result.stderr


def test_a_single_file_is_verified_from_end_to_end():
    """The embedded model, whose weights are trained, as a file in LDM's names: applied, verified, a report."""
    base = locate("micro-sd")
    settings = {str(path.relative_to(base)): configs.read(path) for path in base.glob("*/config.json")}
    parts = {name: read(weights.find(base / name).tensors) for name in ("unet", "vae", "text_encoder")}
    file = single.build(Path("micro.safetensors"), replace(checkpoint("sd1"), settings=settings, parts=parts))
    recipe = (
        'erase "cat" toward "dog"\npreserve "ship"\nmethod uce\nexpect over 2 samples seed 0 { shown("cat") <= 90% }\n'
    )
    applied(recipe, "out", file, "--config", str(base))
    result = run("verify", "out", "--model", str(file), "--samples", "2", "--steps", "4", "--device", "cpu")
    assert result.exit_code in (0, 1, 3), result.output
    report = json.loads(Path("out/report/report.json").read_text())
    changed = [layer["tensor"] for layer in report["certificate"]["layers"] if layer["change"]]
    assert len(changed) == json.loads(Path("out/manifest.json").read_text())["edited"] > 0
    assert not report["errors"]


@says(
    COMMANDS_PAGE,
    "OUT keeps the configs and tokenizers in `config/`, so that `sample OUT`, `verify OUT --model FILE` and the lines "
    "of Python in its `README.md` need no `--config`, unless the file lacks a component.",
)
def test_what_is_written_is_what_verify_checks(monkeypatch):
    _, at, file = both("sd1", ema=True)
    applied(UCE, "out", file, "--config", str(at))
    found = artifacts.read(Path("out"))
    file.rename("moved.safetensors")
    base = artifacts.find_base(found, "moved.safetensors")
    compared.with_base(found, base)
    compared.adapter(found, base)
    before, after = artifacts.load(found, base, "cpu", None)
    changed = [site for site in before.sites if not torch.equal(before.weight(site), after.weight(site))]
    assert len(changed) == found.manifest["edited"] == 8
    assert (
        hashlib.sha256(Path("out/model.safetensors").read_bytes()).hexdigest()
        == (found.manifest["files"]["model.safetensors"])
    )
    assert run("sample", "out", "--prompt", "a ship", "--count", "1", "--steps", "2").exit_code == 0
    data = bytearray(Path("out/model.safetensors").read_bytes())
    data[-1] ^= 1
    Path("out/model.safetensors").write_bytes(data)
    with pytest.raises(artifacts.EvidenceError, match=r"model\.safetensors: is not what `tracec apply` wrote"):
        artifacts.read(Path("out"))
    other = single.build(Path("other.safetensors"), checkpoint("sd1", seed=1))
    with pytest.raises(artifacts.EvidenceError, match="is not the model that was edited"):
        artifacts.find_base(found, str(other))


def test_an_adapter_of_another_edit_is_noticed():
    _, at, file = both("sd1")
    applied(UCE, "out", file, "--config", str(at))
    applied(UCE.replace("dog", "truck"), "other", file, "--config", str(at))
    found = artifacts.read(Path("out"))
    Path("out/lora.safetensors").write_bytes(Path("other/lora.safetensors").read_bytes())
    with pytest.raises(artifacts.EvidenceError, match=r"is not the edit of model\.safetensors"):
        compared.adapter(found, artifacts.find_base(found, str(file)))


def test_an_edit_of_nothing_is_a_copy():
    _, at, file = both("sd1")
    bound = tracelang.api.bind(tracelang.compile(_recipe()), file, config=at)
    save(Path("out"), bound.folder, bound.family, {}, bound.plan, {})
    assert Path("out/model.safetensors").read_bytes() == file.read_bytes()
    assert not Path("out/lora.safetensors").exists()


@pytest.mark.parametrize(("emit", "given_", "way_out"), [("folder", "file", "emit single-file"),
                                                         ("single-file", "folder", "emit folder")])  # fmt: skip
def test_a_form_of_the_other_kind_of_base_is_refused_before_any_work(emit, given_, way_out):
    _, at, file = both("sd1")
    bound = tracelang.api.bind(tracelang.compile(_recipe()), *((file,) if given_ == "file" else (at,)),
                               config=at if given_ == "file" else None)  # fmt: skip
    with pytest.raises(OutputError, match=way_out) as caught:
        tracelang.api.check_output(bound, "out", emit=[emit])
    assert "\n" not in str(caught.value) and not Path("out").exists()


def _recipe() -> Path:
    Path("r.erase").write_text(UCE, "utf-8")
    return Path("r.erase")


def test_names_that_out_needs_itself_are_refused():
    model, at, _ = both("sd1")
    file = single.build(Path("lora.safetensors"), model)
    bound = tracelang.api.bind(tracelang.compile(_recipe()), file, config=at)
    with pytest.raises(OutputError, match="give the model another name"):
        tracelang.api.check_output(bound, "out")


def test_plan_tells_the_files_name_and_family():
    _, at, file = both("sdxl")
    Path("r.erase").write_text(UCE, "utf-8")
    result = run("plan", "r.erase", "--model", str(file), "--config", str(at))
    assert result.exit_code == 0, result.output
    assert "model.safetensors (sdxl)" in result.output and "predicted change" in result.output


def test_a_damaged_file_is_told_by_its_own_name():
    model, at, _ = both("sd1")
    tensors = dict(single.tensors(model))
    del tensors["model.diffusion_model.time_embed.0.bias"]
    file = write(Path("less.safetensors"), tensors)
    Path("r.erase").write_text(UCE, "utf-8")
    result = run("apply", "r.erase", "--model", str(file), "--config", str(at), "--out", "out")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert "less.safetensors: unet" in result.stderr and "time_embedding.linear_1.bias" in result.stderr
    assert "cache" not in result.stderr


def test_a_link_into_the_hubs_cache_gives_a_file_of_its_name():
    _, at, file = both("sd1")
    Path("blobs").mkdir()
    Path("snapshot.safetensors").symlink_to(file.rename("blobs/0a1b2c").resolve())
    applied(UCE, "out", Path("snapshot.safetensors"), "--config", str(at))
    written = Path("out/snapshot.safetensors")
    assert written.is_file() and not written.is_symlink()
    assert not [path for path in Path("out").rglob("*.*") if path.is_file() and b"0a1b2c" in path.read_bytes()]


def test_an_output_that_lost_its_configs_asks_no_hub(edited):
    edited("sd1")
    shutil.rmtree("of-file/config")
    told = run("sample", "of-file", "--prompt", "a ship", "--count", "1", "--steps", "2").output
    assert "no such folder" in told and "hub could not" not in told
