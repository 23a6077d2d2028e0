"""The closed form: every text-reading matrix `W` that shares a text input becomes `W T` (docs/methods.md §2.2).

The weighted ridge problem `min_X Σ_j a_j ‖X f_j − W g_j‖² + Σ_j w_j ‖(X − W) p_j‖² + λ ‖X − W‖²` has targets of the
form `W z` only, so its solution is `X = W T` with one `T` for all layers. With `C = λI + Σ a f fᵀ + Σ w p pᵀ`,

    T = I + (G − F) A Fᵀ C⁻¹,

which is `I + a (G − F) K⁻¹ Uᵀ` with the Woodbury inverse written out. One Cholesky factorisation, of `C` or of the
Gram of the constraints, whichever is smaller; never an inverse; always float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.models.protocol import TextStates

CHUNK = 1024
"""Preserved columns that are in float64 at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class TextMap:
    """`T = I + left @ rightᵀ`, float64, both `[d, n]`, the columns of `right` orthonormal. Equal to itself alone: the
    sites that share one are a group, and stay one in what is made of it.

    `T − I` has rank at most the number of erased states, so factors are what is stored; with orthonormal `right`
    nothing cancels between them and they survive a cast to float32.
    """

    left: Tensor
    right: Tensor

    def dense(self) -> Tensor:
        """`T`, `[d, d]`."""
        return torch.eye(len(self.left), dtype=self.left.dtype) + self.left @ self.right.T

    def to(self, like: Tensor) -> TextMap:
        """The factors in the dtype and on the device of `like`: cast once where many matrices share the map."""
        return TextMap(self.left.to(like), self.right.to(like))

    def then(self, later: TextMap) -> TextMap:
        """The map of `W T_self T_later`: this edit first, then one solved on top of it."""
        left = torch.cat([self.left, later.left + self.left @ (self.right.T @ later.left)], 1)
        return orthonormal(left, torch.cat([self.right, later.right], 1))


@dataclass(frozen=True, slots=True)
class Constraints:
    """Columns in float64: `F → G [d, n]` with weights `a [n]`, and preserved `P [d, m]` with weights `w [m]`.

    `P` is most of it and is kept in the dtype that the states were encoded in, best as rows that lie together,
    transposed; it is read a few columns at a time.
    """

    F: Tensor
    G: Tensor
    a: Tensor
    P: Tensor
    w: Tensor


def beside(problem: Constraints, rows: Tensor, weights: Tensor) -> Constraints:
    """The problem with more preserved states, as rows `[m, d]`, and their weights."""
    P = torch.cat([problem.P.T, rows.to(problem.P)]).T
    return replace(problem, P=P, w=torch.cat([problem.w, weights]))


@dataclass(frozen=True, slots=True)
class Solution:
    """The map, the ridge `λ` it was solved with, and the factor `L` of the one Cholesky factorisation."""

    map: TextMap
    ridge: float
    L: Tensor

    @property
    def condition(self) -> float:
        """`cond(C)`, estimated from below. A Gram smaller than `C` lacks only its eigenvalues `λ`."""
        small = len(self.L) < len(self.map.left)
        lowest = self.ridge if small else 1 / _largest(lambda v: torch.cholesky_solve(v, self.L), len(self.L))
        return _largest(lambda v: self.L @ (self.L.T @ v), len(self.L)) / lowest


