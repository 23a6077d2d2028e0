"""Nothing that a file holds is a traceback: odd numbers, dtypes, names and settings in every component, one at a time.

`plan` and `apply` end well or in one line with the true reason, and a refusal leaves nothing behind.
"""

import json
import shutil
from pathlib import Path

import pytest
import random_flux
import random_sd
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from tracelang.cli import main
from tracelang.models import header

RECIPE = """
templates object = "a photo of a {}"
erase "cat" toward "ship"
preserve "dog"
method uce
"""
BUILD = {"sd": random_sd.build, "flux": random_flux.build}
LOADED = {"sd": ("unet", "vae", "text_encoder"), "flux": ("transformer", "vae", "text_encoder", "text_encoder_2")}
EDITED = {"sd": "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", "flux": "context_embedder.weight"}
ASIDE = {"sd": "conv_norm_out.weight", "flux": "norm_out.linear.weight"}
"""A tensor of the denoiser that no plan edits."""
FLOATS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


@pytest.fixture(scope="module", params=["sd", "flux"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def built(kind, tmp_path_factory):
    return BUILD[kind](tmp_path_factory.mktemp("models") / kind)


@pytest.fixture
def base(built, tmp_path):
    return Path(shutil.copytree(built, tmp_path / "base"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path_factory.getbasetemp() / "states"))
    Path("r.erase").write_text(RECIPE)


def commands(base: Path) -> dict[str, tuple[int, str]]:
    """Exit code and message of `plan` and `apply`; whatever they say is one line, and a refusal leaves nothing."""
    found = {}
    for words in (["plan"], ["apply", "--out", "out"]):
        result = CliRunner().invoke(main, [words[0], "r.erase", "--model", str(base), "--device", "cpu", *words[1:]])
        assert result.exception is None or isinstance(result.exception, SystemExit), (words[0], result.exception)
        assert "Traceback" not in result.stderr
        if result.exit_code:
            (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
            assert result.exit_code == 1 and len(line) < 600
            assert not list(Path().glob("*out*")) and not list(Path().glob(".out*"))
        found[words[0]] = result.exit_code, result.stderr
    shutil.rmtree("out", ignore_errors=True)
    return found


def refused(base: Path, *words: str) -> None:
    """Both commands refuse, for the reason that these words name."""
    for command, (code, message) in commands(base).items():
        assert code == 1 and all(word in message for word in words), (command, code, message)


def weights(component: Path) -> Path:
    (path,) = component.glob("*.safetensors")
    return path


def put(path: Path, name: str, value: float, count: int = 1) -> None:
    """A value into a stored tensor, at its beginning."""
    tensors = load_file(path)
    tensors[name].view(-1)[:count] = value
    save_file(tensors, path, {"format": "pt"})


def add(path: Path, name: str, dtype: str, shape: tuple[int, ...]) -> None:
    """One more tensor, of zeros, in a dtype that torch need not know."""
    old, data = header.read(path), path.read_bytes()
    table = {key: (entry.dtype, entry.shape) for key, entry in old.tensors.items()} | {name: (dtype, shape)}
    count = header.SIZES[dtype]
    for side in shape:
        count *= side
    chunks = [data[entry.begin : entry.end] for entry in old.tensors.values()]
    header.write(path, table, [*chunks, bytes(count)], dict(old.metadata))


def recast(path: Path, name: str, dtype: str) -> None:
    """A stored tensor of one byte for each number, in place of floating point."""
    old, data = header.read(path), path.read_bytes()
    table = {key: (dtype if key == name else entry.dtype, entry.shape) for key, entry in old.tensors.items()}
    chunks = [bytes((e.end - e.begin) // 4) if key == name else data[e.begin : e.end] for key, e in old.tensors.items()]
    header.write(path, table, chunks, dict(old.metadata))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_number_that_is_none_is_found_by_plan_already_and_counted(value, dtype, kind, base):
    path = weights(base / LOADED[kind][0])
    save_file({name: tensor.to(FLOATS[dtype]) for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    put(path, EDITED[kind], float(value), 3)
    refused(base, path.name, EDITED[kind], "3 NaN" if value == "nan" else "3 infinite", "use a base without")
    result = CliRunner().invoke(main, ["plan", "r.erase", "--model", str(base), "--config-only"])
    assert result.exit_code == 0  # reads no weights


def test_a_number_that_is_none_in_a_variant_beside_is_found_too(kind, base):
    path = weights(base / LOADED[kind][0])
    other = path.with_name(f"{path.stem}.fp16.safetensors")
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, other, {"format": "pt"})
    put(other, EDITED[kind], float("inf"))
    refused(base, other.name, EDITED[kind], "1 infinite")


def test_a_result_that_leaves_the_dtypes_range_names_its_tensor(kind, base):
    """The edit takes one entry beyond float16's 65504, though every stored number is finite."""
    path = weights(base / LOADED[kind][0])
    half = {name: tensor.half() for name, tensor in load_file(path).items()}
    half[EDITED[kind]] = torch.full_like(half[EDITED[kind]], 60000) * torch.sign(half[EDITED[kind]] + 1e-4)
    save_file(half, path, {"format": "pt"})
    found = commands(base)
    assert found["plan"][0] == 0 and found["apply"][0] == 1
    assert EDITED[kind] in found["apply"][1] and "float16" in found["apply"][1] and "bfloat16" in found["apply"][1]


SCALES = [
    "weight_scale",
    "scale_weight",
    "input_scale",
    "weight_scale_2",
    "SCB",
    "comfy_quant",
    "weight.absmax",
    "weight.quant_map",
    "weight.quant_state.bitsandbytes__nf4",
    "qweight",
    "wscales",
]


@pytest.mark.parametrize("name", ["scaled_fp8", *(f"some.layer.{scale}" for scale in SCALES)])
def test_a_scale_beside_the_weights_is_called_quantised(name, kind, base):
    for component in LOADED[kind]:
        path = weights(base / component)
        data = path.read_bytes()
        add(path, name, "F32", (1,))
        refused(base, str(path), name, "quantised", "bf16 or fp16")
        path.write_bytes(data)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "U8", "I8", "BOOL"])
def test_a_layer_of_no_floating_dtype_is_called_quantised_site_or_not(dtype, kind, base):
    for component in LOADED[kind]:
        path = weights(base / component)
        data = path.read_bytes()
        names = [name for name, entry in header.read(path).tensors.items() if len(entry.shape) == 2][:1]
        for name in [*names, *([EDITED[kind], ASIDE[kind]] if component == LOADED[kind][0] else [])]:
            recast(path, name, dtype)
            refused(base, str(path), name, dtype, "quantised", "bf16 or fp16")
            path.write_bytes(data)


def test_a_dtype_of_tomorrow_is_not_said_to_be_a_broken_file(kind, base):
    path = weights(base / LOADED[kind][1])
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"F32"', b'"F4" ', 1))
    refused(base, str(path), "'F4'", "bf16 or fp16")


def test_positions_that_older_files_store_are_no_weights(kind, base):
    add(weights(base / "text_encoder"), "text_model.embeddings.position_ids", "I64", (1, 16))
    assert {code for code, _ in commands(base).values()} == {0}


@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
def test_a_quantisation_in_any_config_is_refused_with_the_way_out(key, kind, base):
    for component in LOADED[kind]:
        path = base / component / "config.json"
        text = path.read_text()
        path.write_text(json.dumps(json.loads(text) | {key: {"quant_method": "bitsandbytes", "load_in_4bit": True}}))
        refused(base, str(path), key, "bf16 or fp16")
        path.write_text(json.dumps(json.loads(text) | {key: None}))
        assert {code for code, _ in commands(base).values()} == {0}
        path.write_text(text)


@pytest.mark.parametrize("kind", ["sd"], indirect=True)
@pytest.mark.parametrize(
    "key, value, word",
    [
        ("time_cond_proj_dim", 16, "latent consistency"),
        ("encoder_hid_dim", 8, "no Stable Diffusion"),
        ("num_class_embeds", 3, "no Stable Diffusion"),
        ("attention_type", "gated", "default"),
    ],
)
def test_a_unet_with_a_further_input_is_refused_with_the_reason(key, value, word, kind, base):
    path = base / "unet/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    refused(base, str(path), key, word)


@pytest.mark.parametrize("kind", ["sd"], indirect=True)
@pytest.mark.parametrize("value", ["0", "0.0", "0.5", "-1", "true", "NaN", "Infinity", "1e999", '"7"', "null", "[]"])
def test_a_guidance_that_would_draw_the_empty_prompt_is_refused(value, kind, base):
    (base / "tracelang.json").write_text(f'{{"guidance": {value}}}')
    refused(base, "tracelang.json", "guidance", "from 1 on")


def test_a_tensor_that_no_plan_edits_may_be_missing_or_odd(kind, base):
    """What is not loaded cannot stop the work, and what is written is what there was."""
    path = weights(base / LOADED[kind][0])
    put(path, ASIDE[kind], float("nan"))
    assert {code for code, _ in commands(base).values()} == {0}


ODD = ["null", "true", "-1", "0", "3", "1e400", "NaN", '"x"', "[]", "{}", "[null]", "1" * 400, '"\\ud800"', "2.5"]
"""JSON values that a setting may hold in place of its own."""


def test_any_value_in_any_setting_is_a_line_at_most(kind, base):
    """Every key of every config and of the schedule, with odd values in turn: 0 or 1, and never a traceback."""
    runner, refusals, count = CliRunner(), 0, 0
    files = [base / name / "config.json" for name in LOADED[kind]]
    files += [base / "scheduler/scheduler_config.json", base / "model_index.json"]
    for path in files:
        text = path.read_text()
        for i, key in enumerate(json.loads(text)):
            for value in (ODD[(5 * i + 3) % len(ODD)], ODD[(3 * i + len(path.parent.name)) % len(ODD)]):
                table = {name: json.dumps(one) for name, one in json.loads(text).items()} | {key: value}
                path.write_text("{" + ", ".join(f"{json.dumps(name)}: {one}" for name, one in table.items()) + "}")
                words = ["plan", "r.erase", "--model", str(base), "--device", "cpu", "--config-only"]
                result = runner.invoke(main, words)
                told = f"{path.relative_to(base)}: {key} = {value[:20]}: {result.exception!r}"
                assert result.exception is None or isinstance(result.exception, SystemExit), told
                assert len(result.stderr.splitlines()) <= 1 and result.exit_code in (0, 1), told
                refusals, count = refusals + result.exit_code, count + 1
        path.write_text(text)
    assert 20 < refusals < count


def test_any_value_in_a_text_encoders_config_is_a_line_at_most(kind, base):
    """As above, and the encoder is loaded and run, as far as it can be."""
    runner, codes = CliRunner(), []
    for name in LOADED[kind][2:]:
        path = base / name / "config.json"
        text = path.read_text()
        for i, key in enumerate(json.loads(text)):
            value = ODD[(3 * i + 1) % len(ODD)]
            table = {one: json.dumps(other) for one, other in json.loads(text).items()} | {key: value}
            path.write_text("{" + ", ".join(f"{json.dumps(one)}: {other}" for one, other in table.items()) + "}")
            result = runner.invoke(main, ["plan", "r.erase", "--model", str(base), "--device", "cpu"])
            told = f"{path.relative_to(base)}: {key} = {value[:20]}: {result.exception!r}"
            assert result.exception is None or isinstance(result.exception, SystemExit), told
            assert len(result.stderr.splitlines()) <= 1 and result.exit_code in (0, 1), told
            codes.append(result.exit_code)
        path.write_text(text)
    assert {0, 1} == set(codes)


def test_configs_that_are_no_tables_are_a_line(kind, base):
    for path in sorted({*base.glob("*/*.json"), base / "model_index.json"}):
        data = path.read_bytes()
        for odd in (b"", b"[]", b"\xff\xfe", b"[" * 100_000, b"{}"):  # no JSON, no table, no text, too deep, no keys
            path.write_bytes(odd)
            commands(base)
        path.write_bytes(data)
    assert {code for code, _ in commands(base).values()} == {0}
