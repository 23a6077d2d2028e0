"""What is fetched of a hub's repository: one variant of the weights of the components that it names, as diffusers users
load them, and every small file beside them. Decided from the list of its files; nothing is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from tracelang.models import variants
from tracelang.models.variants import STEMS, VARIANTS


def chosen(files: Iterable[str], patterns: Sequence[str], variant: str | None = None) -> list[str]:
    """Of a repository's files those that `patterns` admit, and of each component's weights one variant only: the one
    that is asked for, else the plain one, which loads without being asked for, else fp16, else bf16. Safetensors of a
    component that has none of these stay, so that a message can name them.
    """
    admitted = sorted(file for file in files if any(fnmatchcase(file, pattern) for pattern in patterns))
    weights = {file for file in admitted if file.endswith(".safetensors") or ".safetensors." in file}
    components = {file.rpartition("/")[0] for file in weights}
    kept = {
        file for folder in components for file in _one_variant(sorted(f for f in weights if _in(folder, f)), variant)
    }
    return [file for file in admitted if file not in weights or file in kept]


def _in(folder: str, file: str) -> bool:
    return file.rpartition("/")[0] == folder


def _one_variant(files: list[str], first: str | None) -> list[str]:
    for stem in STEMS:
        for variant in dict.fromkeys((first, *VARIANTS)):
            found = [
                file for file in files if _bare(file).startswith(stem) and variants.there([_bare(file)]) == {variant}
            ]
            if any(file.endswith(".safetensors") for file in found):
                return found
    return files


def _bare(file: str) -> str:
    return file.rpartition("/")[2]


def fetch(name: str, revision: str | None, patterns: Sequence[str], variant: str | None = None) -> str:
    """The folder in the hub's own cache. Raises what `snapshot_download` does, also where the list of files cannot be
    had: offline the cache gives what it holds. ModelError where the repository has no such variant.
    """
    from huggingface_hub import HfApi, snapshot_download

    wanted: Sequence[str] = patterns
    try:
        files = list(HfApi().list_repo_files(name, revision=revision))
    except Exception:  # whatever it was, the download meets it too and says it
        files = []
    if files:
        wanted = [file.replace("[", "[[]") for file in chosen(files, patterns, variant)]
        if variant is not None:
            variants.refuse(name, files, variant)
    return str(snapshot_download(name, revision=revision, allow_patterns=list(wanted)))