def solve(problem: Constraints, ridge: float, absolute: bool = False, label: str = "refine") -> Solution:
    """`T` for the constraints, the same bit for bit in whatever order they come.

    `ridge` is relative to the mean eigenvalue of the erased Gram, `tr(F A Fᵀ)/d`, unless `absolute`
    (docs/methods.md §2.3). Raises `EngineError` where the states are not finite or the system is singular, under the
    pass's `label`.
    """
    i, G, a = _canonical(problem.F, problem.G, problem.a)
    j, _, w = _canonical(problem.P, exact(problem.P[:0]), problem.w)
    d, n = len(problem.F), len(i)
    F = problem.F[:, i] * a.sqrt()
    λ = ridge if absolute else ridge * float(F.square().sum()) / d
    small = n + len(j) < d
    if small:
        X = torch.cat([F, problem.P[:, j] * w.sqrt()], 1)
        S = X.new_zeros(X.shape[1], X.shape[1])
        _add_gram(S, X.T)
    else:
        S = F.new_zeros(d, d)
        _add_gram(S, F)
        rows = problem.P.T.contiguous()  # as `statements` lays them out; of a view, index_select copies all each time
        for part in range(0, len(j), CHUNK):
            columns = exact(rows.index_select(0, j[part : part + CHUNK])).T.contiguous()
            _add_gram(S, columns.mul_(w[part : part + CHUNK].sqrt()))
    if not (torch.isfinite(S.diagonal()).all() and torch.isfinite(G).all()):
        raise EngineError(f"{label}: the text states hold NaN or infinity")
    S.diagonal().add_(λ)
    L, failed = torch.linalg.cholesky_ex(S)
    del S
    if failed or not torch.isfinite(L.diagonal()).all():  # NaN anywhere in a row reaches its diagonal
        raise EngineError(f"{label}: the text states are too nearly dependent for a ridge of {λ:.3g}; raise the ridge")
    G -= problem.F[:, i]
    Δ = G.mul_(a.sqrt())
    if n >= d:
        left, right = torch.cholesky_solve(F @ Δ.T, L).T, torch.eye(d, dtype=F.dtype)
        T = TextMap(left.contiguous(), right)
    else:
        # push-through: C⁻¹ X = X (λI + XᵀX)⁻¹
        R = X @ torch.cholesky_solve(torch.eye(len(L), n, dtype=F.dtype), L) if small else torch.cholesky_solve(F, L)
        del F
        T = orthonormal(Δ, R)
    if not torch.isfinite(T.left).all():
        raise EngineError(f"{label}: the solve gave NaN or infinity at a ridge of {λ:.3g}; raise the ridge")
    return Solution(T, λ, L)


def orthonormal(left: Tensor, right: Tensor) -> TextMap:
    """`I + left @ rightᵀ` with the columns of `right` made orthonormal."""
    Q, R = torch.linalg.qr(right)
    return TextMap((R @ left.T).T, Q)


def apply_(weight: Tensor, text_map: TextMap) -> Tensor:
    """`W ← W T` in place, through the factors, in the weight's own precision. Touches the weight once."""
    cast = text_map.to(weight)
    return weight.addmm_(weight @ cast.left, cast.right.T)


def fit(problem: Constraints, solution: Solution) -> dict[str, float]:
    """What the map does to the states it was solved for, `reached`, with the ridge and the condition of the solve."""
    return {"ridge": solution.ridge, "condition": solution.condition, **reached(problem, solution.map)}


def reached(problem: Constraints, T: TextMap) -> dict[str, float]:
    """`residual` = ‖TF − G‖/‖F − G‖, `leak` = ‖(T − I)P‖/‖P‖, `worst_leak` the same for the worst preserved state."""
    leaks, sizes = [], []
    for part in torch.split(problem.P, CHUNK, 1):
        P = exact(part)
        leaks.append((T.left @ (T.right.T @ P)).norm(dim=0))
        sizes.append(P.norm(dim=0))
    leak, size = torch.cat(leaks), torch.cat(sizes)
    return {
        "residual": residual(problem, T),
        "leak": _ratio(leak, size),
        "worst_leak": float((leak / size.clamp_min(1e-300)).max()) if len(leak) else 0.0,
    }


def residual(problem: Constraints, T: TextMap) -> float:
    """‖TF − G‖/‖F − G‖ (docs/methods.md §2.7)."""
    return _ratio((T.left @ (T.right.T @ problem.F)).add_(problem.F).sub_(problem.G), problem.F - problem.G)


def spectrum(text_map: TextMap) -> dict[str, float]:
    """The rank of `T − I`, and `sigma_min`, the smallest singular value of `T`: what an attacker who may choose
    embeddings freely must overcome is its inverse.
    """
    return {"rank": int(torch.linalg.matrix_rank(text_map.left)), "sigma_min": smallest_singular_value(text_map)}


