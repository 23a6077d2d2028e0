"""Where a component keeps its weights: one safetensors file or shards behind an index, plain or as a variant."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from tracelang.models import configs, header
from tracelang.models.header import Entry
from tracelang.models.single import reference
from tracelang.models.variants import STEMS, order
from tracelang.plan.family import ModelError

PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl"})
OTHERS = {
    ".gguf": "a GGUF file, whose weights are quantised",
    ".onnx": "an ONNX graph, which cannot be edited",
    ".onnx_data": "weights of an ONNX graph, which cannot be edited",
    "transformer_blocks.safetensors": "the quantised blocks of nunchaku",
}
"""What else a component may hold in the place of its weights, by ending or name."""
UNREAD = PICKLES | {".safetensors", ".msgpack", ".h5"}
"""Weights beside those that `find` finds: another variant, another format."""
SCHEME = "2:"
"""What a fingerprint begins with. Those of before are bare digits, see `former`."""
SETTINGS = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".bpe", ".vocab", ".spm")
"""Files of a component that decide what it does: configs, schedule, vocabularies, chat templates."""
NAMED_TEMPLATES = "additional_chat_templates"
"""The one folder inside a tokenizer's: templates beside its first, by name."""
INDEX = re.compile(r"\.index(\.[^.]+)?\.json$")
"""Which file holds which tensor decides no picture: the tensors do."""
SILENT = frozenset(
    {
        "_diffusers_version",
        "_name_or_path",
        "_commit_hash",
        "name_or_path",
        "special_tokens_map_file",
        "transformers_version",
        "torch_dtype",
        "dtype",
    }
)
"""Keys of a JSON file that say who wrote it, and from where: no picture depends on them."""


Digest = Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Weights:
    """A component's weights as they would be loaded: the files, and for each tensor the file and its place in it."""

    variant: str | None
    files: tuple[Path, ...]
    tensors: Mapping[str, tuple[Path, Entry]]


def find(component: Path) -> Weights:
    """The weights in a component's folder, every header validated; the plain files before a variant, unless the folder
    was asked for one (`variants.choose`).

    Raises ModelError: nothing there, only pickles, or a file that does not keep what its header or index says.
    """
    if (held := reference.held(component)) is not None:
        return Weights(None, (held.file,), {name: (held.file, entry) for name, entry in held.tensors.items()})
    if reference.bare(component):
        raise ModelError(
            f"{reference.origin(component.parent)}: holds no {component.name}, which this takes; pass "
            f"--config FOLDER|ID, a {configs.index(component.parent)['_class_name']} in diffusers layout that has one"
        )
    for stem in STEMS:
        for variant in order(component.parent):
            found = named(component, stem, variant)
            if found is not None:
                return found
    there = sorted(path for path in component.glob("[!.]*") if path.suffix not in SETTINGS)
    pickles = [path.name for path in there if path.suffix in PICKLES]
    if pickles:
        raise ModelError(
            f"{component / pickles[0]}: a pickle can run code and is never loaded; "
            "save the pipeline once with save_pretrained(…, safe_serialization=True)"
        )
    for path in there:
        if told := OTHERS.get(path.name) or OTHERS.get(path.suffix):
            raise ModelError(f"{path}: {told}; {header.WAY_OUT}")
    strays = [path.name for path in there if path.suffix == ".safetensors"]
    if strays:
        raise ModelError(
            f"{component}: there is no safetensors weights file of a name that is looked for; call {strays[0]} "
            f"{STEMS[0]}.safetensors, or {STEMS[1]}.safetensors in a text encoder"
        )
    raise ModelError(f"{component}: there is no safetensors weights file; download the component again")


def named(component: Path, stem: str, variant: str | None) -> Weights | None:
    """The weights that a library finds under the names of one variant, None where there are none. Raises ModelError.

    diffusers (stem `diffusion_pytorch_model`) looks for an index first and reads its older name too, transformers
    (`model`) looks for a single file first. An index decides which files are shards, whatever they are called.
    """
    dotted = f".{variant}" if variant else ""
    single = component / f"{stem}{dotted}.safetensors"
    indices = [component / f"{stem}.safetensors.index{dotted}.json"]
    if variant and stem == STEMS[0]:
        indices.append(component / f"{stem}.safetensors{dotted}.index.json")
    index = next((path for path in indices if path.is_file()), None)
    if single.is_file() and (index is None or stem != STEMS[0]):
        return Weights(variant, (single,), _placed(single))
    return None if index is None else sharded(index, variant)


