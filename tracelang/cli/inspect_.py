"""`tracec inspect`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import click

from tracelang.cli.writing import cannot
from tracelang.models import configs, gguf, header, weights
from tracelang.models.header import Entry, Header
from tracelang.models.layout import BYTES, QUANTISED, quantised, suspicious
from tracelang.models.locate import HUB_ID, embedded, family_of
from tracelang.models.single import kinds
from tracelang.plan.family import ModelError
from tracelang.text import line, safe

PLAN, LOCK, MANIFEST = "plan.json", "lock.json", "manifest.json"
LONGEST = 160
"""Characters of a metadata's value that are printed; `--json` has all of it."""
OWN = {
    "plan": "tracelang.plan",
    "recipe": "tracelang.recipe",
    "base": "tracelang.base",
    "base_fingerprint": "tracelang.base_fingerprint",
    "version": "tracelang.version",
}
"""What metadata says of an edit of ours."""
SORTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a LoRA in kohya's names", ("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_", "lora_transformer_")),
    ("a LoRA in diffusers' names", (".lora_A.", ".lora_B.", ".lora.down.", ".lora.up.", "_lora.down.", "_lora.up.")),
    ("a checkpoint in LDM names (Stable Diffusion)", ("model.diffusion_model.input_blocks.", "cond_stage_model.")),
    ("a checkpoint in BFL names (FLUX.1)", ("double_blocks.",)),
    ("a UNet in diffusers' names", ("down_blocks.",)),
    ("a transformer in diffusers' names", ("single_transformer_blocks.", "transformer_blocks.")),
    ("a text encoder", ("text_model.", "encoder.block.", "shared.weight")),
    ("an autoencoder", ("decoder.mid_block", "decoder.mid.", "encoder.conv_in.")),
)
"""What a file is by the names of its tensors, as they hold one of these; asked in this order."""
CODED = {*QUANTISED, *BYTES.values()}
"""What holds codes of numbers, and no numbers."""
PARTS = (
    "model.diffusion_model.",
    "first_stage_model.",
    "cond_stage_model.",
    "conditioner.embedders.0.",
    "conditioner.embedders.1.",
    "text_encoders.clip_l.",
    "text_encoders.t5xxl.",
    "lora_unet_",
    "lora_te1_",
    "lora_te2_",
    "lora_te_",
    "model_ema.",
    "unet.",
    "transformer.",
    "text_encoder_2.",
    "text_encoder.",
    "vae.",
)
"""How the names in a file begin that holds several components."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component: its tensors by name."""

    name: str
    tensors: Mapping[str, Entry]
    about: str = ""

    def facts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "about": self.about or None,
            "tensors": len(self.tensors),
            "numbers": sum(prod(one.shape) for one in self.tensors.values()),
            "bytes": sum(one.end - one.begin for one in self.tensors.values()),
            "dtypes": dict(sorted(Counter(one.dtype for one in self.tensors.values()).items())),
            "shapes": {
                "x".join(map(str, shape)) or "scalar": count
                for shape, count in Counter(one.shape for one in self.tensors.values()).most_common()
            },
            "held": {name: {"dtype": one.dtype, "shape": list(one.shape)} for name, one in self.tensors.items()},
        }


@dataclass(frozen=True, slots=True)
class Told:
    """What something is: `facts`, a line each, its components, its metadata, and what it holds that is told as well."""

    path: str
    sort: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    inside: tuple[Told, ...] = ()

    def data(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "sort": self.sort,
            "facts": dict(self.facts),
            "components": [part.facts() for part in self.parts],
            "metadata": dict(self.metadata),
            "inside": [one.data() for one in self.inside],
        }


HELP = """Tell what PLACE holds: a safetensors file (a checkpoint, a LoRA, a delta, a map), a GGUF file, a folder in
diffusers layout or a component of one, what `tracec apply` wrote, an embedded model, or a hub id whose files are here
already.

Only headers and configs are read, and nothing of a pickle."""


@click.command(help=HELP)
@click.argument("place", metavar="PLACE")
@click.option("--tensors", is_flag=True, help="List every tensor with its dtype and shape.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, every tensor and all metadata.")
def command(place: str, tensors: bool, as_json: bool) -> None:
    try:
        told = look(place)
    except ModelError as error:
        raise click.ClickException(safe(" ".join(str(error).split()))) from error
    except (OSError, ValueError) as error:
        raise cannot("read", Path(place), error) from error
    if as_json:
        click.echo(json.dumps({"format_version": 1, **told.data()}, indent=2))
        return
    for one in _lines(told, tensors):
        click.echo(safe(one))