def smallest_singular_value(text_map: TextMap) -> float:
    """σ_min(T). Outside the span of its factors T is the identity, so a `2n × 2n` matrix decides."""
    d, n = text_map.left.shape
    if 2 * n >= d:
        return float(torch.linalg.svdvals(text_map.dense())[-1])
    Q, _ = torch.linalg.qr(torch.cat([text_map.left, text_map.right], 1))
    inner = torch.eye(Q.shape[1], dtype=Q.dtype) + (Q.T @ text_map.left) @ (Q.T @ text_map.right).T
    return min(float(torch.linalg.svdvals(inner)[-1]), 1.0)


def collateral(maps: Mapping[str, TextMap], states: TextStates, start: int = 1) -> Tensor:
    """`‖(T − I) e‖ / ‖e‖` per prompt `[n]`, over its states from `start` on; the worst of the text inputs.

    Needs no weights: the change that an edit's closed form will make to a prompt, before an image is drawn.
    """
    changes = [torch.zeros(len(states), dtype=torch.float64)]
    for name, text_map in maps.items():
        e = exact(states.inputs[name])
        e = e[:, start:] if e.shape[1] > 1 else e
        change = (e @ text_map.right) @ text_map.left.T
        changes.append(change.flatten(1).norm(dim=1) / e.flatten(1).norm(dim=1).clamp_min(1e-300))
    return torch.stack(changes).amax(0)


def _canonical(F: Tensor, G: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The problem in an order that depends on its columns alone, equal `f` merged: which columns of F, their targets
    and weights. The problem is the same.

    For equal `f`, `Σ a_j ‖X f − W g_j‖²` differs from `(Σ a_j) ‖X f − W ḡ‖²` by a constant. It is hashes that are
    sorted: the columns themselves are too large to be moved about.
    """
    f, g = _hashes(F), _hashes(G)
    order = np.lexsort((a.numpy(), g[1], g[0], f[1], f[0]))
    index, f, weights = torch.from_numpy(order), f[:, order], a.numpy()[order]
    same = (f[:, 1:] == f[:, :-1]).all(0)
    again = torch.from_numpy(np.flatnonzero(same))
    same[again.numpy()] = (F[:, index[again + 1]] == F[:, index[again]]).all(0).numpy()
    if not same.any():
        return index, G[:, index], torch.from_numpy(weights)
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    merged = np.add.reduceat(weights, starts)
    targets = G[:, index].T.numpy()
    first = targets[starts]
    apart = targets - np.repeat(first, np.diff(starts, append=len(order)), 0)  # exactly 0 where the targets agree
    apart *= weights[:, None]
    mean = first + np.add.reduceat(apart, starts) / merged[:, None]
    return index[starts], torch.from_numpy(mean).T, torch.from_numpy(merged)


def _hashes(columns: Tensor) -> NDArray[np.int64]:
    """Two 64-bit numbers for each column `[2, n]`: its bits, as integers, times fixed odd numbers, summed.

    In integers, so that neither the place of a column nor the number of threads matters; equal for equal columns, and
    for others all but never.
    """
    bits = columns.view({1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[columns.element_size()])
    random = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**63), 2**63 - 1, (2, len(bits), 1), generator=random) | 1
    parts = torch.split(bits, CHUNK, 1)
    return torch.cat([torch.stack([(part * one).sum(0) for one in factors]) for part in parts], 1).numpy()


def _add_gram(S: Tensor, X: Tensor) -> None:
    """Add to `S` the lower triangle of `X Xᵀ`, all that a Cholesky factorisation reads, at half the work or so."""
    for i in range(0, len(X), 128):
        S[i : i + 128, : i + 128].addmm_(X[i : i + 128], X[: i + 128].T)


def _largest(times: Callable[[Tensor], Tensor], d: int) -> float:
    """The largest eigenvalue of a positive `[d, d]` operator by power iteration, from below."""
    v = torch.ones(d, 1, dtype=torch.float64)
    value = 0.0
    for _ in range(12):
        v = times(v)
        value = float(v.norm())
        v = v / value
    return value


def _ratio(part: Tensor, whole: Tensor) -> float:
    size = float(whole.norm())
    return float(part.norm()) / size if size else 0.0