def copies(component: Path) -> Iterator[Mapping[str, tuple[Path, Entry]]]:
    """The tensors of every safetensors file of a component, or of what a single file holds of it, the averages over
    training too: whatever an edit writes to. Raises ModelError.
    """
    if (held := reference.held(component)) is not None:
        for entries in (held.tensors, held.copies):
            yield {name: (held.file, entry) for name, entry in entries.items()}
    for file in sorted(component.glob("[!.]*.safetensors")):
        yield {name: (file, entry) for name, entry in header.read(file).tensors.items()}


def components(folder: Path) -> tuple[str, ...]:
    """The folders that `model_index.json` names, as far as they are there, sorted. Raises ModelError."""
    plain = (name for name in configs.named(folder) if Path(name).name == name and not name.startswith("."))
    return tuple(sorted(name for name in plain if (folder / name).is_dir()))


def fingerprints(folder: Path, digest: Digest | None = None) -> dict[str, str]:
    """sha256 of the weights of each component of a checkpoint that has some as safetensors, by component.

    For a single file it is the file's own sha256, which hubs show too; for shards, over their digests in order.
    `digest` as for `fingerprint`. Raises ModelError.
    """
    return {name: _joined(each) for name, each in _digests(folder, digest or sha256).items()}


def settings(folder: Path) -> dict[str, str]:
    """sha256 of what else decides how a checkpoint draws, by path inside it: the pipeline's switches, configs,
    schedule, tokenizer, chat template, guidance. Of JSON it is the content's, so neither its layout nor `SILENT`
    counts; a file that says nothing is left out.
    """
    files = [folder / "tracelang.json", folder / configs.INDEX]
    for name in {*components(folder), "scheduler"}:  # the clock reads the schedule whether or not the index names it
        files += [path for path in (folder / name).glob("[!.]*") if path.suffix in SETTINGS]
        files += (folder / name / NAMED_TEMPLATES).glob("[!.]*.jinja")
    told = {
        path.relative_to(folder).as_posix(): _content(path)
        for path in sorted(files)
        if path.is_file() and not INDEX.search(path.name)
    }
    return {path: digest for path, digest in told.items() if digest is not None}


def prompt_side(
    folder: Path, encoders: Sequence[str], tokenizers: Sequence[str], *facts: object, digest: Digest | None = None
) -> str:
    """One sha256 for all that decides a prompt's states: the encoders' weights, every file beside them and of the
    tokenizers (a SentencePiece model is no JSON), and the facts, JSON values: dtype, length. Raises ModelError.
    """
    inner = {name: own for name in encoders if (own := reference.digest(folder / name)) is not None}
    files = {path for name in encoders if name not in inner for path in find(folder / name).files}
    for name in (*encoders, *tokenizers):
        files |= {path for path in (folder / name).glob("[!.]*") if path.is_file() and path.suffix not in UNREAD}
        files |= set((folder / name / NAMED_TEMPLATES).glob("[!.]*.jinja"))
    held = inner | {path.relative_to(folder).as_posix(): (digest or sha256)(path) for path in sorted(files)}
    return hashlib.sha256(json.dumps([held, *facts], sort_keys=True).encode()).hexdigest()


