"""The base's own file again, under its name: every byte outside the edited matrices as it was, its header too."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tracelang.checkpoint import folder, forms, patch
from tracelang.checkpoint.forms import Asked, Emitted, Work
from tracelang.checkpoint.merge import change
from tracelang.checkpoint.output import OutputError
from tracelang.checkpoint.room import Needed
from tracelang.models import configs, header
from tracelang.models.loading import DTYPES
from tracelang.models.single import reference
from tracelang.plan.family import ModelError
from tracelang.plan.types import Plan

KEY = "single-file"
RELATION = "finetune"
EMPTY = True
CONFIG = "config"
"""Beside the file: configs and tokenizers, by which it loads without asking a hub."""


def refuse(base: Path, plan: Plan) -> None:
    """Raises OutputError for a base that is a folder, and for a file named as another form's."""
    file = reference.origin(base)
    if file is None:
        raise OutputError(
            f"--emit single-file: {base} is a folder, which is edited as a folder; emit folder, or give --model the "
            "single file"
        )
    taken = {getattr(forms.form(kind), "FILE", None) for kind in forms.known()}
    if file.name in taken:
        raise OutputError(f"{file}: OUT keeps another form of the edit under {file.name}; give the model another name")


def foreseen(asked: Asked) -> Needed:
    file = reference.origin(asked.base)
    assert file is not None
    return Needed((file,))


def write(work: Work, draft: Path) -> Emitted:
    """Raises ModelError where a second copy of a matrix, as an average over training is, would stay unedited."""
    file, source = reference.origin(work.base), reference.source(work.base)
    assert file is not None
    target = draft / file.name
    digests, tensors = folder.digests(source, patch.write(source, target, changes(work)))
    small = tuple(_configs(work.base, draft / CONFIG))
    lacking = sorted(
        name for name in configs.named(work.base) if (work.base / name).is_symlink() or reference.bare(work.base / name)
    )
    sizes = Counter[str]()
    for entry in header.read(source).tensors.values():
        sizes[entry.dtype] += entry.end - entry.begin
    dtype = DTYPES.get(sizes.most_common(1)[0][0])
    facts = {
        "dtype": dtype,
        "file": file.name,
        "files": {file.name: digests},
        "tensors": {file.name: tensors},
        "lacking": lacking,
    }
    return Emitted(facts, (file.name, *(f"{CONFIG}/{path}" for path in small)))


def changes(work: Work) -> Iterator[tuple[str, header.Entry, patch.Change]]:
    """What becomes of which bytes of the file, averages over training too. Raises ModelError."""
    for site in work.deltas:
        held = reference.held(work.base / site.component)
        if held is None or site.tensor not in held.tensors or site.tensor in held.turns:
            raise ModelError(f"{work.base}: there is no tensor {site.tensor!r} to edit; is this the plan's model?")
        name = held.stored[site.tensor]
        yield name, held.tensors[site.tensor], change(site, work.deltas, name)
        if site.tensor in held.copies:
            average = f"{name} (average)"
            yield average, held.copies[site.tensor], change(site, work.deltas, average)


def _configs(base: Path, target: Path) -> Iterator[str]:
    """Copy all but weights and references; the paths inside `target`, sorted."""
    for path in sorted(base.rglob("*")):
        inside = path.relative_to(base)
        if path.is_file() and not path.name.startswith(".") and not (base / inside.parts[0]).is_symlink():
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / inside)
            yield inside.as_posix()


def card(facts: Mapping[str, Any], out: Path) -> str:
    name = json.dumps(facts["file"], ensure_ascii=False)
    try:
        lines = loading(out / CONFIG, name, facts["lacking"], facts["dtype"])
    except ModelError:  # changed since: the manifest's digests say so
        lines = ""
    shown = f"; from this folder:\n\n```python\n{lines}\n```\n\n" if lines else ". "
    return (
        f"`{facts['file']}` is the edited checkpoint in the layout of the base's file, with the same names. It goes "
        f"where that one was{shown}`manifest.json` holds the digest of every tensor, before and after."
    )


def loading(config: Path, name: str, lacking: list[str], dtype: str | None) -> str:
    """The lines of Python that load the file in its own dtype. Raises ModelError."""
    kind = configs.index(config)["_class_name"]
    own = f"torch_dtype=torch.{dtype}" if dtype else ""
    torch = "import torch\n" if dtype else ""
    if not lacking:
        given = ", ".join(filter(None, [name, f'config="{CONFIG}"', own]))
        return f"{torch}from diffusers import {kind}\n\npipe = {kind}.from_single_file({given})"
    classes = {part: configs.named(config)[part] for part in lacking}
    imports = sorted({("diffusers", kind), *classes.values()})
    more = f", {own}" if own else ""
    parts = [f'{part}={cls}.from_pretrained(base, subfolder="{part}"{more})' for part, (_, cls) in classes.items()]
    told = ",\n    ".join(filter(None, [name, f'config="{CONFIG}"', own, *parts]))
    return (
        torch
        + "".join(f"from {library} import {cls}\n" for library, cls in imports)
        + f'\nbase = "FOLDER"  # a complete model: the file holds no {" and no ".join(lacking)}\n'
        + f"pipe = {kind}.from_single_file(\n    {told},\n)"
    )
