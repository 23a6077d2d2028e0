"""What a model family tells about a checkpoint before any weight is read: sites, clock, layout. Torch-free.

A backend implements `Family`; `bind` (plan + family facts) and `tracelang.engine.protocol` (with weights) build on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tracelang.plan.types import Place, Role

if TYPE_CHECKING:
    from tracelang.engine.protocol import Model, TextSide


class ModelError(Exception):
    """A checkpoint that cannot be used. `str()` is one line: what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Site:
    """One editable matrix, known from the config alone.

    `tensor` is its name inside the component's weights file, `shape` is `(out, in)` in PyTorch's layout.
    `reads` names the text input whose states alone it multiplies (`"tokens"`, `"pooled"`), or is None where its
    input is mixed with image content or time. `text` marks the text stream's projections, where adapters go. `place`
    is None for a matrix that stands before all blocks.
    """

    component: str
    tensor: str
    shape: tuple[int, int]
    role: Role
    place: Place | None
    reads: str | None
    text: bool

    @property
    def module(self) -> str:
        """The module's name: the tensor's without `.weight`."""
        return self.tensor.removesuffix(".weight")


class Clock(Protocol):
    """A family's time: progress (0 = pure noise, 1 = image) ↔ its own time ↔ log-SNR (natural logarithm of α²/σ²).

    "time" is what the denoiser is called with: SD the training timestep 0..999, FLUX σ.
    """

    unit: str
    """`"t"` or `"sigma"`: the unit of `time`."""

    def time(self, progress: float) -> float: ...

    def logsnr(self, time: float) -> float:
        """Increasing in progress."""
        ...

    def time_at(self, logsnr: float) -> float:
        """Inverse of `logsnr`, clamped to the schedule's ends."""
        ...

    def times(self, steps: int) -> tuple[float, ...]:
        """The times a sampler of that many steps visits, noisiest first."""
        ...

    def velocity(self, time: float) -> float:
        """How far the velocity moves where the denoiser's prediction moves by one: 1 where it predicts velocities."""
        ...


class Family(Protocol):
    """A model family. Stateless: every method takes the checkpoint's folder."""

    name: str
    """As in `supports`: `"sd1"`, …"""

    def claims(self, folder: Path) -> bool:
        """Is this folder of the family? Reads `model_index.json` only; False for anything unreadable."""
        ...

    def check(self, folder: Path) -> None:
        """Raise `ModelError` unless every component is present and every weights file's header tells the truth."""
        ...

    def sites(self, folder: Path) -> tuple[Site, ...]:
        """Every editable matrix, from configs alone."""
        ...

    def clock(self, folder: Path) -> Clock: ...

    def text(self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None) -> TextSide:
        """The prompt side alone. `dtype` is `"float32"`, `"float16"`, `"bfloat16"` or None: the default.

        `cache` is a folder that keeps the states of prompts, None for none; an encoder that it spares is not loaded.
        """
        ...

    def load(self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None) -> Model:
        """The model with weights, as `text` and with the same states."""
        ...
