"""What the edit did to one matrix, and to all that read one text input, on top of each other: the one text map that
explains their change best, and the states that undo it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.finite import finite
from tracelang.evidence.schema import LayerChange
from tracelang.plan.family import Site

RANK = 1e-6
"""Singular values of a change below this share of its largest do not count."""
TURNED = 0.01
"""A change of `WᵀW` below this share of the matrix's own is what rounding brings, and no other edit stays below."""
PROBES = 64
"""Random directions along which the rank of a large change is looked for."""
FLOOR = 1e-8
"""The least singular value, relative to the largest, that a Gram matrix in float64 can show."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """One site: `W` and `Δ = W' − W`, float64 on the CPU."""

    W: Tensor
    Δ: Tensor

    def of(self, part: slice) -> Matrix:
        """Some columns of it."""
        return Matrix(self.W[:, part], self.Δ[:, part])

    @property
    def turned(self) -> bool:
        """Whether the edited matrix is an orthogonal map of the base's: `W'ᵀW'` is then `WᵀW`, however much changed."""
        new = self.W + self.Δ
        moved = ratio(new.T @ new - self.W.T @ self.W, self.W.T @ self.W)
        return moved < TURNED * ratio(self.Δ, self.W)


def compared(site: Site, before: Tensor, after: Tensor) -> Matrix:
    if before.shape != after.shape:
        raise EngineError(
            f"certificate: {site.tensor} is {list(after.shape)} in the edited model, {list(before.shape)} in the base"
        )
    W, new = exact(before).flatten(1), exact(after).flatten(1)
    for name, value in (("base", W), ("edited model", new)):
        finite(f"certificate: {site.tensor} of the {name}", value, "nothing can be said of its edit")
    return Matrix(W, new - W)


def change_of(site: Site, matrix: Matrix, after: Tensor, same: bool) -> LayerChange:
    shape = (matrix.W.shape[0], matrix.W.shape[1])
    if same:
        return LayerChange(tensor=site.tensor, shape=shape, reads=site.reads, change=0.0, rank=0, condition=1.0)
    new, read = matrix.W + matrix.Δ, matrix.of(site.part)
    # What rounding to the stored precision adds to a change of low rank is a random matrix: its norm, from above.
    rounding = (
        torch.finfo(_kind(after)).eps
        / 2
        * float(new.square().mean().sqrt())
        * (math.sqrt(shape[0]) + math.sqrt(shape[1]))
    )
    return LayerChange(
        tensor=site.tensor,
        shape=shape,
        reads=site.reads,
        change=ratio(matrix.Δ, matrix.W),
        rank=_rank(matrix.Δ, rounding),
        condition=None if site.reads is None else _condition(read.W + read.Δ) / _condition(read.W),
    )


def ratio(part: Tensor, whole: Tensor) -> float:
    size = float(whole.norm())
    return float(part.norm()) / size if size else 0.0


def _kind(weight: Tensor) -> torch.dtype:
    """The format of the numbers that a matrix is made of: a checkpoint of halves may be loaded as float32."""
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(weight.to(dtype).to(weight.dtype), weight):
            return dtype
    return weight.dtype


def _rank(matrix: Tensor, least: float) -> int:
    """How many singular values exceed `RANK` of the largest, and `least`.

    Of a large matrix they are looked for along `PROBES` random directions first (arXiv 0909.4061, with a power step):
    an adapter has no more, and all of them would take seconds for each of hundreds of matrices.
    """
    if min(matrix.shape) > 4 * PROBES:
        begun = torch.randn(matrix.shape[1], PROBES, generator=torch.Generator().manual_seed(0), dtype=matrix.dtype)
        basis = torch.linalg.qr(matrix @ begun).Q
        basis = torch.linalg.qr(matrix @ (matrix.T @ basis)).Q
        found = _counted(torch.linalg.svdvals(basis.T @ matrix), least)
        if found < PROBES:
            return found
    return _counted(_singular_values(matrix), least)


def _counted(σ: Tensor, least: float) -> int:
    return int((max(RANK * float(σ[0]), least) < σ).sum())


def _singular_values(matrix: Tensor) -> Tensor:
    """Largest first, from the Gram matrix of the shorter side: true down to `FLOOR` of the largest."""
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    λ: Tensor = torch.linalg.eigvalsh(gram)
    return λ.flip(0).clamp_min(0).sqrt()


def _condition(matrix: Tensor) -> float:
    σ = _singular_values(matrix)
    return float(σ[0] / σ[-1].clamp_min(FLOOR * float(σ[0]))) if σ[0] > 0 else 1.0


