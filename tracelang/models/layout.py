"""A folder in diffusers layout: is it what it says, by its index and its weights' headers? Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracelang.models import configs, header
from tracelang.models.header import FLOATS
from tracelang.models.single.reference import bare, called, origin, told
from tracelang.models.weights import Weights, components, find
from tracelang.plan.family import ModelError, Site

Classes = Mapping[str, tuple[str, frozenset[str]]]
"""Of each component that is loaded: the library and the classes that `model_index.json` may name."""
QUANTISED = {
    "nf4 or fp4 of bitsandbytes": r"quant_state\..+|absmax|quant_map|nested_absmax|nested_quant_map",
    "int8 of bitsandbytes": r"SCB|weight_format",
    "nunchaku, GPTQ or AWQ": r"qweight|qzeros|wscales|wzeros|scales|smooth_factor(_orig)?|lora_down|lora_up",
    "fp8 with scales": r"scaled_fp8|comfy_quant|weight_scale(_2|_inv)?|scale_weight|(input|act)_scale|scale_input",
    "torchao or quanto": r"_data|_scale",
}
"""Names of tensors that only quantised weights have, as scales, codes and tables beside the numbers, by format."""
LAST = {kind: re.compile(rf"(^|\.)({names})$") for kind, names in QUANTISED.items()}
BYTES = {"F8_E4M3": "fp8", "F8_E5M2": "fp8", "I8": "int8"}
COUNTS = ("I64", "I32")
"""The dtypes of a buffer of positions, which older files hold beside the weights."""
WAY_OUT = f"quantised weights are not supported; {header.WAY_OUT}"


@contextmanager
def suspicious(folder: Path) -> Iterator[None]:
    """Reading configs: a value of a kind that nobody thought of is the folder's fault, in one line: ModelError. Of a
    folder that stands for a single file, the file's.
    """
    try:
        yield
    except ModelError as error:
        raise ModelError(told(str(error))) from None
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{folder}: a config holds a value of another kind ({reason}); download it again") from None


def named(index: Mapping[str, Any], classes: Classes, name: str) -> bool:
    """Does `model_index.json` name one of the component's classes, of its library?"""
    library, accepted = classes[name]
    return any(index.get(name) == [library, kind] for kind in accepted)


def pipeline(folder: Path) -> str | None:
    """The pipeline's class by `model_index.json`; None where that is missing or unreadable."""
    try:
        kind = configs.index(folder).get("_class_name")
    except ModelError:
        return None
    return kind if isinstance(kind, str) else None


def claims(folder: Path, pipeline: str, classes: Classes) -> bool:
    """Is it that pipeline by its `model_index.json`, with all of these components?"""
    try:
        index = configs.index(folder)
    except ModelError:
        return False
    return index.get("_class_name") == pipeline and all(named(index, classes, name) for name in classes)


def complete(folder: Path, pipeline: str, classes: Classes, family: str) -> None:
    """Raise ModelError, one line, for another pipeline or a component of another class."""
    index = configs.index(folder)
    if index.get("_class_name") != pipeline:
        raise ModelError(f"{folder}: is a {index.get('_class_name')!r}, not a {pipeline}; use another backend's model")
    for name, (library, accepted) in classes.items():
        if not named(index, classes, name):
            raise ModelError(
                f"{folder / 'model_index.json'}: {name} is {index.get(name)!r}, not {library}'s {min(accepted)}; "
                f"pass a complete {family} folder"
            )


def plain(folder: Path, loaded: tuple[str, ...], sites: Iterable[Site] = ()) -> None:
    """Raise ModelError, one line, for quantised weights: a component whose config says so, or one of those `loaded`
    that holds a tensor of no floating dtype; the message names the first of the `sites` that is so, if any is, one that
    reads the prompt before others. Libraries would load such tensors as they are, without their scales.
    """
    for name in components(folder):
        path = folder / name / "config.json"
        table = configs.read(path) if path.is_file() else {}
        for key in ("quantization_config", "compression_config"):
            if table.get(key):
                raise ModelError(f"{path}: has a {key}; {WAY_OUT}, and give a config without it")
    for name in (one for one in loaded if not bare(folder / one)):
        stored = find(folder / name).tensors
        found = {tensor: kind for tensor, (_, entry) in stored.items() if (kind := quantised(tensor, entry.dtype))}
        if not found:
            continue
        edited = {site.module: not site.reads for site in sites if site.component == name}
        tensor = min(found, key=lambda one: min((edited.get(module, 2) for module in _modules(one)), default=2))
        kind = next((one for one in found.values() if one in QUANTISED), found[tensor])
        file, entry = stored[tensor]
        also = _also(len({called(folder / name, one) for one in found}))
        shown = called(folder / name, tensor)
        raise ModelError(f"{file}: {shown!r} is {entry.dtype} and belongs to {kind}{also}; {WAY_OUT}")


def coded(names: Iterable[str], edited: re.Pattern[str]) -> str | None:
    """What to say of names that only quantised weights have, None where there are none: the first that is `edited`
    before others.
    """
    found = {name: kind for name in names for kind, last in LAST.items() if last.search(name)}
    if not found:
        return None
    name = next(filter(edited.search, found), next(iter(found)))
    return f"{name!r} belongs to {found[name]}{_also(len(found))}; {WAY_OUT}"


def _also(count: int) -> str:
    return f", one of {count} such tensors" if count > 1 else ""


def quantised(tensor: str, dtype: str) -> str | None:
    """What a tensor belongs to that holds no weights as floating point numbers, nor positions; else None."""
    kind = next((kind for kind, last in LAST.items() if last.search(tensor)), None)
    if kind or dtype in FLOATS or (dtype in COUNTS and tensor.endswith("position_ids")):
        return kind
    return BYTES.get(dtype, "weights that are not floating point")


def lacked(component: Path, tensor: str) -> str:
    """A tensor that is not there, by the one name that is known of it: a single file would have another."""
    return repr(tensor) if origin(component.parent) is None else f"what diffusers calls {tensor!r}"


def _modules(tensor: str) -> Iterator[str]:
    """The modules that a tensor lies in, by its name."""
    while "." in tensor:
        tensor = tensor.rpartition(".")[0]
        yield tensor


def holds(component: Path, stored: Weights, name: str, shape: tuple[int, ...]) -> None:
    """Raise ModelError unless the weights hold a floating-point tensor of that name and shape."""
    if name not in stored.tensors:
        raise ModelError(
            f"{component}: the weights lack {lacked(component, name)}, which the config asks for; download them again"
        )
    file, entry = stored.tensors[name]
    shown = called(component, name)
    if entry.dtype not in FLOATS:
        raise ModelError(f"{file}: {shown!r} is {entry.dtype}, not floating point; {WAY_OUT}")
    if entry.shape != shape:
        raise ModelError(
            f"{file}: {shown!r} is {entry.dtype} {list(entry.shape)}, the config asks for {list(shape)}; weights and "
            "config do not belong together"
        )
