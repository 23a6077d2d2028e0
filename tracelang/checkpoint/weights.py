"""Where a component keeps its weights: one safetensors file or shards behind an index, plain or as a variant."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tracelang.checkpoint import header
from tracelang.checkpoint.header import Entry
from tracelang.plan.family import ModelError

STEMS = ("diffusion_pytorch_model", "model")
VARIANTS = (None, "fp16", "bf16")
PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl"})
UNREAD = PICKLES | {".safetensors", ".msgpack", ".h5"}
"""Weights beside those that `find` finds: another variant, another format."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A component's weights as they would be loaded: the files, and for each tensor the file and its place in it."""

    variant: str | None
    files: tuple[Path, ...]
    tensors: Mapping[str, tuple[Path, Entry]]


def find(component: Path) -> Weights:
    """The weights in a component's folder, every header validated; the plain files before a variant.

    Raises ModelError: nothing there, only pickles, or a file that does not keep what its header or index says.
    """
    for stem in STEMS:
        for variant in VARIANTS:
            dotted = f".{variant}" if variant else ""
            single = component / f"{stem}{dotted}.safetensors"
            index = component / f"{stem}.safetensors.index{dotted}.json"
            if index.is_file():
                return _sharded(index, variant)
            if single.is_file():
                tensors = {name: (single, entry) for name, entry in header.read(single).tensors.items()}
                return Weights(variant, (single,), tensors)
    pickles = [path.name for path in sorted(component.glob("*")) if path.suffix in PICKLES]
    if pickles:
        raise ModelError(
            f"{component / pickles[0]}: a pickle can run code and is never loaded; "
            "save the pipeline once with save_pretrained(…, safe_serialization=True)"
        )
    raise ModelError(f"{component}: there is no safetensors weights file; download the component again")


def components(folder: Path) -> tuple[str, ...]:
    """The folders that `model_index.json` names, as far as they are there, sorted. Raises ModelError."""
    index = folder / "model_index.json"
    try:
        table = json.loads(index.read_bytes())
        named = [name for name, entry in table.items() if isinstance(entry, list) and any(entry)]
    except (OSError, ValueError, AttributeError, RecursionError):
        raise ModelError(f"{index}: is missing or unreadable; pass a folder in diffusers layout") from None
    plain = (name for name in named if Path(name).name == name and not name.startswith("."))
    return tuple(sorted(name for name in plain if (folder / name).is_dir()))


def fingerprints(folder: Path) -> dict[str, str]:
    """sha256 of the weights of each component of a checkpoint that has some as safetensors, by component.

    For a single file it is the file's own sha256, which hubs show too; for shards, over their digests in order.
    Raises ModelError.
    """
    named = [name for name in components(folder) if any((folder / name).glob("*.safetensors"))]
    files = {name: find(folder / name).files for name in named}
    with ThreadPoolExecutor() as pool:  # hashing is most of the work on a large model, and lets other threads run
        digests = {name: list(pool.map(sha256, paths)) for name, paths in files.items()}
    return {
        name: each[0] if len(each) == 1 else hashlib.sha256("\n".join(each).encode()).hexdigest()
        for name, each in digests.items()
    }


def settings(folder: Path) -> dict[str, str]:
    """sha256 of what else decides how a checkpoint draws, by path inside it: configs, schedule, tokenizer, guidance."""
    files = [folder / "tracelang.json"]
    for name in {*components(folder), "scheduler"}:  # the clock reads the schedule whether or not the index names it
        files += [path for ending in ("json", "txt", "model") for path in (folder / name).glob(f"[!.]*.{ending}")]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(files) if path.is_file()}


def prompt_side(folder: Path, encoders: Sequence[str], tokenizers: Sequence[str], *facts: object) -> str:
    """One sha256 for all that decides a prompt's states: the encoders' weights, every file beside them and of the
    tokenizers (a SentencePiece model is no JSON), and the facts, JSON values: dtype, length. Raises ModelError.
    """
    files = {path for name in encoders for path in find(folder / name).files}
    for name in (*encoders, *tokenizers):
        files |= {path for path in (folder / name).glob("[!.]*") if path.is_file() and path.suffix not in UNREAD}
    held = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(files)}
    return hashlib.sha256(json.dumps([held, *facts], sort_keys=True).encode()).hexdigest()


def fingerprint(folder: Path) -> str:
    """One sha256 for all that decides what a checkpoint draws: `fingerprints` and `settings`, wherever it lies."""
    facts = {"weights": fingerprints(folder), "settings": settings(folder)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """sha256 of a file's bytes; remembered within the process while its size and time of change stay."""
    status = path.stat()
    return _sha256(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sharded(index: Path, variant: str | None) -> Weights:
    try:
        table = json.loads(index.read_bytes())["weight_map"]
        names = sorted(set(table.values()))
        plain = (Path(name).name == name and name.isprintable() for name in names)
        honest = all(plain) and all(name.endswith(".safetensors") for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        honest = False
    if not honest:
        raise ModelError(f"{index}: no index of shards in this folder; download the file again")
    files = tuple(index.parent / name for name in names)
    tensors = {name: (file, entry) for file in files for name, entry in header.read(file).tensors.items()}
    for name, file in table.items():
        if name not in tensors or tensors[name][0].name != file:
            raise ModelError(f"{index}: {name!r} is not in {file}; download the shards again")
    return Weights(variant, files, tensors)
