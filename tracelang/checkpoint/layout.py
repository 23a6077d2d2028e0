"""A folder in diffusers layout, read with suspicion: its JSON files and what its weights' headers hold. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracelang.checkpoint.header import FLOATS
from tracelang.checkpoint.weights import Weights
from tracelang.plan.family import ModelError

LONGEST = 64 << 20  # a tokenizer.json may take some megabytes; more is no configuration

Classes = Mapping[str, tuple[str, frozenset[str]]]
"""Of each component that is loaded: the library and the classes that `model_index.json` may name."""


def read(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ModelError naming the file."""
    try:
        if path.stat().st_size > LONGEST:
            raise ModelError(f"{path}: too large for a configuration file; download the model again")
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{path}: is missing; download the model again or save it with save_pretrained") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{path}: is not valid JSON; download the model again") from None
    if not isinstance(table, dict):
        raise ModelError(f"{path}: holds no JSON object; download the model again")
    return table


def named(index: Mapping[str, Any], classes: Classes, name: str) -> bool:
    """Does `model_index.json` name one of the component's classes, of its library?"""
    library, accepted = classes[name]
    return any(index.get(name) == [library, kind] for kind in accepted)


def claims(folder: Path, pipeline: str, classes: Classes) -> bool:
    """Is it that pipeline by its `model_index.json`, with all of these components?"""
    try:
        index = read(folder / "model_index.json")
    except ModelError:
        return False
    return index.get("_class_name") == pipeline and all(named(index, classes, name) for name in classes)


def complete(folder: Path, pipeline: str, classes: Classes, family: str) -> None:
    """Raise ModelError, one line, for another pipeline or a component of another class."""
    index = read(folder / "model_index.json")
    if index.get("_class_name") != pipeline:
        raise ModelError(f"{folder}: is a {index.get('_class_name')!r}, not a {pipeline}; use another backend's model")
    for name, (library, accepted) in classes.items():
        if not named(index, classes, name):
            raise ModelError(
                f"{folder / 'model_index.json'}: {name} is {index.get(name)!r}, not {library}'s {min(accepted)}; "
                f"pass a complete {family} folder"
            )


def holds(component: Path, stored: Weights, name: str, shape: tuple[int, ...]) -> None:
    """Raise ModelError unless the weights hold a floating-point tensor of that name and shape."""
    if name not in stored.tensors:
        raise ModelError(f"{component}: the weights lack {name!r}, which the config asks for; download them again")
    file, entry = stored.tensors[name]
    if entry.shape != shape or entry.dtype not in FLOATS:
        raise ModelError(
            f"{file}: {name!r} is {entry.dtype} {list(entry.shape)}, the config asks for {list(shape)} in floating "
            "point; weights and config do not belong together"
        )
