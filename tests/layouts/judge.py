"""One row of the table: every command is run on a layout, and what it wrote is looked at by other programs.

`intended` and `changed` know nothing of how the product finds a matrix: names come from the generator, bytes from the
files. What loads a result is plain diffusers.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers
from click.testing import CliRunner

from tests.layouts import bfl, ldm
from tests.layouts.checkpoint import Checkpoint
from tests.layouts.converters import flux_converter, in_torch
from tests.layouts.rows import Given, Row, sites
from tests.layouts.single import INSIDE
from tests.layouts.tensors import read, write

RECIPE = """
templates object = "a photo of a {}"
erase "cat" toward "ship"
preserve "dog"
method uce
"""
SUPPORTS = 'recipe "x" {{ supports = {} }}\n'
FAMILIES = ("sd1", "sd2", "sdxl", "flux")


@dataclass(frozen=True)
class Ran:
    """A command's exit code, and the one line that it says where it refuses."""

    code: int
    line: str
    said: str


def run(*words: str, given: Given | None = None, apart: bool = False) -> Ran:
    """`tracec` with these words, in this process or in one of its own; more than one line of error is a fault here."""
    if apart:
        home = {"HF_HUB_CACHE": str(given.cache), "HF_HUB_OFFLINE": "1"} if given and given.cache else {}
        done = subprocess.run(
            [sys.executable, "-c", "from tracelang.cli import main; main()", *words],
            capture_output=True,
            text=True,
            env=os.environ | home,
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        with _hub(given.cache if given else None):
            result = CliRunner().invoke(_main(), list(words))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        code, out, err = result.exit_code, result.stdout, result.stderr
    assert "Traceback" not in err, err
    errors = [line for line in err.splitlines() if re.match(r"[eE]rror(\[TL\d+\])?: ", line)]
    assert len(errors) == (code != 0), (code, err)
    return Ran(code, errors[0] if errors else "", out + err)


def _main() -> object:
    from tracelang.cli import main

    return main


@contextlib.contextmanager
def _hub(cache: Path | None) -> Iterator[None]:
    from huggingface_hub import constants

    if cache is None:
        yield
        return
    with mock.patch.object(constants, "HF_HUB_CACHE", str(cache)), mock.patch.object(constants, "HF_HUB_OFFLINE", True):
        yield


def said(given: Given) -> list[str]:
    """What stands after a command to name the base."""
    return ["--model", given.model, *(["--config", str(given.config)] if given.config else [])]


def tensors(base: Path) -> dict[str, tuple[bytes, str]]:
    """Every tensor's bytes (as their digest) and dtype, by `FILE:NAME`; and every other file's, by `FILE`."""
    found = {}
    files = [base] if base.is_file() else sorted(path for path in base.rglob("*") if path.is_file())
    for path in files:
        where = path.name if base.is_file() else path.relative_to(base).as_posix()
        if path.suffix == ".safetensors":
            for name, tensor in read(path).items():
                found[f"{where}:{name}"] = sha256(np.ascontiguousarray(tensor.bits()).tobytes()).digest(), tensor.dtype
        elif path.name != ".gitattributes":
            found[where] = path.read_bytes(), ""
    return found


def changed(base: Path, made: Path) -> set[str]:
    """What differs between a base and its edited copy; a tensor or file that only one of them has is a difference."""
    before, after = tensors(base), tensors(made)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def intended(base: Path, model: Checkpoint) -> set[str]:
    """What an edit of the prompt's matrices may change, wherever a base keeps them: every copy, EMA's too."""
    ours = [name for name in model.parts[model.denoiser] if sites(model.denoiser, name)]
    if base.is_file():
        found = {original(name, model) for name in ours}
        held = read(base)
        names = {prefix + name for name in found for prefix in (INSIDE, "") if prefix + name in held}
        return {f"{base.name}:{name}" for name in names | (set(ldm.ema(dict.fromkeys(names))) & held.keys())}
    return {
        f"{path.relative_to(base).as_posix()}:{name}"
        for path in (base / model.denoiser).glob("*.safetensors")
        for name in read(path).keys() & set(ours)
    }


def original(name: str, model: Checkpoint) -> str:
    if model.denoiser == "unet":
        return ldm.unet_name(name, model.config("unet"))
    module, leaf = name.rsplit(".", 1)
    return f"{bfl.ENDS[module]}.{leaf}"


def columns_kept(base: Path, made: Path, model: Checkpoint) -> bool:
    """Of SDXL's added embedding, only the columns that multiply the pooled state may change: sizes keep their sense."""
    name = "add_embedding.linear_1.weight"
    if name not in model.parts[model.denoiser]:
        return True
    pooled = model.config("text_encoder_2")["projection_dim"]
    for path in [base] if base.is_file() else (base / "unet").glob("*.safetensors"):
        other = made if base.is_file() else made / "unet" / path.name
        before, after = read(path), read(other)
        keys = [key for key in before if key == name or key.endswith("label_emb.0.0.weight")]
        for key in keys:
            one, two = before[key].bits(), after[key].bits()
            if not np.array_equal(one[:, pooled:], two[:, pooled:]) or np.array_equal(one[:, :pooled], two[:, :pooled]):
                return False
    return True


def output(out: Path, base: Path) -> Path:
    """The edited base inside OUT, in the base's own layout."""
    if not base.is_file():
        return out / "model"
    (found,) = [path for path in out.rglob("*.safetensors")]
    return found


def draw(pipe: Any, prompt: str = "a photo of a cat") -> torch.Tensor:
    """A picture by a pipeline of diffusers: two steps, 16 pixels, one seed."""
    pipe.set_progress_bar_config(disable=True)
    seed = torch.Generator().manual_seed(0)
    made = pipe(prompt, num_inference_steps=2, height=16, width=16, output_type="np", generator=seed)
    return torch.from_numpy(made.images)


def drawn(at: Path, given: Given) -> np.ndarray:
    """A picture by plain diffusers."""
    import diffusers

    assert given.held is not None
    if at.is_file():
        pipe = from_file(at, given)
    else:
        pipe = diffusers.DiffusionPipeline.from_pretrained(at, variant=given.variant, dtype=torch.float32)
    return draw(pipe).numpy()


def from_file(at: Path, given: Given) -> object:
    """The pipeline by `from_single_file`; what the file lacks comes from the config's folder.

    Three limits of diffusers are met here: it reads a UNet only behind its prefix, takes every FLUX.1 transformer to be
    as wide as the published ones, and leaves T5's table of embeddings without values.
    """
    import diffusers
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

    assert given.held is not None and given.config is not None
    model, held = given.held, read(at)
    if model.denoiser == "unet" and not any(name.startswith(INSIDE) for name in held):
        at = write(at.with_name("prefixed") / at.name, {INSIDE + name: tensor for name, tensor in held.items()})
    parts = {}
    for name in model.parts:
        if list((given.config / name).glob("*.safetensors")):
            library = diffusers if model.kind.parts[name][0] == "diffusers" else transformers
            kind = getattr(library, model.kind.parts[name][1])
            parts[name] = kind.from_pretrained(given.config / name, dtype=torch.float32)
    t5 = "text_encoders.t5xxl.transformer."
    if stored := {name.removeprefix(t5): one for name, one in held.items() if name.startswith(t5)}:
        encoder = transformers.T5EncoderModel(transformers.T5Config.from_pretrained(given.config / "text_encoder_2"))
        encoder.load_state_dict({name: one.float() for name, one in in_torch(stored).items()}, strict=False)
        parts["text_encoder_2"] = encoder.eval()
    options = {"config": str(given.config), "local_files_only": True, "dtype": torch.float32}
    table = model.settings.get("transformer/config.json", {"num_attention_heads": 24, "attention_head_dim": 128})
    convert = flux_converter(table["num_attention_heads"] * table["attention_head_dim"])
    with mock.patch.dict(SINGLE_FILE_LOADABLE_CLASSES["FluxTransformer2DModel"], checkpoint_mapping_fn=convert):
        return getattr(diffusers, model.kind.pipeline).from_single_file(str(at), **options, **parts)


@dataclass(frozen=True)
class Judged:
    """A row's cells by command, and what is wrong with them (nothing, where the row holds)."""

    cells: Mapping[str, str]
    faults: Sequence[str]


def judge(row: Row, at: Path, given: Given, apart: bool = False, draw: bool = True) -> Judged:
    """Run the row in the folder `at`."""
    recipe = at / "r.erase"
    recipe.write_text(RECIPE)
    out = at / "out"
    words = [str(recipe), *said(given), "--device", "cpu"]
    emit = "single-file" if given.at.suffix == ".safetensors" else "folder"
    before = {} if given.held and given.held.size == "true" else tensors(given.at) if row.family else {}
    cells, faults = {}, list[str]()
    planned = run("plan", *words, given=given, apart=apart)
    applied = run("apply", *words, "--out", str(out), "--emit", emit, given=given, apart=apart)
    if row.family is None:
        for name, ran in (("plan", planned), ("apply", applied)):
            reason = ran.line.replace(str(given.at), "")  # a name is no reason
            cells[name] = "refused" if ran.code else "works"
            if not ran.code:
                faults.append(f"{name} works")
            elif lacks := [one for one in row.reasons if not re.search(one, reason)]:
                faults.append(f"{name} does not say {lacks}: {ran.line}")
        if out.exists() or list(at.glob(".out*")):
            faults.append("a refusal left something behind")
        cells["reason"] = applied.line.replace(f"{at}/", "")
        return Judged(cells, faults)
    for name, ran in (("plan", planned), ("apply", applied)):
        cells[name] = "works" if not ran.code else "fails"
        if ran.code:
            faults.append(f"{name}: {ran.line}")
    if applied.code:
        return Judged(cells, faults)
    faults += _written(row, given, out, cells, draw)
    for family in FAMILIES:
        recipe.write_text(SUPPORTS.format(family) + RECIPE)
        told = run("plan", str(recipe), *said(given), "--config-only", given=given, apart=apart)
        if (told.code == 0) != (family == row.family):
            faults.append(f"supports = {family} is {'refused' if told.code else 'accepted'}: {told.line}")
    cells["supports"] = "right" if not any(fault.startswith("supports") for fault in faults) else "wrong"
    if draw:
        asked = ["--prompt", "a cat", "--count", "1", "--steps", "2", "--out", str(at / "s.png"), "--device", "cpu"]
        sampled = run("sample", str(out), *said(given)[2:], *asked, given=given, apart=apart)
        cells["sample"] = "works" if not sampled.code else "fails"
        faults += [f"sample: {sampled.line}"] if sampled.code else []
    if before and tensors(given.at) != before:
        faults.append("the base was touched")
    return Judged(cells, faults)


def _written(row: Row, given: Given, out: Path, cells: dict[str, str], draw: bool) -> list[str]:
    assert given.held is not None
    made, faults = output(out, given.at), list[str]()
    differ, may = changed(given.at, made), intended(given.at, given.held)
    cells["changed"] = f"{len(differ & may)} of {len(tensors(given.at))}"
    if differ - may:
        faults.append(f"changed beside the plan: {sorted(differ - may)[:3]}")
    if may - differ:
        faults.append(f"not changed: {sorted(may - differ)[:3]}")
    if not columns_kept(given.at, made, given.held):
        faults.append("the added embedding changed in other columns than the pooled state's")
    if any(path.is_symlink() for path in out.rglob("*")):
        faults.append("a link in OUT")
    if draw:
        try:
            before, after = drawn(given.at, given), drawn(made, given)
            cells["diffusers"] = "works" if np.isfinite(after).all() else "NaN"
            if np.array_equal(before, after) or not np.isfinite(after).all():
                faults.append("plain diffusers draws the base's picture, or none")
        except (OSError, ValueError, KeyError) as error:
            cells["diffusers"] = "fails"
            faults.append(f"plain diffusers cannot load it: {' '.join(str(error).split())[:200]}")
    return faults
