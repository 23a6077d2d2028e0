"""Which tensors a component's config asks for, by the library's own class: built on torch's meta device, which holds
shapes and no numbers. Headers are compared with it, so that what would fail to load is said before anything is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tracelang.files import cache_folder, write_text
from tracelang.models import configs, layout, weights
from tracelang.models.single import reference
from tracelang.plan.family import ModelError

FORMAT = 1
LIBRARIES = ("diffusers", "transformers")
RENAMED = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn"))
"""Names inside an attention block, and what they were before diffusers 0.15; it reads both."""

Table = dict[str, tuple[tuple[int, ...], tuple[str, ...]]]
"""Of each tensor its shape, and the other names under which the library reads it."""


def refuse(folder: Path) -> None:
    """Raise ModelError, one line, where a component of a checkpoint lacks a tensor that its config asks for, or holds
    one of another shape. Looks at those that are diffusers' or transformers' own and have weights; reads headers alone.
    """
    for name, (library, kind) in configs.named(folder).items():
        path = folder / name / "config.json"
        if library not in LIBRARIES or Path(name).name != name or not path.is_file() or kind.startswith("AutoModel"):
            continue
        try:
            weights.find(folder / name)
        except ModelError:  # a component that no edit needs
            continue
        fits(folder / name, table(library, kind, path))


def fits(component: Path, asked: Table, spare: str = "") -> None:
    """Raise ModelError unless the weights hold what is `asked`; tensors of the module `spare` may be missing."""
    stored = weights.find(component).tensors
    lacking = []
    for name, (shape, others) in asked.items():
        found = next((one for one in (name, *others) if one in stored), None)
        if found is None:
            if not (spare and name.startswith(f"{spare}.")):
                lacking.append(name)
        elif stored[found][1].shape != shape:
            file, entry = stored[found]
            shown = reference.called(component, found)
            raise ModelError(
                f"{file}: {shown!r} is {entry.dtype} {list(entry.shape)}, the config asks for {list(shape)}; weights "
                "and config do not belong together"
            )
    if lacking:
        also = f", the first of {len(lacking)} that the config asks for" if len(lacking) > 1 else ""
        also = also or ", which the config asks for"
        first = layout.lacked(component, lacking[0])
        raise ModelError(f"{component}: the weights lack {first}{also}; download them again")


def table(library: str, kind: str, config: Path) -> Table:
    """What a class of a library asks for under a config. Kept in the user's cache folder, for to import the class takes
    seconds; empty where the library has no such class, or no model of that config. Raises ModelError for a config that
    the class stumbles over.
    """
    told = configs.read(config)
    facts = json.dumps([FORMAT, library, version(library), version("torch"), kind, told], sort_keys=True)
    kept = cache_folder("expected") / f"{hashlib.sha256(facts.encode('utf-8', 'surrogatepass')).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        return {
            str(name): (tuple(shape), tuple(others)) for name, (shape, others) in json.loads(kept.read_bytes()).items()
        }
    made = _made(library, kind, config)
    with contextlib.suppress(OSError):
        write_text(kept, json.dumps(made))
    return made


def _made(library: str, kind: str, config: Path) -> Table:
    from tracelang.models.libraries import blamed

    found = getattr(import_module(library), kind, None)
    if not isinstance(found, type) or not hasattr(found, "from_pretrained"):
        return {}
    with blamed(config.parent, "loaded"):
        return of(found, config)


def of(kind: Any, config: Path) -> Table:
    """What a class asks for. Raises whatever the library does over a config."""
    import torch

    from tracelang.models.libraries import quiet

    with quiet(), torch.device("meta"):
        if hasattr(kind, "load_config"):
            model = kind.from_config(kind.load_config(config.parent, local_files_only=True))
        else:
            model = kind(kind.config_class.from_pretrained(config.parent, local_files_only=True))
    ignored = [re.compile(one) for one in getattr(model, "_keys_to_ignore_on_load_missing", None) or ()]
    prefix = getattr(model, "base_model_prefix", "")
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    older = tuple(_older(model))
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    return {
        name: (shape, tuple(_others(name, prefix, tied, older)))
        for name, shape in shapes.items()
        if not any(one.search(name) for one in ignored)
    }


def _others(name: str, prefix: str, tied: dict[str, str], older: tuple[str, ...]) -> Iterator[str]:
    """transformers reads a tensor with its base model's prefix and without, and the one it is tied to."""
    if name in tied:
        yield tied[name]
    yield from (one for one, source in tied.items() if source == name)
    for before in filter(None, dict.fromkeys((prefix, "text_model"))):  # CLIP's own, which transformers 5 left out
        yield name.removeprefix(f"{before}.") if name.startswith(f"{before}.") else f"{before}.{name}"
    for module in older:
        for now, before in RENAMED:
            if name.startswith(f"{module}.{now}."):
                yield f"{module}.{before}.{name.removeprefix(f'{module}.{now}.')}"


def _older(model: Any) -> Iterator[str]:
    """The attention blocks that diffusers also reads under their older names."""
    for name, module in model.named_modules():
        if getattr(module, "_from_deprecated_attn_block", False):
            yield name
