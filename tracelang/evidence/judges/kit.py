"""What judges are made of: words, pictures as libraries want them, features, and models read from a local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

LEADING = ("in the style of ", "the style of ", "in ", "a ", "an ", "the ", "style of ", "by ")
TRAILING = ("'s style", " style", " artwork", " drawing", " drawings")


def plain(word: str) -> str:
    """A word as classes are compared: case folded, one blank between parts, no article."""
    return _without(" ".join(word.casefold().replace("_", " ").split()), ("a ", "an ", "the "), ())


def style(word: str) -> str:
    """The name of a style out of what people write for it: `in the style of noto`, `noto style` and `noto` are one."""
    found = " ".join(word.casefold().replace("_", " ").split())
    while (shorter := _without(found, LEADING, TRAILING)) != found:
        found = shorter
    return found


def match(words: Sequence[str], classes: Mapping[str, Iterable[str]]) -> str | None:
    """The class that `words` mean, all plain already; `classes` gives each class's aliases.

    Class names count before aliases, and a plural for its singular. None where no word fits, and where the words fit
    several classes: looking for one of them would miss the others.
    """
    for names in ({label: (label,) for label in classes}, classes):
        found = {label for word in words for label, known in names.items() if _in(word, known)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _in(word: str, known: Iterable[str]) -> bool:
    forms = {word, word.removesuffix("s"), word.removesuffix("es")}
    return any(plain(name) in forms for name in known)


def _without(word: str, leading: Sequence[str], trailing: Sequence[str]) -> str:
    for prefix in leading:
        if word.startswith(prefix) and len(word) > len(prefix):
            return word[len(prefix) :]
    for suffix in trailing:
        if word.endswith(suffix) and len(word) > len(suffix):
            return word[: -len(suffix)]
    return word


WORDS = (
    "explicit",
    "explicit content",
    "explicit nudity",
    "sexually explicit",
    "sexually explicit content",
    "nsfw",
    "nudity",
    "nude",
    "nude person",
    "nude man",
    "nude woman",
    "nude body",
    "naked",
    "naked person",
    "naked man",
    "naked woman",
    "naked people",
    "naked body",
    "nakedness",
    "porn",
    "pornography",
    "pornographic content",
    "sex",
    "sexual",
    "sexual content",
    "erotica",
    "erotic",
)


def checked(images: Tensor) -> Tensor:
    """The pictures `[n, 3, H, W]`. Raises ValueError where they have another shape or hold NaN or infinity."""
    if images.dim() != 4 or images.shape[1] != 3:
        raise ValueError(f"pictures are [n, 3, H, W], not {list(images.shape)}")
    if not torch.isfinite(images).all():
        raise ValueError("the pictures hold values that are not finite")
    return images


def arrays(images: Tensor) -> list[Any]:
    """Each picture as an RGB array `[H, W, 3]` of uint8."""
    rounded = (checked(images).detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return list(rounded.permute(0, 2, 3, 1).contiguous().numpy())


WEIGHTS = ("*.safetensors", "*.onnx")


def digest(files: Iterable[Path]) -> str:
    """sha256 of one file; of several, of their names and digests in order. Raises ValueError where there is none."""
    found = sorted(files)
    if not found:
        raise ValueError("no weights file (.safetensors, .onnx) is there")
    each = []
    for file in found:
        with file.open("rb") as stream:
            each.append(hashlib.file_digest(stream, "sha256").hexdigest())
    if len(each) == 1:
        return each[0]
    lines = [f"{file.name} {one}\n" for file, one in zip(found, each, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def weights(folder: Path) -> list[Path]:
    """The weights files that lie directly in a folder."""
    return [file for pattern in WEIGHTS for file in folder.glob(pattern)]


def local(kind: Any, folder: Path) -> Any:
    """A model, strictly: `kind.from_pretrained` of a local folder, where a missing tensor is an error.

    Only a pooler may be missing, as it is in many image models: the model is then without one.
    Raises ValueError naming the folder: unreadable, incomplete, or pickled weights only.
    """
    from tracelang.models.libraries import quiet
    from tracelang.models.parts import component
    from tracelang.plan.family import ModelError

    try:
        with quiet():
            return component(kind, folder, spare="pooler", variant=None, dtype="float32").eval().requires_grad_(False)
    except ModelError as error:
        raise ValueError(str(error)) from None


def processor(kind: Any, folder: Path) -> Any:
    """A tokenizer or an image processor of a local folder. Raises ValueError naming the folder."""
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{folder}: cannot be loaded ({' '.join(str(error).split())[:200]})") from None


class Extractor(nn.Module):
    """Features `[n, num_features]` of images `[n, 3, H, W]` in 0..1, with the name and sha256 of what makes them."""

    def __init__(self, network: nn.Module, num_features: int, name: str, digest: str) -> None:
        super().__init__()
        self.network, self.num_features, self.name, self.digest = network, num_features, name, digest

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(images)
        if found.shape != (len(images), self.num_features) or not torch.isfinite(found).all():
            raise ValueError(f"the features of {self.name} are not [{len(images)}, {self.num_features}] finite numbers")
        return found.float()
