"""What a plan asks of a checkpoint before any weight is read: its family's name, its sites, its clock. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tracelang.plan.types import Place, Role
from tracelang.semantics.values import OUTSIDE


class ModelError(Exception):
    """A checkpoint that cannot be used. `str()` is one line: what is wrong, where, and what to do."""


class FamilyError(ModelError):
    """A model of a family that the recipe's `supports` leaves out."""


@dataclass(frozen=True, slots=True)
class Site:
    """One editable matrix, known from the config alone.

    `tensor` is its name inside the component's weights file, `shape` is `(out, in)` in PyTorch's layout. That of a
    convolution is `(out, in · height · width)` of its `kernel`: what it makes of one patch of the picture. `reads`
    names the text input whose states alone it multiplies (`"tokens"`, `"pooled"`), or is None where its input is mixed
    with image content or time. `text` marks the text stream's projections, where adapters go, and `cross` what else
    belongs to that attention. `place` is None for a matrix that stands before all blocks. `columns`, begin and end, are
    those of its input that the text input is; the others read something else beside it, such as sizes, and keep their
    bytes. None: all are.
    """

    component: str
    tensor: str
    shape: tuple[int, int]
    role: Role
    place: Place | None
    reads: str | None
    text: bool
    columns: tuple[int, int] | None = None
    cross: bool = False
    kernel: tuple[int, int] | None = None

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape in which a file holds it."""
        out, inputs = self.shape
        if self.kernel is None:
            return self.shape
        height, width = self.kernel
        return out, inputs // (height * width), height, width

    @property
    def part(self) -> slice:
        """The columns that an edit may change: `weight[:, site.part]`."""
        return slice(*(self.columns or (0, self.shape[1])))

    @property
    def outside(self) -> bool:
        """Does it lie outside of attention and feed-forward, and read no prompt? No adapter goes there."""
        return self.role in OUTSIDE

    @property
    def size(self) -> int:
        """How many numbers they hold."""
        begin, end = self.columns or (0, self.shape[1])
        return self.shape[0] * (end - begin)

    @property
    def module(self) -> str:
        """The module's name: the tensor's without `.weight`."""
        return self.tensor.removesuffix(".weight")


class Clock(Protocol):
    """A family's time: progress (0 = pure noise, 1 = image) ↔ its own time ↔ log-SNR (natural logarithm of α²/σ²).

    "time" is what the denoiser is called with: SD the training timestep 0..999, FLUX σ.
    """

    @property
    def unit(self) -> str:
        """`"t"` or `"sigma"`: the unit of `time`."""
        ...

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


@dataclass(frozen=True, slots=True)
class Facts:
    """What `bind` asks of a model: its family's name as in `supports`, every editable matrix in the model's order, its
    clock. `where` is what messages call it.
    """

    name: str
    sites: tuple[Site, ...]
    clock: Clock
    where: str = "this model"
