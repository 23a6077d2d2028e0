"""What is fetched of a hub's repository: one variant of the weights of the components that it names, as diffusers users
load them, and every small file beside them. Decided from the list of its files; nothing is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from tracelang.models.weights import STEMS, VARIANTS

SHARD = r"(-\d{5}-of-\d{5})?"


def chosen(files: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Of a repository's files those that `patterns` admit, and of each component's weights one variant only: the plain
    one, which loads without being asked for, else fp16, else bf16. Safetensors of a component that has none of these
    stay, so that a message can name them.
    """
    admitted = sorted(file for file in files if any(fnmatchcase(file, pattern) for pattern in patterns))
    weights = {file for file in admitted if file.endswith(".safetensors") or ".safetensors." in file}
    components = {file.rpartition("/")[0] for file in weights}
    kept = {file for folder in components for file in _one_variant(sorted(f for f in weights if _in(folder, f)))}
    return [file for file in admitted if file not in weights or file in kept]


def _in(folder: str, file: str) -> bool:
    return file.rpartition("/")[0] == folder


def _one_variant(files: list[str]) -> list[str]:
    for stem in STEMS:
        for variant in VARIANTS:
            found = list(filter(_named(stem, variant), files))
            if any(file.endswith(".safetensors") for file in found):
                return found
    return files


def _named(stem: str, variant: str | None) -> Callable[[str], bool]:
    """Is a path one of a variant's weights or their index, in any naming that the libraries read?"""
    dotted = re.escape(f".{variant}") if variant else ""
    names = (
        rf"{stem}{dotted}{SHARD}\.safetensors",
        rf"{stem}{SHARD}{dotted}\.safetensors",
        rf"{stem}\.safetensors\.index{dotted}\.json",
        rf"{stem}\.safetensors{dotted}\.index\.json",
    )
    one = re.compile("|".join(names))
    return lambda file: one.fullmatch(file.rpartition("/")[2]) is not None


def fetch(name: str, revision: str | None, patterns: Sequence[str]) -> str:
    """The folder in the hub's own cache. Raises what `snapshot_download` does, also where the list of files cannot be
    had: offline the cache gives what it holds.
    """
    from huggingface_hub import HfApi, snapshot_download

    wanted: Sequence[str]
    try:
        files = chosen(HfApi().list_repo_files(name, revision=revision), patterns)
        wanted = [file.replace("[", "[[]") for file in files]
    except Exception:  # whatever it was, the download meets it too and says it
        wanted = patterns
    return str(snapshot_download(name, revision=revision, allow_patterns=list(wanted)))
