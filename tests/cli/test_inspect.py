"""`tracec inspect` tells what files hold from their headers, and believes none of them."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from tracelang.cli import main
from tracelang.models.locate import family_of, locate
from tracelang.plan.family import ModelError


def inspect(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["inspect", *map(str, words)])
    assert result.exit_code == code, result.output
    assert code == 0 or result.stderr.count("\n") == 1, result.stderr
    return result


def told(place: object) -> dict:
    data = json.loads(inspect(place, "--json").stdout)
    assert data.pop("format_version") == 1
    return data


def test_a_model_is_told_by_components() -> None:
    data = told("micro-sd")
    assert data["facts"] == {"pipeline": "StableDiffusionPipeline", "family": "sd1"}
    parts = {part["name"]: part for part in data["components"]}
    unet = parts["unet"]
    assert unet["tensors"] == len(unet["held"]) == sum(unet["shapes"].values()) and unet["dtypes"] == {"F16": 208}
    assert unet["bytes"] == 2 * unet["numbers"] and parts["scheduler"]["tensors"] == 0
    lines = inspect("micro-sd").stdout.splitlines()
    assert any(line.startswith("  unet: UNet2DConditionModel") and "208 tensors" in line for line in lines)
    assert len(inspect("micro-sd", "--tensors").stdout.splitlines()) > len(lines) + 208


def test_no_torch_is_loaded() -> None:
    code = "import sys; sys.modules['torch'] = None\nfrom tracelang.cli import main\nmain(['inspect', 'micro-sd'])"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("names", "sort", "facts"),
    [
        (("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight", "lora_unet_a.alpha"), "kohya", {"ranks": [2]}),
        (("unet.a.lora_A.weight", "unet.a.lora_B.weight"), "diffusers", {"ranks": [2], "layers": 1}),
        (("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.x"), "LDM", {}),
        (("double_blocks.0.img_mod.lin.weight",), "BFL", {}),
        (("what.weight",), "no known layout", {}),
    ],
)
def test_a_file_is_told_by_the_names_in_it(tmp_path: Path, names: tuple[str, ...], sort: str, facts: dict) -> None:
    file = tmp_path / "x.safetensors"
    save_file({name: torch.ones(2, 3) for name in names}, file, {"modelspec.title": "t"})
    data = told(file)
    assert sort in data["sort"] and facts.items() <= data["facts"].items()
    assert data["metadata"] == {"modelspec.title": "t"}
    assert sum(part["tensors"] for part in data["components"]) == len(names)


def test_a_checkpoint_says_which_model_it_is_or_why_it_is_none(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    first = "model.diffusion_model.input_blocks.0.0.weight"
    read = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    save_file({first: torch.ones(8, 4, 3, 3), read: torch.ones(8, 768)}, file)
    facts = told(file)["facts"]
    assert (facts["pipeline"], facts["family"]) == ("StableDiffusionPipeline", "sd1") and "vae" in facts["lacks"]
    save_file({first: torch.ones(8, 9, 3, 3), read: torch.ones(8, 768)}, file)
    assert "inpainting" in told(file)["facts"]["not_edited"]


@pytest.mark.parametrize("name", ["fp8", "nf4", "gguf"])
def test_a_quantised_file_is_listed_and_said_not_to_be_edited(name: str, tmp_path: Path) -> None:
    from tests.layouts.odd import ODD

    file = ODD[name](tmp_path)
    data = told(file)
    dtypes = {dtype for part in data["components"] for dtype in part["dtypes"]}
    assert dtypes >= {"fp8": {"F8_E4M3"}, "nf4": {"U8"}, "gguf": {"F16"}}[name], dtypes
    assert "quantise again" in data["facts"]["not_edited"]
    if name == "gguf":
        assert data["metadata"]["general.architecture"] == "flux"
        whole = file.read_bytes()
        for size in range(4, len(whole), 3):  # no header is believed
            file.write_bytes(whole[:size])
            assert "download the file again" in inspect(file, code=1).stderr
        align = struct.pack("<Q", 17) + b"general.alignment" + struct.pack("<IQ", 8, 5000) + b"1" * 5000
        many = struct.pack("<QQ", 0, 1 << 20) + (struct.pack("<QIB", 0, 0, 0)) * (1 << 17)
        for rest in (struct.pack("<QQ", 1 << 60, 1 << 60) + whole[24:], struct.pack("<QQ", 0, 1) + align, many):
            file.write_bytes(whole[:8] + rest)
            assert "download the file again" in inspect(file, code=1).stderr


@pytest.mark.parametrize("name", ["fp8 folder", "nf4 folder", "inpainting folder", "refiner folder"])
def test_a_folder_that_is_not_edited_is_listed_with_the_whole_reason(name: str, tmp_path: Path) -> None:
    from tests.layouts.odd import ODD

    folder = ODD[name](tmp_path)
    data = told(folder)
    assert sum(part["tensors"] for part in data["components"]) > 100
    reason = data["facts"]["not_edited"]
    assert f"not edited: {reason}\n" in inspect(folder).stdout
    with pytest.raises(ModelError) as refused:
        family_of(locate(str(folder))).check(folder)
    assert str(refused.value).removeprefix(f"{folder}: ") == reason


def test_a_component_without_weights_or_of_codes_does_not_hide_the_others(tmp_path: Path) -> None:
    from tests.layouts import folder
    from tests.layouts.checkpoint import checkpoint

    base = folder.build(tmp_path / "base", checkpoint("sd1"))
    (file,) = (base / "unet").glob("*.safetensors")
    text = json.dumps({"w": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}).encode()
    table(file, text, bytes(2))
    parts = {part["name"]: part for part in told(base)["components"]}
    assert parts["unet"]["dtypes"] == {"F4": 1} and "quantise" in parts["unet"]["about"] and parts["vae"]["tensors"]
    file.unlink()
    parts = {part["name"]: part for part in told(base)["components"]}
    assert parts["unet"]["tensors"] == 0 and "no safetensors" in parts["unet"]["about"] and parts["vae"]["tensors"]


def test_blocks_of_a_gguf_file_are_counted_by_their_type(tmp_path: Path) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    names = text("tokens") + struct.pack("<IIQ", 9, 8, 12) + text("a") * 12
    rows = text("q") + struct.pack("<I2QIQ", 2, 64, 3, 2, 0) + text("k") + struct.pack("<IQIQ", 1, 256, 12, 128)
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 1) + names + rows
    file = tmp_path / "x.gguf"
    file.write_bytes(head + bytes(-len(head) % 32) + bytes(128 + 144))
    data = told(file)
    (part,) = data["components"]
    assert part["dtypes"] == {"Q4_0": 1, "Q4_K": 1} and part["held"]["q"]["shape"] == [3, 64]
    assert part["bytes"] == 3 * 2 * 18 + 144 and data["metadata"]["tokens"].endswith("a, … (12)")


def test_codes_of_less_than_a_byte_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    table = {"w": {"dtype": "F4", "shape": [4, 3], "data_offsets": [0, 6]}}
    text = json.dumps(table).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(6))
    (part,) = told(file)["components"]
    assert part["dtypes"] == {"F4": 1} and part["bytes"] == 6
    table["w"]["shape"] = [5, 3]
    text = json.dumps(table).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(6))
    assert "needs another number" in inspect(file, code=1).stderr


def test_an_output_says_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.erase").write_text('erase "cat"\npreserve "dog"\nmethod uce\n')
    words = ["apply", "r.erase", "--model", "micro-sd", "--device", "cpu", "--out", "out", "--emit", "lora,delta"]
    assert CliRunner().invoke(main, words).exit_code == 0
    plan = json.loads(Path("out/plan.json").read_text())["digest"]
    data = told("out")
    assert data["facts"]["plan"] == plan and data["facts"]["base"] == "micro-sd" and not data["facts"]["verified"]
    delta, lora = data["inside"]
    assert "delta" in delta["sort"] and delta["facts"]["changes_files"] == ["unet/diffusion_pytorch_model.safetensors"]
    assert "LoRA in diffusers" in lora["sort"] and lora["facts"]["ranks"]
    for one in (delta, lora):
        assert one["facts"]["plan"] == plan and one["facts"]["base_fingerprint"] == data["facts"]["base_fingerprint"]
    assert told("out/lora.safetensors")["sort"] == lora["sort"]


def table(path: Path, text: bytes, data: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b'{"a": 1}',
        b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}',
        b"[" * 100_000,
        b'{"__metadata__": {"a": 1}}',
        b'{"\x1b[31m": {"dtype": "F99", "shape": [], "data_offsets": [0, 0]}}',
    ],
)
def test_a_hostile_header_is_one_line(tmp_path: Path, text: bytes) -> None:
    result = inspect(table(tmp_path / "x.safetensors", text), code=1)
    assert "x.safetensors" in result.stderr and "\x1b" not in result.stderr


def test_metadata_cannot_steer_a_terminal_or_fill_it(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(1)}, file, {"\x1b[2J": "y\nforged: line" + "z" * 10_000})
    out = inspect(file).stdout
    assert "\x1b" not in out and "\nforged" not in out and len(out) < 1000 and "characters)" in out
    assert len(told(file)["metadata"]["\x1b[2J"]) > 10_000


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.ckpt").write_bytes(b"\x80\x02pickle")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "model_index.json").write_text('{"_class_name": ["x"], "unet": [[1], {}], "vae": 3}')
    assert "pickle" in inspect(tmp_path / "m.ckpt", code=1).stderr
    assert "neither a file nor a folder" in inspect(tmp_path / "pipe", code=1).stderr
    assert "model_index.json" in inspect(tmp_path / "empty", code=1).stderr
    assert inspect(tmp_path / "odd").stdout
    assert "not here" in inspect("nowhere.safetensors", code=1).stderr
    assert "not here" in inspect("owner/nowhere", code=1).stderr