def look(place: str) -> Told:
    """Raises ModelError, one line, for what is none of these or cannot be believed; OSError."""
    path = Path(place).expanduser()
    if place in embedded():
        path = Path(embedded()[place].load()())
    elif not path.exists() and HUB_ID.fullmatch(place):
        path = _cached(place)
    if path.is_file():
        return _file(path)
    if not path.is_dir():
        what = "is neither a file nor a folder" if path.exists() else "is not here"
        raise ModelError(f"{path}: {what}; give a file, a folder, an embedded name (`tracec models`) or a hub id")
    with suspicious(path):
        if (path / LOCK).is_file() and (path / PLAN).is_file():
            return _output(path)
        if (path / configs.INDEX).is_file():
            return _pipeline(path)
        if (path / "config.json").is_file():
            return _component(path)
    raise ModelError(f"{path}: holds no {configs.INDEX}, config.json or {LOCK}; give a model, a component or an OUT")


def _cached(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download

        repository, _, revision = name.partition("@")
        return Path(snapshot_download(repository, revision=revision or None, local_files_only=True))
    except ImportError:
        raise ModelError(f"{name}: is not here, and hub ids need more packages; pip install 'tracelang[run]'") from None
    except (OSError, ValueError):
        raise ModelError(f"{name}: is not here, nor in the hub's cache; download it first") from None


def _file(path: Path) -> Told:
    if path.suffix in weights.PICKLES:
        raise ModelError(f"{path}: a pickle can run code and is never read; convert it to safetensors")
    blocks = _begins(path, gguf.MAGIC)
    held = gguf.read(path) if blocks else header.listed(path)
    own = {name: held.metadata[key] for name, key in OWN.items() if held.metadata.get(key)}
    sort, facts = _sort(held)
    if blocks:
        sort, facts = f"a GGUF file: {sort}", {"not_edited": f"its weights are quantised; {header.WAY_OUT}"}
    elif "checkpoint" in sort:
        facts |= _single(path, held)
    codes = [kind for name, entry in held.tensors.items() if (kind := quantised(name, entry.dtype)) in CODED]
    if codes and "not_edited" not in facts:
        facts["not_edited"] = f"{len(codes)} of its tensors belong to {codes[0]}; {header.WAY_OUT}"
    return Told(str(path), sort, facts | own, _parts(held.tensors), held.metadata)


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _single(path: Path, held: Header) -> dict[str, Any]:
    """Which model a single file holds, or why it is none that can be edited."""
    try:
        found = kinds.kind(path, held)
    except ModelError as error:
        return {"not_edited": str(error).removeprefix(f"{path}: ")}
    family = "flux" if found.pipeline == kinds.FLUX else found.width or None
    return {"pipeline": found.pipeline, "family": family, "lacks": list(found.lacking)}


def _sort(held: Header) -> tuple[str, dict[str, Any]]:
    """What a file is, and what is to be said of one of that sort."""
    if "tracelang.delta" in held.metadata:
        files = _json(held.metadata["tracelang.delta"])
        return "a delta of tracelang", {"changes_files": sorted(files) if isinstance(files, dict) else []}
    if "tracelang.map" in held.metadata:
        return "a map of tracelang", {}
    sort = next(
        (sort for sort, marks in SORTS if any(mark in name for name in held.tensors for mark in marks)),
        "tensors that no known layout has",
    )
    facts: dict[str, Any] = {}
    if "LoRA" in sort:
        ranks = sorted({entry.shape[0] for name, entry in held.tensors.items() if _down(name) and entry.shape})
        facts["ranks"] = ranks
        facts["layers"] = sum(map(_down, held.tensors))
    for name, key in (("architecture", "modelspec.architecture"), ("base_model", "ss_base_model_version")):
        if held.metadata.get(key):
            facts[name] = held.metadata[key]
    return sort, facts


def _down(name: str) -> bool:
    return name.endswith((".lora_A.weight", ".lora_down.weight", ".lora.down.weight", "_lora.down.weight"))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parts(tensors: Mapping[str, Entry]) -> tuple[Part, ...]:
    """The tensors of a file by component; one nameless part where no prefix tells any apart."""
    found: dict[str, dict[str, Entry]] = {}
    for name, entry in tensors.items():
        prefix = next((one for one in PARTS if name.startswith(one)), "")
        found.setdefault(prefix.rstrip("._"), {})[name] = entry
    return tuple(Part(name or ("all" if len(found) == 1 else "others"), held) for name, held in found.items())


def _pipeline(path: Path) -> Told:
    named = configs.named(path)
    facts: dict[str, Any] = {"pipeline": str(configs.index(path).get("_class_name"))}
    try:
        family = family_of(path)
        facts["family"] = family.name(path)
        family.check(path)
    except ModelError as error:
        facts.setdefault("family", None)
        facts["not_edited"] = str(error).removeprefix(f"{path}: ")
    parts = []
    for name in weights.components(path):
        kind = named[name][1]
        try:
            found = weights.find(path / name)
        except ModelError as error:
            there = [file for file in sorted((path / name).glob("[!.]*.safetensors")) if file.is_file()]
            held = {tensor: entry for file in there for tensor, entry in header.listed(file).tensors.items()}
            weighty = there or _has_weights(path / name) or kind.startswith(("UNet", "Autoencoder"))
            parts.append(Part(name, held, f"{kind}, {_why(error)}" if weighty else kind))
            continue
        held = {tensor: entry for tensor, (_, entry) in found.tensors.items()}
        variant = f", variant {found.variant}" if found.variant else ""
        files = f"{len(found.files)} file{'s' * (len(found.files) != 1)}"
        parts.append(Part(name, held, f"{kind}, {files}{variant}"))
    return Told(str(path), "a model in diffusers layout", facts, tuple(parts))


def _has_weights(component: Path) -> bool:
    return any(file.suffix in weights.PICKLES for file in component.iterdir())


def _why(error: ModelError) -> str:
    return str(error).partition(": ")[2] or str(error)


def _component(path: Path) -> Told:
    table = configs.read(path / "config.json")
    found = weights.find(path)
    held = {tensor: entry for tensor, (_, entry) in found.tensors.items()}
    kind = table.get("_class_name") or ", ".join(map(str, table.get("architectures") or [])) or "unknown"
    return Told(str(path), "a component of a model", {"class": str(kind)}, (Part(path.name, held),))


def _output(path: Path) -> Told:
    lock = configs.read(path / LOCK)
    manifest = configs.read(path / MANIFEST) if (path / MANIFEST).is_file() else {}
    model = lock.get("model")
    model = model if isinstance(model, dict) else {}
    facts = {
        "plan": lock.get("plan"),
        "family": lock.get("family"),
        "base": model.get("name"),
        "base_fingerprint": model.get("fingerprint"),
        "forms": manifest.get("emit"),
        "versions": lock.get("versions"),
        "verified": (path / "report" / "report.json").is_file(),
    }
    inside = [_pipeline(path / "model")] if (path / "model" / configs.INDEX).is_file() else []
    inside += [_file(file) for file in sorted(path.glob("*.safetensors")) if file.is_file()]
    return Told(str(path), "an edit that tracec apply wrote", facts, (), {}, tuple(inside))


def _lines(told: Told, tensors: bool, indent: str = "") -> Iterator[str]:
    yield f"{indent}{told.path}: {told.sort}"
    for name, value in told.facts.items():
        said = line(value) if name == "not_edited" else _said(value)  # whose end is the remedy
        yield f"{indent}  {name.replace('_', ' ')}: {said}"
    for part in told.parts:
        facts = part.facts()
        if not part.tensors:
            yield f"{indent}  {part.name}: {part.about}"
            continue
        dtypes = ", ".join(f"{count:,} {dtype}" for dtype, count in facts["dtypes"].items())
        shapes = list(facts["shapes"].items())
        most = ", ".join(f"{count} of {shape}" for shape, count in shapes[:3])
        yield (
            f"{indent}  {part.name}: {f'{part.about}, ' if part.about else ''}{facts['tensors']:,} tensors ({dtypes}), "
            f"{facts['numbers']:,} numbers, {facts['bytes'] / 1e6:,.1f} MB; {len(shapes)} shapes: {most}"
        )
        if tensors:
            yield from (f"{indent}    {name}  {one.dtype} {list(one.shape)}" for name, one in part.tensors.items())
    for name, value in told.metadata.items():
        yield f"{indent}  {_said(name)} = {_said(value)}"
    for one in told.inside:
        yield from _lines(one, tensors, f"{indent}  ")


def _said(value: Any) -> str:
    """A value in one line; of a long one the beginning."""
    if isinstance(value, dict):
        value = ", ".join(f"{name} {one}" for name, one in value.items())
    elif isinstance(value, list):
        value = ", ".join(map(str, value)) or "none"
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    text = line("unknown" if value is None else str(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
