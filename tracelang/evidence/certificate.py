"""The certificate: what an edit did and did not do, from weights and text states alone (docs/methods.md §6).

No image is drawn and the denoiser is never run, so it is the evidence there may be of `kind protected`. Everything
is computed in float64. With `W` a matrix of the base, `W' = W + Δ` the edited one, and states `F` whose targets are
`G`: an edit does what was asked where `W'F = WG`, and reaches no further than `ΔP` on what is preserved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.finite import finite
from tracelang.engine.statements import constraints, states
from tracelang.evidence.schema import Certificate, LayerChange, Reach
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Erasure, Member, Plan, Tokens

RANK = 1e-6
"""Singular values of a change below this share of its largest do not count."""
NOISE = 1e-6
"""Directions in which the edited matrices pass less than this share of their most are closed: float32 cannot tell."""
CHEAPER = (0.5, 0.8, 0.95)
"""Shares of an edit's effect whose price is told beside that of all there is: the last per cent may cost a hundred
times the rest.
"""
FLOOR = 1e-8
"""The least singular value, relative to the largest, that a Gram matrix in float64 can show."""


def certify(plan: Plan, base: Model, edited: Model) -> Certificate:
    """What the weights say of the edit that turned `base` into `edited`.

    Layers are those that changed, and all that read text. Raises `EngineError` where the two are not one
    architecture, a weight is not finite, or a phrase has no tokens in its prompt.
    """
    if base.sites != edited.sites:
        raise EngineError("certificate: the edited model has other matrices than the base; it is no edit of it")
    layers, read, other = list[LayerChange](), dict[Site, Matrix](), 0.0
    for site in base.sites:
        before, after = base.weight(site).detach(), edited.weight(site).detach()
        same = torch.equal(before, after)
        if same and site.reads is None:
            continue
        matrix = _matrix(site, before, after)
        layers.append(_change(site, matrix, after, same))
        if site.reads is None:
            other += float(matrix.Δ.square().sum())
        else:
            read[site] = matrix
    inputs = tuple(dict.fromkeys(site.reads for site in read if site.reads is not None))
    changed = {layer.tensor for layer in layers if layer.change > 0}
    maps = [
        _text_map([one for site, one in read.items() if site.reads == name and site.tensor in changed])
        for name in inputs
    ]
    whole = other + sum(one.whole for one in maps)
    stacks = {name: Stack.of(one for site, one in read.items() if site.reads == name) for name in inputs}
    reaches = (
        *(_erased(plan, erasure, base, read, stacks) for erasure in plan.active),
        *(_preserved(plan, one.concepts, base, read) for one in plan.preserve),
    )
    return Certificate(
        layers=tuple(layers),
        map_share=max(0.0, 1 - (other + sum(one.missed for one in maps)) / whole) if whole else 1.0,
        smallest_singular_value=min((one.lowest for one in maps), default=1.0),
        condition=max((one.condition for one in maps), default=1.0),
        reaches=reaches,
        untouched=_untouched(base, changed, _same_states(plan, base, edited), reaches),
    )


@dataclass(frozen=True, slots=True)
class Matrix:
    """One site: `W` and `Δ = W' − W`, float64 on the CPU."""

    W: Tensor
    Δ: Tensor


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
    def of(matrices: Iterable[Matrix]) -> Stack:
        Δ, W = _stacked(matrices)
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


def _cheaper(
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


def _text_map(matrices: list[Matrix]) -> Map:
    """Least squares over the changed matrices: `W T ≈ W'`, in the directions that they read; the identity elsewhere."""
    if not matrices:
        return Map(0.0, 0.0, 1.0, 1.0)
    Δ, W = _stacked(matrices)
    D = torch.linalg.lstsq(W, Δ, rcond=1e-10, driver="gelsd").solution
    σ = torch.linalg.svdvals(torch.eye(len(D), dtype=D.dtype) + D)
    missed = float((W @ D - Δ).square().sum())
    return Map(missed, float(Δ.square().sum()), float(σ[-1]), float(σ[0] / σ[-1].clamp_min(1e-16 * float(σ[0]))))


def _stacked(matrices: Iterable[Matrix]) -> tuple[Tensor, Tensor]:
    rows = torch.zeros(0, 0, dtype=torch.float64)
    for one in matrices:
        pair = torch.cat([one.Δ, one.W], 1)
        rows = torch.cat([rows, pair]) if len(rows) else pair
        if len(rows) > 2 * rows.shape[1]:
            rows = torch.linalg.qr(rows, mode="r").R
    Δ, W = rows.chunk(2, 1)
    return Δ, W


def _matrix(site: Site, before: Tensor, after: Tensor) -> Matrix:
    if before.shape != after.shape:
        raise EngineError(
            f"certificate: {site.tensor} is {list(after.shape)} in the edited model, {list(before.shape)} in the base"
        )
    W, new = exact(before), exact(after)
    for name, value in (("base", W), ("edited model", new)):
        finite(f"certificate: {site.tensor} of the {name}", value, "nothing can be said of its edit")
    return Matrix(W, new - W)


def _change(site: Site, matrix: Matrix, after: Tensor, same: bool) -> LayerChange:
    shape = (matrix.W.shape[0], matrix.W.shape[1])
    if same:
        return LayerChange(tensor=site.tensor, shape=shape, reads=site.reads, change=0.0, rank=0, condition=1.0)
    new = matrix.W + matrix.Δ
    σ = _singular_values(matrix.Δ)
    # What rounding to the stored precision adds to a change of low rank is a random matrix: its norm, from above.
    rounding = _precision(after) / 2 * float(new.square().mean().sqrt()) * (math.sqrt(shape[0]) + math.sqrt(shape[1]))
    return LayerChange(
        tensor=site.tensor,
        shape=shape,
        reads=site.reads,
        change=_ratio(matrix.Δ, matrix.W),
        rank=int((max(RANK * float(σ[0]), rounding) < σ).sum()),
        condition=_condition(new) / _condition(matrix.W),
    )


def _precision(weight: Tensor) -> float:
    """The spacing of the numbers that a matrix is made of: a checkpoint of halves may be loaded as float32."""
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(weight.to(dtype).to(weight.dtype), weight):
            return torch.finfo(dtype).eps
    return torch.finfo(weight.dtype).eps


def _singular_values(matrix: Tensor) -> Tensor:
    """Largest first, from the Gram matrix of the shorter side: true down to `FLOOR` of the largest."""
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    λ: Tensor = torch.linalg.eigvalsh(gram)
    return λ.flip(0).clamp_min(0).sqrt()


def _condition(matrix: Tensor) -> float:
    σ = _singular_values(matrix)
    return float(σ[0] / σ[-1].clamp_min(FLOOR * float(σ[0]))) if σ[0] > 0 else 1.0


def _erased(
    plan: Plan, erasure: Erasure, base: Model, read: Mapping[Site, Matrix], stacks: Mapping[str, Stack]
) -> Reach:
    """Residual in the worst layer; and the states that undo the edit best, over all layers at once.

    `undone` is the part of the edit's effect on `WF` that they take back: 0 for the concept's own states as they are.
    """
    problems = constraints(plan, [erasure], [], base, list(stacks), _tokens(plan))
    worst: float | None = None
    for site, matrix in read.items():
        assert site.reads is not None
        problem = problems[site.reads]
        asked = matrix.W @ (problem.F - problem.G)
        if float(asked.norm()) > 0:
            left = float((asked + matrix.Δ @ problem.F).norm()) / float(asked.norm())
            worst = left if worst is None else max(worst, left)
    longer = shorter = effect = left_over = rest = 0.0
    spectra = []
    for name, stack in stacks.items():
        F = problems[name].F
        moved = float((stack.Δ @ F).square().sum())
        E, missed = stack.closest(F) if moved else (F, 0.0)
        longer, shorter = longer + float(E.square().sum()), shorter + float(F.square().sum())
        effect, left_over = effect + moved, left_over + missed
        # States of an input that the edit leaves alone stay as they are, at their own length.
        if moved:
            spectra.append(stack.spectrum(F))
        else:
            rest += float(F.square().sum())
    undone = min(1.0, max(0.0, 1 - left_over / effect)) if effect else 1.0
    cheaper = tuple(
        (share, math.sqrt(price**2 + rest / shorter)) for share, price in _cheaper(spectra, left_over, effect, shorter)
    )
    return Reach(
        member=erasure.targets, residual=worst, price=math.sqrt(longer / shorter), undone=undone, cheaper=cheaper
    )


def _preserved(plan: Plan, member: Member, base: Model, read: Mapping[Site, Matrix]) -> Reach:
    """The change of the keys and values of every state after the start token, in the worst layer."""
    prompts = edit_prompts(plan, member)
    e = states(base, prompts)
    starts = [base.layout(prompt).start for prompt in prompts]
    P = {
        name: torch.cat([one[start:] if len(one) > 1 else one for one, start in zip(rows, starts, strict=True)]).T
        for name, rows in e.items()
    }
    return Reach(
        member=member,
        leak=max(
            (_ratio(matrix.Δ @ P[site.reads], matrix.W @ P[site.reads]) for site, matrix in read.items() if site.reads),
            default=0.0,
        ),
    )


def _tokens(plan: Plan) -> Tokens:
    """How tokens pair up: as in the plan's own closed form, or `tail` where it has none."""
    of_plan: list[Tokens] = [step.tokens for step in plan.method.passes if hasattr(step, "tokens")]
    return of_plan[0] if of_plan else "tail"


