"""What a backend implements: a family of models, from a folder to facts and from facts to weights. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tracelang.plan.family import Clock, Facts, Site

if TYPE_CHECKING:
    from tracelang.models.protocol import Model, TextSide


class Family(Protocol):
    """A model family. Stateless: every method takes the checkpoint's folder.

    `name`, `sites` and `clock` read configs alone.
    """

    names: tuple[str, ...]
    """Every answer that `name` has."""
    reads_lora: bool
    """Does the family's pipeline in diffusers load LoRA files?"""

    def claims(self, folder: Path) -> bool:
        """Is this folder of the family? Reads `model_index.json` only; False for anything unreadable."""
        ...

    def name(self, folder: Path) -> str:
        """As in `supports`: `"sd1"`, …"""
        ...

    def sites(self, folder: Path) -> tuple[Site, ...]:
        """Every editable matrix, in the model's order."""
        ...

    def clock(self, folder: Path) -> Clock: ...

    def check(self, folder: Path) -> None:
        """Raise `ModelError` unless every component is present and every weights file's header tells the truth."""
        ...

    def text(self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None) -> TextSide:
        """The prompt side alone. `dtype` is `"float32"`, `"float16"`, `"bfloat16"` or None: the default.

        `cache` is a folder that keeps the states of prompts, None for none; an encoder that it spares is not loaded.
        """
        ...

    def load(self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None) -> Model:
        """The model with weights, as `text` and with the same states."""
        ...


def facts(family: Family, folder: Path) -> Facts:
    """What a plan is bound to."""
    return Facts(family.name(folder), family.sites(folder), family.clock(folder), str(folder))
