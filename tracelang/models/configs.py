"""The JSON files of a folder in diffusers layout, read with suspicion. Torch-free."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tracelang.plan.family import ModelError

INDEX = "model_index.json"
LONGEST = 64 << 20  # a tokenizer.json may take some megabytes; more is no configuration


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


def index(folder: Path) -> dict[str, Any]:
    """`model_index.json`: the pipeline's class as `_class_name`, and of every component `[library, class]`."""
    return read(folder / INDEX)


def named(folder: Path) -> dict[str, tuple[str, str]]:
    """Library and class of every component that `model_index.json` names. Raises ModelError."""
    found = {name: entry for name, entry in index(folder).items() if isinstance(entry, list) and len(entry) == 2}
    return {name: (str(entry[0]), str(entry[1])) for name, entry in found.items() if entry[0] is not None}
