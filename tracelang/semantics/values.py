"""What a setting may hold besides words and numbers: windows, layer sets, choices of tokens, as a plan keeps them."""

from __future__ import annotations

from typing import Literal, get_args

from tracelang.records import dataclass

Unit = Literal["progress", "sigma", "logsnr", "t"]
Reads = Literal["prompt", "text", "cross", "denoiser", "everything"]
Role = Literal[
    "key", "value", "query", "out", "text_in", "pooled", "feedforward",
    "convolution", "projection", "embedding", "modulation",
]  # fmt: skip
Place = Literal["down", "mid", "up", "double", "single"]
Tokens = Literal["phrase", "last", "tail", "context", "all"]
HeldTokens = Literal["all", "last"]

READS: tuple[Reads, ...] = get_args(Reads)
"""`prompt`: every matrix whose input is prompt states alone. `text`: the text stream's projections. `cross`: all of the
attention that they belong to. `denoiser`: every matrix of attention and feed-forward, `text` among them. `everything`:
every matrix that there is.
"""
ROLES: tuple[Role, ...] = get_args(Role)
BLOCK: tuple[Role, ...] = ("query", "key", "value", "out", "feedforward")
"""The roles of attention and feed-forward: what `denoiser` selects, as far as a model has it."""
OUTSIDE: tuple[Role, ...] = ("convolution", "projection", "embedding", "modulation")
"""The roles outside of attention and feed-forward of what reads no prompt."""
PLACES: tuple[Place, ...] = get_args(Place)
TOKENS: dict[Tokens, tuple[Tokens, ...]] = {
    "phrase": ("last",),
    "last": (),
    "tail": ("last",),
    "context": (),
    "all": ("phrase", "last", "tail", "context"),
}
"""Each choice of a prompt's states, with the others of which it takes every state in every prompt."""
HELD_TOKENS: dict[HeldTokens, tuple[HeldTokens, ...]] = {"all": ("last",), "last": ()}
"""Which states of a preserved prompt a pass may hold: all after the start token, or the phrase's last alone."""
LIMITS: dict[Unit, tuple[float, float]] = {
    "progress": (0.0, 1.0),
    "sigma": (0.0, float("inf")),
    "logsnr": (float("-inf"), float("inf")),
    "t": (0.0, float("inf")),
}
"""A window's units, with the lowest and the highest value of each."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of sampling, low < high in its unit; it includes the noisier end and excludes the cleaner one.

    Units: `progress` 0 = pure noise, 1 = finished image; `sigma`, `logsnr` and `t` (training timesteps) as written.
    """

    unit: Unit
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Auto:
    """A stretch that is chosen for each concept when a plan is applied: where the model tells it from its anchor by at
    least a `share` of the most that it does anywhere; or all of sampling `before` that.
    """

    share: float
    part: Literal["inside", "before"] = "inside"


AUTO = 0.3
"""The share that a bare `auto` means (docs/methods.md §3.6)."""


def ordered(window: Window | Auto) -> bool:
    """Whether a window has a length, inside what its unit reaches."""
    if isinstance(window, Auto):
        return 0 <= window.share <= 1
    least, most = LIMITS[window.unit]
    return least <= window.low < window.high <= most


WHOLE = Window("progress", 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class ReadsSites:
    """Sites that a backend knows: by what they read, or all of the `denoiser`'s blocks."""

    reads: Reads
    kind: Literal["reads"] = "reads"


@dataclass(frozen=True, slots=True)
class RoleSites:
    """Sites by their role in a block."""

    role: Role
    kind: Literal["role"] = "role"


@dataclass(frozen=True, slots=True)
class GlobSites:
    """Sites whose raw tensor name matches a glob."""

    pattern: str
    kind: Literal["glob"] = "glob"


@dataclass(frozen=True, slots=True)
class InPlaces:
    """The sites of `of` that lie in one of the places."""

    of: Layers
    places: tuple[Place, ...]
    kind: Literal["in"] = "in"


@dataclass(frozen=True, slots=True)
class Difference:
    """The sites of `left` that are not in `right`."""

    left: Layers
    right: Layers
    kind: Literal["difference"] = "difference"


@dataclass(frozen=True, slots=True)
class Union:
    """The sites of any member; there is one at least."""

    members: tuple[Layers, ...]
    kind: Literal["union"] = "union"


Layers = ReadsSites | RoleSites | GlobSites | InPlaces | Difference | Union
"""A layer set, worked out to the ground: no name of a recipe is left in it."""
