"""The edited checkpoint: the base's folder, file by file, with the edited matrices replaced wherever they are stored.

A base may hold one matrix several times: shards, an fp16 variant, a pickle, a single-file checkpoint beside the
folders. Every safetensors copy is patched; whether a file is a shard, the index that names it says. Any other copy
would be a way to the unedited model under the edited one's name, so it is left out, and so is every pickle. What is no
regular file, or a link that leads out of the base, is not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tracelang.checkpoint import patch
from tracelang.checkpoint.merge import change
from tracelang.checkpoint.output import OutputError
from tracelang.checkpoint.room import Needed
from tracelang.engine.low_rank import Dense, LowRank
from tracelang.models import header, loading, weights
from tracelang.models.digests import recalled
from tracelang.models.inside import files
from tracelang.models.single import reference
from tracelang.plan.family import ModelError, Site

FOREIGN = weights.PICKLES | {".msgpack", ".h5", ".onnx", ".onnx_data", ".pb", ".tflite", ".gguf"}
"""Weights in formats that are not patched: never copied."""
Untouched = Literal["copy", "link"]


@dataclass(slots=True)
class Manifest:
    """What became of the base's files, by path inside the checkpoint; digests are sha256 in hexadecimal."""

    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """`{"before": …, "after": …}` of each file's bytes; the same where it was not touched."""
    tensors: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Of each weights file that was edited: `{tensor: {dtype, shape, before, after}}`."""
    left_out: list[str] = field(default_factory=list)
    without: dict[str, str] = field(default_factory=dict)
    """Components that the copy's `model_index.json` no longer names, and why."""


def copy(
    base: Path,
    target: Path,
    deltas: Mapping[Site, LowRank | Dense],
    components: frozenset[str],
    untouched: Untouched = "copy",
) -> Manifest:
    """Make `target` (which must not exist) the edited copy of `base`; `components` are those that have sites.

    `untouched` says what becomes of weights files that hold no edited tensor: `"copy"` makes files of their own, which
    share blocks with the base's where the file system can, `"link"` hard links to the base's files. Everything else is
    small and copied. A safety checker without weights that are copied is taken out of `model_index.json`. Raises
    ModelError where an edited tensor is not stored as the delta expects, OutputError where a link cannot be made, and
    OSError.
    """
    edits: dict[str, dict[str, patch.Change]] = {}
    for site in deltas:
        edits.setdefault(site.component, {})[site.tensor] = change(site, deltas)
    for component, changes in edits.items():
        for tensor in changes.keys() - weights.find(base / component).tensors.keys():
            raise ModelError(f"{base / component}: there is no tensor {tensor!r} to edit; is this the plan's model?")
    edited = {component: changes.keys() for component, changes in edits.items()}
    return changed(base, target, edited, lambda path, name: edits[path.parts[0]][name], components, untouched)


def changed(
    base: Path,
    target: Path,
    edited: Mapping[str, Set[str]],
    change: Callable[[Path, str], patch.Change],
    components: Set[str],
    untouched: Untouched = "copy",
) -> Manifest:
    """`copy` for any change: `edited` names the tensors of each component, `change` gives what becomes of one in a
    file, by its path inside the base.
    """
    manifest = Manifest(left_out=[path.as_posix() for path in files(base)[1]], without=loading.without(base))
    target.mkdir()
    for path, held in parts(base, edited, components):
        source = base / path
        if held is None:
            manifest.left_out.append(path.as_posix())
            continue
        here = {name: change(path, name) for name in held}
        copied = target / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        name = path.as_posix()
        if here:
            manifest.files[name], manifest.tensors[name] = digests(source, patch.patch(source, copied, here))
            continue
        if name == "model_index.json" and manifest.without:
            copied.write_text(loading.rewritten(source, manifest.without), encoding="utf-8")
            manifest.files[name] = {"before": weights.sha256(source), "after": weights.sha256(copied)}
            continue
        if untouched == "link" and source.suffix == ".safetensors":
            _link(source, copied)
            digest = recalled(source)
        else:
            digest = patch.clone(source, copied)
        manifest.files[name] = {"before": digest, "after": digest}
    return manifest


