"""How plain diffusers finds the weights of the components that `model_index.json` names, by names alone. Torch-free.

One `variant` is asked for by a whole pipeline. A component takes part in it that has any file of that variant, and the
others are loaded from their plain files. Pickles do not count here: they are never copied.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tracelang.models import configs, weights
from tracelang.models.variants import STEMS, VARIANTS
from tracelang.models.weights import PICKLES, Weights
from tracelang.plan.family import ModelError

WEIGHTLESS = re.compile(r"(Tokenizer(Fast)?|Scheduler|FeatureExtractor|Processor(Fast)?)$")
"""Classes whose files are settings alone."""
OPTIONAL = ("safety_checker",)
"""Components that no picture is computed with, so that a pipeline can do without: it says so where it has none."""
LACKS = "there is no safetensors weights file"
"""What is told last: of two variants that do not do, the other may lack less."""
DTYPES = {"F16": "float16", "BF16": "bfloat16", "F64": "float64"}
"""torch's name of a stored dtype that a library has to be told; float32 is what it takes by itself."""


def without(folder: Path) -> dict[str, str]:
    """The optional components that would lack their weights, and why; nothing else may lack them. Raises ModelError."""
    return {
        name: reason.removeprefix(f"{folder}{os.sep}")
        for name, (library, kind) in configs.named(folder).items()
        if name in OPTIONAL
        and (reason := _lacks(folder, name, library, kind, None))
        and all(_lacks(folder, name, library, kind, variant) for variant in VARIANTS)
    }


def variant(folder: Path, without: Mapping[str, str] | None = None, first: str | None = None) -> str | None:
    """The `variant` under which plain diffusers finds all that `model_index.json` names but `without`, `first` before
    the others; None: the plain files. Raises ModelError naming the component that has no weights.
    """
    faults: dict[str | None, list[str]] = {}
    for one in dict.fromkeys((first, *VARIANTS)):
        faults[one] = list(_faults(folder, one, without or {}))
        if not faults[one]:
            return one
    raise ModelError(min(faults.values(), key=lambda found: (len(found), LACKS in found[0]))[0])


def call(folder: Path, path: str = "model", first: str | None = None) -> str:
    """The lines of Python that load `folder`, which lies at `path`, in its own dtype, and the variant `first` where
    that is complete. Raises ModelError.
    """
    which = variant(folder, first=first)
    sizes = Counter[str]()
    for name, (library, kind) in configs.named(folder).items():
        if not WEIGHTLESS.search(kind):
            held = _found(folder / name, library, _variant(folder / name, which))
            for _, entry in held.tensors.values() if held else ():
                sizes[entry.dtype] += entry.end - entry.begin
    dtype = DTYPES.get(sizes.most_common(1)[0][0]) if sizes else None
    told = [json.dumps(path), f'variant="{which}"' if which else "", f"torch_dtype=torch.{dtype}" if dtype else ""]
    given = ", ".join(filter(None, told))
    imports = [*(["import torch"] if dtype else []), "from diffusers import DiffusionPipeline"]
    return "\n".join([*imports, "", f"pipe = DiffusionPipeline.from_pretrained({given})"])


def _faults(folder: Path, which: str | None, without: Mapping[str, str]) -> Iterator[str]:
    for name, (library, kind) in configs.named(folder).items():
        if name not in without and (fault := _lacks(folder, name, library, kind, which)):
            yield fault


def _lacks(folder: Path, name: str, library: str, kind: str, which: str | None) -> str | None:
    """What keeps plain diffusers from loading a component under a variant, None where nothing does."""
    where = folder / name
    if Path(name).name != name or not where.is_dir():
        return f"{where}: model_index.json names this component and it is not there; download it again"
    if which and (odd := next((path.name for path in sorted(where.iterdir()) if "." not in path.name), None)):
        return f"{where / odd}: a file without an ending keeps diffusers from loading a variant; remove it"
    if kind.endswith("Scheduler"):
        there = (where / "scheduler_config.json").is_file()
        return None if there else f"{where / 'scheduler_config.json'}: is missing; download the model again"
    if WEIGHTLESS.search(kind):
        return None if any(where.iterdir()) else f"{where}: is empty; download the model again"
    if not (where / "config.json").is_file():
        return f"{where / 'config.json'}: is missing; download the model again or save it with save_pretrained"
    which = _variant(where, which)
    try:
        if _found(where, library, which) is not None:
            return None
    except ModelError as error:
        return str(error)
    pickles = [path.name for path in sorted(where.iterdir()) if path.suffix in PICKLES]
    if pickles:
        return (
            f"{where}: its weights are kept only as {pickles[0]}, a pickle, which can run code and is neither loaded "
            "nor copied; save the pipeline once with save_pretrained(…, safe_serialization=True)"
        )
    asked = f"of the variant {which}" if which else "that is no variant"
    return f"{where}: {LACKS} {asked}; download the component again"


def _variant(component: Path, which: str | None) -> str | None:
    """What a component is asked for: diffusers takes it to have a variant by the second part of any file's name."""
    has = which and any(
        path.name.split(".")[1:2] and path.name.split(".")[1].startswith(which) for path in component.iterdir()
    )
    return which if has else None


def _found(component: Path, library: str, which: str | None) -> Weights | None:
    """By the rule of the library; a class of a third one is a model of either. Raises ModelError."""
    stems = {"diffusers": STEMS[:1], "transformers": STEMS[1:]}.get(library, STEMS)
    return next((found for stem in stems if (found := weights.named(component, stem, which)) is not None), None)


def rewritten(index: Path, without: Mapping[str, str]) -> str:
    """`model_index.json` with the components of `without` as diffusers writes one that is not there."""
    table = configs.read(index)
    return json.dumps(table | {name: [None, None] for name in without}, indent=2, ensure_ascii=False) + "\n"
