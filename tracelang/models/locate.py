"""From what stands after `--model` to a folder, and from the folder to the family that knows it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from tracelang.models import configs, header, hub, variants
from tracelang.models.family import Family
from tracelang.models.single import prepare, stock
from tracelang.models.weights import PICKLES
from tracelang.plan.family import ModelError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?", re.ASCII)
PATTERNS = (
    "model_index.json",
    "*/*.json",
    "*/*.txt",
    "*/*.safetensors",
    "*/*.model",
    "*/*.jinja",
    "tracelang.json",
    "README.md",
)
"""What is fetched of a hub repository: no pickle, no single-file checkpoint of several gigabytes beside the folders."""
WEIGHTS = "*/*.safetensors"
ONNX = "is an ONNX graph, which cannot be edited; pass the safetensors file that it was made from"
SAFER = (
    "a pickle can run code when it is read, so it is never loaded; pass a safetensors file of the same model, or "
    "convert it once where nothing can be lost, in a sandbox without network: `safetensors.torch.save_file(torch.load("
    'FILE, weights_only=True)["state_dict"], "FILE.safetensors")`'
)


def embedded() -> dict[str, EntryPoint]:
    """The embedded models that are installed, by name: the entry points of the group `tracelang.models`, sorted."""
    return {point.name: point for point in sorted(entry_points(group="tracelang.models"), key=lambda p: p.name)}


def families() -> tuple[Family, ...]:
    """Every installed backend's family: the entry points of the group `tracelang.backends`, sorted by name."""
    return tuple(point.load()() for point in sorted(entry_points(group="tracelang.backends"), key=lambda p: p.name))


def locate(model: str, config: str | None = None, variant: str | None = None) -> Path:
    """The folder of an embedded name, of a folder in diffusers layout, or of a hub id (`owner/name`, `@revision`); for
    a single-file checkpoint one that stands for it (`single.prepare`), with what it lacks from `config`: a folder, a
    hub id, or the name of configs that are shipped. A folder with several variants of its weights is run from
    `variant` from then on (`variants.choose`), None: from the plain files before others.

    A hub id is downloaded into the hub's own cache. Raises ModelError for anything else.
    """
    if Path(model).expanduser().is_file():
        if variant is not None:
            raise ModelError(f"--variant {variant}: {model} is one file, and has no variants; leave it out")
        return _single(Path(model).expanduser(), config)
    found = _whole(model, config, variant)
    variants.choose(found, variant)
    return found