def parts(base: Path, edited: Mapping[str, Set[str]], components: Set[str]) -> Iterator[tuple[Path, Set[str] | None]]:
    """Every file of the base, by path inside it, with the edited tensors that it holds; None where it is left out."""
    without = loading.without(base)
    whole = {path for name, tensors in edited.items() for path in _whole(base / name, tensors)}
    for path in files(base)[0]:
        source = base / path
        component = path.parts[0] if len(path.parts) > 1 else ""
        tensors = edited.get(component, frozenset())
        stored = header.read(source).tensors if component in components and source.suffix == ".safetensors" else {}
        here = frozenset(tensors & stored.keys())
        stays = source in whole or not _is_foreign(path, tensors, here)
        yield path, here if stays and component not in without else None


def digests(source: Path, copied: patch.Copied) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """What the manifest says of an edited file and of its tensors: of those that changed, what was read back."""
    return {"before": recalled(source), "after": copied.file}, {
        name: {"dtype": e.dtype, "shape": list(e.shape), "before": before, "after": after}
        for name, e in header.read(source).tensors.items()
        for before, after in [copied.tensors[name]]
    }


def foreseen(base: Path, sites: Iterable[Site], untouched: Untouched) -> Needed:
    """The base's files of which `copy` will write copies, and those that it will link, but for what it leaves out
    because it is stored twice. Raises ModelError.
    """
    edited: dict[str, set[str]] = {}
    for site in sites:
        edited.setdefault(site.component, set()).add(site.tensor)
    copies, links = list[Path](), list[Path]()
    for path in files(base)[0]:
        changed = edited.get(path.parts[0], set()) if len(path.parts) > 1 else set[str]()
        if path.suffix in FOREIGN or (path.suffix == ".safetensors" and len(path.parts) == 1):
            continue
        if path.suffix == ".safetensors" and not (changed and changed & header.read(base / path).tensors.keys()):
            (links if untouched == "link" else copies).append(base / path)
        else:
            copies.append(base / path)
    return Needed(tuple(copies), tuple(links))


def refuse(base: Path) -> None:
    """Raise ModelError where the base keeps a part of itself elsewhere: what is no regular file inside it. A folder
    that stands for a single file keeps all of it there.
    """
    if reference.origin(base) is not None:
        return
    needed = {Path(name) for name in (*weights.components(base), "model_index.json")}
    for lost in files(base)[1]:
        if lost in needed or (lost.parent in needed and lost.suffix in (".json", ".txt", ".model", ".safetensors")):
            raise ModelError(f"{base / lost}: is no regular file inside the model; put the file itself there")


def _link(source: Path, target: Path) -> None:
    try:
        patch.link(source, target)
    except OSError as error:
        raise OutputError(
            f"{source}: cannot be hard-linked into the output ({error.strerror}); pass --untouched copy"
        ) from error


def _is_foreign(path: Path, edited: Set[str], here: Set[str]) -> bool:
    """Could the file bring unedited weights back? A file outside the components, or one without every edited tensor.

    So could the index of such files.
    """
    if weights.INDEX.search(path.name) and edited:
        return True
    if path.suffix != ".safetensors":
        return path.suffix in FOREIGN
    return len(path.parts) == 1 or edited != here


def _whole(component: Path, edited: Set[str]) -> set[Path]:
    """The indices in a component's folder that list every edited tensor, and the shards that they name."""
    kept = set[Path]()
    for index in component.glob("*.safetensors.*.json"):
        try:
            held = weights.sharded(index, None)
        except ModelError:  # of a variant that is not there, say: nobody could load it
            continue
        if edited <= held.tensors.keys():
            kept |= {index, *held.files}
    return kept
