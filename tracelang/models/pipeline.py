"""What families of diffusers pipelines have in common: a folder is claimed, checked, and loaded. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tracelang.models import layout, steady
from tracelang.models.layout import Classes
from tracelang.models.weights import find
from tracelang.plan.family import ModelError, Site

if TYPE_CHECKING:
    import torch

    from tracelang.models.model import PipelineModel, Schedule
    from tracelang.models.paths import TextPath
    from tracelang.models.prompt_side import PromptSide


class Pipeline(ABC):
    """`Family` of one pipeline class. A family says the four attributes and what is abstract; a name of its own for
    some of its folders where it has several `names`.

    Every method takes the checkpoint's folder. What imports torch is imported inside `paths` and `model`. What a config
    lacks or holds of another kind, a KeyError say, becomes a ModelError in `check`.
    """

    names: tuple[str, ...]
    """What `supports` may say of its folders."""
    title: str
    """As messages call it: `"FLUX.1"`."""
    pipeline: str
    """`_class_name` in `model_index.json`."""
    classes: Classes
    """Of each component that is loaded: the library and the classes that `model_index.json` may name."""
    reads_lora = False
    """Does the pipeline in diffusers load LoRA files? Where it does not, none is written."""
    refused: Mapping[str, str] = {}
    """Pipelines of the family's own that are not supported, and what each of them does: claimed, in order to say so."""

    def name(self, folder: Path) -> str:
        return self.names[0]

    def claims(self, folder: Path) -> bool:
        return layout.claims(folder, self.pipeline, self.classes) or layout.pipeline(folder) in self.refused

    def check(self, folder: Path) -> None:
        with layout.suspicious(folder):
            kind = layout.pipeline(folder)
            if why := self.refused.get(kind or ""):
                raise ModelError(f"{folder}: is a {kind}, which {why}")
            layout.complete(folder, self.pipeline, self.classes, self.title)
            self.fits(folder)
            self.clock(folder)
            self.conditions(folder)

    def text(
        self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None
    ) -> PromptSide:
        """The prompt side, its encoders not loaded yet. `dtype` as for `parts.placed`.

        Raises ModelError: everything that `check` finds, a tokenizer, an unknown device or dtype; when a prompt is
        encoded, weights that lack a tensor, and a file that somebody wrote to meanwhile.
        """
        before = steady.checkpoint(folder)
        self.check(folder)
        try:
            from tracelang.models.parts import placed
            from tracelang.models.prompt_side import PromptSide
        except ImportError as error:
            raise ModelError(f"running a model needs {error.name}; pip install 'tracelang[run]'") from None
        sites = self.sites(folder)
        stored = find(folder / sites[0].component).tensors[sites[0].tensor][1].dtype
        place, kind = placed(device, dtype, stored)
        paths = self.paths(folder, place, kind)
        return PromptSide(folder, sites, paths, self.conditions(folder), place, kind, cache, before)

    def load(
        self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None
    ) -> PipelineModel:
        """The model with weights, frozen. Raises ModelError as `text` does, and for weights that lack a tensor."""
        return self.model(self.text(folder, device, dtype, cache))

    @abstractmethod
    def fits(self, folder: Path) -> None:
        """Raise ModelError, one line, unless the components' configs and weights' headers fit each other."""

    @abstractmethod
    def sites(self, folder: Path) -> tuple[Site, ...]:
        """Every editable matrix, in the model's order, from configs alone. Raises ModelError."""

    @abstractmethod
    def clock(self, folder: Path) -> Schedule:
        """From `diffusion.clock` or `flow.clock`. Raises ModelError for a schedule that is none."""

    @abstractmethod
    def conditions(self, folder: Path) -> Mapping[str, float]:
        """What else decides a picture and is fixed: `"guidance"` at least, sizes in pixels, lengths in tokens.
        Raises ModelError.
        """

    @abstractmethod
    def paths(self, folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[TextPath, ...]:
        """The text paths, the one that `layout` speaks of first. Raises ModelError: a tokenizer."""

    @abstractmethod
    def model(self, text: PromptSide) -> PipelineModel:
        """The model around its prompt side, by `PipelineModel.around`. Raises ModelError where a tensor is missing."""