def fingerprint(folder: Path, digest: Digest | None = None) -> str:
    """`SCHEME` and one sha256 for all that decides what a checkpoint draws, wherever it lies: the bytes of its weights
    files, whatever they are called, and `settings`. `digest` gives the sha256 of a weights file; None: from its bytes.
    """
    facts = {
        "weights": {name: _joined(sorted(each)) for name, each in _digests(folder, digest or sha256).items()},
        "settings": settings(folder),
    }
    return SCHEME + hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def former(folder: Path) -> str:
    """The fingerprint as it was before it had a scheme: over the bytes of JSON files, blind to `model_index.json` and
    to chat templates. Kept to tell an older fingerprint of a model from one of another model.
    """
    files = [folder / "tracelang.json"]
    for name in {*components(folder), "scheduler"}:
        files += [path for ending in ("json", "txt", "model") for path in (folder / name).glob(f"[!.]*.{ending}")]
    told = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(files) if path.is_file()}
    facts = {"weights": fingerprints(folder), "settings": told}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def outdated(stated: str) -> bool:
    """Is a fingerprint of the older scheme?"""
    return re.fullmatch("[0-9a-f]{64}", stated) is not None


def compare(folder: Path, stated: str) -> Literal["same", "older", "other", "unknown"]:
    """Is `stated` the folder's fingerprint, one of the same model in the older scheme, or of another model?

    `"unknown"` is a scheme that this version does not know.
    """
    if stated.startswith(SCHEME):
        return "same" if stated == fingerprint(folder) else "other"
    if not outdated(stated):
        return "unknown"
    return "older" if stated == former(folder) else "other"


def _digests(folder: Path, digest: Digest) -> dict[str, list[str]]:
    """sha256 of every weights file that would be loaded, by component; of all where none would, as in a component that
    no backend loads.
    """
    files: dict[str, tuple[Path, ...]] = {}
    for name in components(folder):
        there = tuple(sorted((folder / name).glob("*.safetensors")))
        if there or reference.read(folder / name) is not None:
            try:
                files[name] = find(folder / name).files
            except ModelError:
                files[name] = there
    with ThreadPoolExecutor() as pool:  # hashing is most of the work on a large model, and lets other threads run
        return {name: list(pool.map(digest, paths)) for name, paths in files.items()}


def _joined(digests: Sequence[str]) -> str:
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _content(path: Path) -> str | None:
    """sha256 of what a settings file says, None where that is nothing; remembered like `sha256`."""
    status = path.stat()
    return _read_content(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _read_content(path: Path, size: int, time: int) -> str | None:
    if path.suffix != ".json":
        return sha256(path)
    try:
        told: Any = json.loads(path.read_bytes())
        if isinstance(told, dict):  # a component that is [null, null] is none
            told = {key: value for key, value in told.items() if key not in SILENT and value != [None, None]}
        text = json.dumps(told, sort_keys=True)
    except (ValueError, RecursionError):
        return sha256(path)
    return hashlib.sha256(text.encode()).hexdigest() if told != {} else None


def sha256(path: Path) -> str:
    """sha256 of a file's bytes; remembered within the process while its size and time of change stay."""
    status = path.stat()
    return _sha256(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _placed(file: Path) -> Mapping[str, tuple[Path, Entry]]:
    """Each tensor of a file with the file; made once while its header is remembered, for a plan asks at every site."""
    held = header.read(file)
    if file not in _PLACED or _PLACED[file][0] is not held:
        _PLACED[file] = held, {name: (file, entry) for name, entry in held.tensors.items()}
    return _PLACED[file][1]


_PLACED: dict[Path, tuple[header.Header, Mapping[str, tuple[Path, Entry]]]] = {}


def sharded(index: Path, variant: str | None) -> Weights:
    """The weights that an index lists, every tensor in the file that it says. Raises ModelError."""
    try:
        whole = json.loads(index.read_bytes())
        table = whole["weight_map"]
        names = sorted(set(table.values()))
        plain = (Path(name).name == name and name.isprintable() for name in names)
        honest = all(plain) and all(name.endswith(".safetensors") for name in names)
        honest = honest and isinstance(whole["metadata"], dict)  # the libraries write into it
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        honest = False
    if not honest:
        raise ModelError(f"{index}: no index of shards in this folder; download the file again")
    files = tuple(index.parent / name for name in names)
    tensors = {name: place for file in files for name, place in _placed(file).items()}
    for name, file in table.items():
        if name not in tensors or tensors[name][0].name != file:
            raise ModelError(f"{index}: {name!r} is not in {file}; download the shards again")
    return Weights(variant, files, tensors)