def _whole(model: str, config: str | None, variant: str | None) -> Path:
    """The folder of an embedded name, a folder or a hub id, which have configs of their own. Raises ModelError."""
    names = embedded()
    path = Path(model).expanduser()
    if not path.exists() and path.suffix == ".safetensors":
        raise ModelError(f"{path}: no such file; check the path")
    if config is not None and (model in names or path.is_dir() or HUB_ID.fullmatch(model)):
        raise ModelError(f"--config {config}: {model} is no single file, and has configs of its own; leave it out")
    if model in names:
        return Path(names[model].load()())
    if path.is_dir():
        return _folder(path)
    if path.exists():
        raise ModelError(f"{path}: not a model; pass a folder in diffusers layout or a .safetensors file")
    if HUB_ID.fullmatch(model):
        _not_a_path(model)
        return _folder(_download(model, variant=variant))
    close = difflib.get_close_matches(model, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"embedded models: {', '.join(names) or 'none installed'};"
    raise ModelError(
        f"{model}: no such model; {hint} a folder in diffusers layout, a single file or a hub id owner/name works too"
    )


def title(model: str) -> str:
    """What to call it: an embedded name, a folder's or a file's own name, or a hub id without its revision."""
    path = Path(model).expanduser()
    if path.is_file():
        return path.name
    if model not in embedded() and path.is_dir():
        return path.resolve().name
    return model.partition("@")[0]


def family_of(folder: Path) -> Family:
    """The family whose backend claims the folder. Raises ModelError where none does."""
    known = families()
    for family in known:
        if family.claims(folder):
            return family
    try:
        kind = configs.index(folder)["_class_name"]
    except (ModelError, KeyError):
        raise ModelError(f"{folder}: model_index.json is missing or unreadable; pass a diffusers folder") from None
    for family in known:
        if getattr(family, "pipeline", None) == kind:  # then a component is of another class, and it says which
            family.check(folder)
    names = ", ".join(name for family in known for name in family.names) or "none"
    raise ModelError(f"{folder}: no installed backend knows the pipeline {kind!r}; families installed: {names}")


def _folder(path: Path) -> Path:
    if (path / configs.INDEX).is_file():
        return path
    told = "pass the folder that save_pretrained wrote"
    files = [file for file in path.glob("*.safetensors") if file.is_file()]
    if (path / "model" / configs.INDEX).is_file():
        told = f"pass {path / 'model'}"
    elif (path.parent / configs.INDEX).is_file():
        told = f"it is a part of {path.parent}; pass that"
    elif files:
        told = f"pass a file in it, as {max(files, key=lambda file: file.stat().st_size).name}"
    raise ModelError(f"{path}: no {configs.INDEX} in it; {told}")


def _single(path: Path, config: str | None) -> Path:
    """The folder that stands for a file. Raises ModelError."""
    ending = path.suffix.lower()
    if ending in PICKLES:
        raise ModelError(f"{path}: {SAFER}")
    if ending == ".onnx":
        raise ModelError(f"{path}: {ONNX}")
    if ending == ".sft":
        header.read(path)
        raise ModelError(f"{path}: a safetensors file, whose ending few programs know; call it {path.stem}.safetensors")
    if ending not in (".safetensors", ".gguf"):
        raise ModelError(f"{path}: not a model; pass a folder in diffusers layout or a .safetensors file")
    found = prepare.kind(path)
    if config is None:
        return prepare.prepared(path, found, prepare.stock_of(path, found))
    return prepare.prepared(path, found, _configs(path, config, found.lacking))


def _configs(path: Path, config: str, lacking: Sequence[str]) -> Path:
    """The folder of `--config`; of a hub's model nothing is fetched but configs, and what the file lacks."""
    if config in stock.NAMES:
        if lacking := [name for name in lacking if name != prepare.DRAWS]:
            raise ModelError(
                f"{path}: holds no {' and no '.join(lacking)}, and neither does {config}, which is configs alone; pass "
                "--config FOLDER|ID"
            )
        return stock.folder(config)
    where = Path(config).expanduser()
    if where.is_dir():
        return _folder(where)
    if HUB_ID.fullmatch(config) and not where.exists():
        small = [pattern for pattern in PATTERNS if pattern != WEIGHTS]
        return _folder(_download(config, [*small, *(f"{name}/*.safetensors" for name in lacking)]))
    raise ModelError(
        f"--config {config}: no such folder; pass a folder in diffusers layout, a hub id owner/name, or one of "
        f"{', '.join(stock.NAMES)}"
    )


def _not_a_path(model: str) -> None:
    """Raise ModelError for a path that looks like a hub id: its first part is here. `@revision` says that it is one."""
    first, _, rest = model.partition("/")
    if "@" in model or not Path(first).exists():
        return
    there = sorted(path.name for path in Path(first).iterdir()) if Path(first).is_dir() else []
    close = difflib.get_close_matches(rest, there, n=1)
    hint = f"did you mean {first}/{close[0]}?" if close else f"correct the path, or write {model}@main for the hub's"
    raise ModelError(f"{model}: {first} is here and holds no {rest}; {hint}")


def _download(model: str, patterns: Sequence[str] = PATTERNS, variant: str | None = None) -> Path:
    name, _, revision = model.partition("@")
    try:
        return Path(hub.fetch(name, revision or None, patterns, variant))
    except ImportError:
        raise ModelError(f"{model}: hub ids need more packages; pip install 'tracelang[run]'") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{model}: no such folder, and the hub could not give it ({reason})") from None