def _same_states(plan: Plan, base: Model, edited: Model) -> bool:
    """Does the text encoder say what it said, of everything that is erased and of nothing?"""
    prompts = ["", *(prompt.text for erasure in plan.erase for prompt in edit_prompts(plan, erasure.targets))]
    before, after = (model.encode(prompts).inputs for model in (base, edited))
    return all(torch.equal(value.cpu(), after[name].cpu()) for name, value in before.items())


def _untouched(base: Model, changed: set[str], same_states: bool, reaches: tuple[Reach, ...]) -> tuple[str, ...]:
    """The ways into the picture that the edit leaves as they were, a line each."""
    found = []
    for name in dict.fromkeys(site.reads for site in base.sites):
        sites = [site for site in base.sites if site.reads == name]
        left = sum(site.tensor not in changed for site in sites)
        if left and name is None:
            found.append(
                f"self-attention, feed-forward and all else that reads the picture ({left} of {len(sites)} matrices): "
                "what is in a picture already is carried on, so image-to-image, inpainting and image prompts may "
                "bring the concept back"
            )
        elif left:
            found.append(f"the text input `{name}`: {left} of {len(sites)} matrices that read it are as they were")
    if same_states:
        found.append("the text encoder: the words still mean what they meant, to this model and to any other")
    undone = [reach for reach in reaches if reach.undone is not None and reach.price is not None]
    if undone:
        worst = max(undone, key=_openness)
        most = f"{worst.price:.3g} times as long take back {worst.undone:.0%}"
        parts = [f"{price:.3g} times as long take back {share:.0%}" for share, price in worst.cheaper]
        prices = "; ".join([*parts, most])
        found.append(
            f"a new embedding: states {prices} of what the edit does to {' & '.join(worst.member)}, the most open of "
            "those erased"
        )
    found.append("the empty prompt: what is drawn without a word is kept on purpose")
    found.append("fine-tuning: whoever holds the weights can train the concept into them again")
    return tuple(found)


def _openness(reach: Reach) -> tuple[int, float, float]:
    """How easily an edit is undone: the larger the shares within reach, and the cheaper they are."""
    prices = [price for _, price in reach.cheaper]
    return len(prices), -prices[min(1, len(prices) - 1)] if prices else 0.0, reach.undone or 0.0


def _ratio(part: Tensor, whole: Tensor) -> float:
    size = float(whole.norm())
    return float(part.norm()) / size if size else 0.0