NOISE = 1e-6
"""Directions in which the edited matrices pass less than this share of their most are closed: float32 cannot tell."""
CHEAPER = (0.5, 0.8, 0.95)
"""Shares of an edit's effect whose price is told beside that of all there is: the last per cent may cost a hundred
times the rest.
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """All the matrices that read one text input, on top of each other, as the factor `R` of `[Δ W] = QR`.

    Q keeps lengths, so `‖W'x − Wy‖` over all layers is that of these `[≤2d, d]` matrices. `U`, `σ`, `V` are the
    decomposition of the edited ones, closed directions left out.
    """

    W: Tensor
    Δ: Tensor
    U: Tensor
    σ: Tensor
    V: Tensor

    @staticmethod
    def of(rows: Rows) -> Stack:
        Δ, W = rows.parts
        U, σ, Vh = torch.linalg.svd(W + Δ, full_matrices=False)
        open_ = σ > NOISE * σ.amax()
        return Stack(W, Δ, U[:, open_], σ[open_], Vh[open_].T)

    def closest(self, F: Tensor) -> tuple[Tensor, float]:
        """The shortest `E` that minimises `‖W'E − WF‖`, and that minimum squared."""
        wanted = self.W @ F
        inside = self.U.T @ wanted
        return self.V @ (inside / self.σ[:, None]), float((wanted - self.U @ inside).square().sum())

    def spectrum(self, F: Tensor) -> tuple[Tensor, Tensor]:
        """σ² and ‖uᵀWF‖² of every open direction: all that the length of `E` and what it misses depend on."""
        return self.σ.square(), (self.U.T @ (self.W @ F)).square().sum(1)


def cheaper_states(
    spectra: list[tuple[Tensor, Tensor]], missed: float, effect: float, shorter: float
) -> Iterator[tuple[float, float]]:
    """For each share of `CHEAPER` that can be reached, the length of the shortest `E` that undoes it, of the concept's.

    Shortest at a given rest: `E = argmin ‖W'E − WF‖² + λ‖E‖²`, one λ for all text inputs, by bisection: the rest grows
    with λ. `missed` is what no `E` reaches.
    """
    if not spectra or not effect:
        return
    σ2, a = (torch.cat([one[i] for one in spectra]) for i in (0, 1))

    def rest(λ: float) -> float:
        return missed + float(((λ / (σ2 + λ)).square() * a).sum())

    for share in CHEAPER:
        allowed = (1 - share) * effect
        low, high = math.log(1e-14 * float(σ2.max())), math.log(1e6 * float(σ2.max()))
        if rest(math.exp(low)) > allowed:
            return
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if rest(math.exp(middle)) <= allowed else (low, middle)
        λ = math.exp(low)
        yield share, math.sqrt(float((σ2 / (σ2 + λ).square() * a).sum()) / shorter)


@dataclass(frozen=True, slots=True)
class Map:
    """The best single text map `T` of one input: what it leaves of the change and the whole of it, squared."""

    missed: float
    whole: float
    lowest: float
    condition: float


def text_map(changed: Rows) -> Map:
    """Least squares over the changed matrices: `W T ≈ W'`, in the directions that they read; the identity elsewhere."""
    Δ, W = changed.parts
    if not len(W):
        return Map(0.0, 0.0, 1.0, 1.0)
    D = torch.linalg.lstsq(W, Δ, rcond=1e-10, driver="gelsd").solution
    σ = torch.linalg.svdvals(torch.eye(len(D), dtype=D.dtype) + D)
    missed = float((W @ D - Δ).square().sum())
    return Map(missed, float(Δ.square().sum()), float(σ[-1]), float(σ[0] / σ[-1].clamp_min(1e-16 * float(σ[0]))))


@dataclass
class Rows:
    """Matrices `[Δ W]` on top of each other, one at a time: no more is kept than the factor `R` of their QR."""

    held: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))

    def add(self, one: Matrix) -> None:
        self._put(torch.cat([one.Δ, one.W], 1))

    def with_(self, other: Rows) -> Rows:
        """Both."""
        found = Rows(self.held)
        if len(other.held):
            found._put(other.held)
        return found

    @property
    def parts(self) -> tuple[Tensor, Tensor]:
        """`Δ` and `W`, of as many rows."""
        Δ, W = self.held.chunk(2, 1)
        return Δ, W

    def _put(self, pair: Tensor) -> None:
        rows = torch.cat([self.held, pair]) if len(self.held) else pair
        self.held = torch.linalg.qr(rows, mode="r").R if len(rows) > 2 * rows.shape[1] else rows


def grain(weight: Tensor, stored: Tensor) -> Tensor:
    """The mean square error, `[out, in]`, of rounding each number of `weight` (float64) to the format of `stored`: a
    twelfth of the squared distance between its neighbours there.
    """
    told = torch.finfo(_kind(stored))
    power = torch.frexp(weight).exponent - 1  # |w| is at least 2^power, and less than twice that
    step = told.eps * torch.exp2(exact(power)).clamp_min(told.tiny)
    return step.square() / 12
