"""The certificate: what an edit did and did not do, from weights and text states alone (docs/methods.md §6).

No image is drawn and the denoiser is never run, so it is the evidence there may be of `kind protected`. Everything
is computed in float64, one matrix at a time. With `W` a matrix of the base, `W' = W + Δ` the edited one, and states `F`
whose targets are `G`: an edit does what was asked where `W'F = WG`, and reaches no further than `ΔP` on what is
preserved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tracelang.engine.statements import constraints, states
from tracelang.evidence.ladder import ladder
from tracelang.evidence.matrices import Matrix, Rows, Stack, change_of, cheaper_states, compared, grain, text_map
from tracelang.evidence.schema import Certificate, FreeRank, LayerChange, Mixed, Reach
from tracelang.models.protocol import TextSide
from tracelang.plan.family import Site
from tracelang.plan.prompts import EMPTY, anchor_prompts, edit_prompts
from tracelang.plan.types import Erasure, Member, Plan, Tokens

HELD = 1 << 29
"""Bytes of text states at a time; the matrices that read text are read again for each such group of concepts."""
ROUNDING = 2.0
"""A change of preserved states up to so many times what rounding alone brings is told as none: the roundings of one
matrix are taken to be independent, and they nearly are.
"""
EXACT, ROUGH = 1e-6, 1e-3
"""Preserved directions count as held where their singular value is above this share of the largest."""


@dataclass(frozen=True)
class Sides:
    """What a certificate is made from: the base's prompt side, and each matrix before and after the edit. `words` is
    the edited model's prompt side where its text encoder is not the base's, bit for bit. `encoders` are the text
    encoders' digests, by component; `left_out` the share of each change that the edited weights lack.
    """

    text: TextSide
    before: Callable[[Site], Tensor]
    after: Callable[[Site], Tensor]
    words: TextSide | None = None
    encoders: Mapping[str, str] = field(default_factory=dict)
    left_out: float = 0.0

    def untouched(self, site: Site) -> bool:
        """Whether the matrix is the same numbers on both sides."""
        return torch.equal(self.before(site).detach(), self.after(site).detach())

    def matrix(self, site: Site) -> tuple[Matrix, Tensor, bool]:
        """The matrix, the edited one as it is stored, and whether the two are the same bits."""
        before, after = self.before(site).detach(), self.after(site).detach()
        return compared(site, before, after), after, torch.equal(before, after)


def certify(plan: Plan, sides: Sides) -> Certificate:
    """What the weights say of the edit.

    Layers are those that changed, and all that read text. Raises `EngineError` where a matrix has another shape or is
    not finite, or a phrase has no tokens in its prompt.
    """
    sites = sides.text.sites
    layers, changed, kept = list[LayerChange](), dict[str, Rows](), dict[str, Rows]()
    beside, mixed, turned = 0.0, [0, 0], 0
    for site in sites:
        mixed[1] += site.reads is None
        if site.reads is None and sides.untouched(site):
            continue
        matrix, after, same = sides.matrix(site)
        layers.append(change_of(site, matrix, after, same))
        turned += site.reads is not None and not same and matrix.of(site.part).turned
        squares = matrix.Δ.square().sum(0)
        if site.reads is None:
            mixed[0] += 1
        else:
            (kept if same else changed).setdefault(site.reads, Rows()).add(matrix.of(site.part))
            squares[site.part] = 0
        beside += float(squares.sum())
    inputs = tuple(dict.fromkeys(site.reads for site in sites if site.reads is not None))
    maps = [text_map(changed.get(name, Rows())) for name in inputs]
    stacks = {name: Stack.of(changed.get(name, Rows()).with_(kept.get(name, Rows()))) for name in inputs}
    whole = beside + sum(one.whole for one in maps)
    free = _Free(sides.text, inputs)
    reaches = tuple(_reaches(plan, sides, stacks, free))
    moved = {layer.tensor for layer in layers if layer.change > 0}
    found = Certificate(
        layers=tuple(layers),
        map_share=max(0.0, 1 - (beside + sum(one.missed for one in maps)) / whole) if whole else 1.0,
        smallest_singular_value=min((one.lowest for one in maps), default=1.0),
        condition=max((one.condition for one in maps), default=1.0),
        reaches=reaches,
        mixed=Mixed(changed=mixed[0], of=mixed[1], share=beside / whole if whole else 0.0),
        free=tuple(free.told()),
        encoders=dict(sides.encoders),
        same_encoder=same_states(plan, sides),
        left_out=sides.left_out,
        encoded=len(texts(plan)),
        states=f"{sides.text.device.type}, {str(sides.text.dtype).removeprefix('torch.')}",
        untouched=(),
    )
    rungs = ladder(found, sites, turned)
    return found.model_copy(update={"ladder": rungs, "untouched": untouched(sites, moved, found)})


def texts(plan: Plan) -> tuple[str, ...]:
    """Every text that a certificate has encoded, and that nothing draws: those that the edit works on, each once."""
    asked = [EMPTY]
    for erasure in plan.erase:
        asked += edit_prompts(plan, erasure.targets)
    for erasure in plan.active:
        asked += anchor_prompts(plan, erasure.targets, erasure.anchor)
    for one in plan.preserve:
        asked += edit_prompts(plan, one.concepts)
    return tuple(dict.fromkeys(prompt.text for prompt in asked))


@dataclass
class _Asked:
    """A member's states by text input, `[d, n]`, `G` None where it is preserved; what layers say of it so far."""

    member: Member
    F: Mapping[str, Tensor]
    G: Mapping[str, Tensor] | None
    worst: float | None = None
    rounding: float | None = None
    exact: bool = True

    @property
    def size(self) -> int:
        return sum(one.nbytes for part in (self.F, self.G or {}) for one in part.values())

    def see(self, name: str, matrix: Matrix, grains: Callable[[], Tensor]) -> None:
        """Take one more matrix that reads the input `name` into account."""
        F = self.F[name]
        if self.G is not None:
            asked = matrix.W @ (F - self.G[name])
            if size := float(asked.norm()):
                left = float((asked + matrix.Δ @ F).norm()) / size
                self.worst = left if self.worst is None else max(self.worst, left)
            return
        size, moved = float((matrix.W @ F).norm()), float((matrix.Δ @ F).norm())
        leak = moved / size if size else 0.0
        allowed = 0.0
        if moved:
            allowed = math.sqrt(float((grains() @ F.square().sum(1)).sum())) / size if size else 0.0
            self.exact = self.exact and leak <= ROUNDING * allowed
        if self.worst is None or leak > self.worst or self.rounding is None:
            self.worst, self.rounding = leak, allowed


def _reaches(plan: Plan, sides: Sides, stacks: Mapping[str, Stack], free: _Free) -> Iterator[Reach]:
    for group in _groups(_members(plan, sides.text, list(stacks), free)):
        for site in sides.text.sites:
            if site.reads is not None:
                matrix, after, _ = sides.matrix(site)
                read, stored, once = matrix.of(site.part), after[:, site.part], list[Tensor]()

                def grains(read: Matrix = read, stored: Tensor = stored, once: list[Tensor] = once) -> Tensor:
                    if not once:
                        once.append(grain(read.W + read.Δ, stored))
                    return once[0]

                for one in group:
                    one.see(site.reads, read, grains)
        for one in group:
            yield _erased(one, stacks) if one.G is not None else _preserved(one)


def _members(plan: Plan, text: TextSide, inputs: Sequence[str], free: _Free) -> Iterator[_Asked]:
    for erasure in plan.active:
        yield erased_states(plan, erasure, text, inputs)
    for one in plan.preserve:
        P = preserved_states(plan, one.concepts, text)
        free.hold(P)
        yield _Asked(one.concepts, P, None)


def erased_states(plan: Plan, erasure: Erasure, text: TextSide, inputs: Sequence[str]) -> _Asked:
    problems = constraints(plan, [erasure], [], text, list(inputs), _tokens(plan))
    F = {name: problem.F for name, problem in problems.items()}
    return _Asked(erasure.targets, F, {name: problem.G for name, problem in problems.items()})


def preserved_states(plan: Plan, member: Member, text: TextSide) -> dict[str, Tensor]:
    """Every state after the start token, by text input, `[d, n]`."""
    prompts = edit_prompts(plan, member)
    e = states(text, prompts)
    starts = [text.layout(prompt).start for prompt in prompts]
    return {
        name: torch.cat([one[start:] if len(one) > 1 else one for one, start in zip(rows, starts, strict=True)]).T
        for name, rows in e.items()
    }


def _groups(asked: Iterable[_Asked]) -> Iterator[list[_Asked]]:
    """As many at a time as `HELD` has room for, one at least."""
    group, size = list[_Asked](), 0
    for one in asked:
        if group and size + one.size > HELD:
            yield group
            group, size = [], 0
        group.append(one)
        size += one.size
    if group:
        yield group


def _erased(asked: _Asked, stacks: Mapping[str, Stack]) -> Reach:
    """The states that undo the edit best, one for all layers that read the same input, beside the residual.

    `undone` is the part of the edit's effect on `WF` that they take back: 0 for the concept's own states as they are;
    `joint` what is left of it, as a length.
    """
    longer = shorter = effect = left_over = rest = 0.0
    spectra = []
    for name, stack in stacks.items():
        F = asked.F[name]
        moved = float((stack.Δ @ F).square().sum())
        E, missed = stack.closest(F) if moved else (F, 0.0)
        longer, shorter = longer + float(E.square().sum()), shorter + float(F.square().sum())
        effect, left_over = effect + moved, left_over + missed
        # States of an input that the edit leaves alone stay as they are, at their own length.
        if moved:
            spectra.append(stack.spectrum(F))
        else:
            rest += float(F.square().sum())
    left = min(1.0, left_over / effect) if effect else 0.0
    cheaper = tuple(
        (share, math.sqrt(price**2 + rest / shorter))
        for share, price in cheaper_states(spectra, left_over, effect, shorter)
    )
    return Reach(
        member=asked.member,
        residual=asked.worst,
        price=math.sqrt(longer / shorter) if shorter else None,
        undone=1 - left,
        joint=math.sqrt(left) if effect else None,
        cheaper=cheaper,
    )


def _preserved(asked: _Asked) -> Reach:
    return Reach(
        member=asked.member,
        leak=asked.worst or 0.0,
        rounding=asked.rounding,
        exact=asked.exact and asked.rounding is not None,
    )


class _Free:
    """How many directions of each text input the preserved states span, and how many are free: those of the empty
    prompt, start token included, are always among the preserved.
    """

    def __init__(self, text: TextSide, inputs: Sequence[str]) -> None:
        nothing = states(text, [EMPTY])
        self.grams = {name: nothing[name][0].T @ nothing[name][0] for name in inputs}
        self.counts = {name: len(nothing[name][0]) for name in inputs}

    def hold(self, P: Mapping[str, Tensor]) -> None:
        for name, gram in self.grams.items():
            gram += P[name] @ P[name].T
            self.counts[name] += P[name].shape[1]

    def told(self) -> Iterator[FreeRank]:
        for name, gram in self.grams.items():
            σ = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()
            exactly, roughly = (int((σ > share * σ[-1]).sum()) for share in (EXACT, ROUGH))
            yield FreeRank(
                reads=name, dimension=len(gram), states=self.counts[name], held=exactly, held_roughly=roughly
            )


def _tokens(plan: Plan) -> Tokens:
    """How tokens pair up: as in the plan's own closed form, or `tail` where it has none."""
    of_plan: list[Tokens] = [step.tokens for step in plan.method.passes if hasattr(step, "tokens")]
    return of_plan[0] if of_plan else "tail"


def untouched(sites: Sequence[Site], changed: set[str], found: Certificate) -> tuple[str, ...]:
    """The ways into the picture that the edit leaves as they were, a line each."""
    lines = []
    for name in dict.fromkeys(site.reads for site in sites):
        own = [site for site in sites if site.reads == name]
        left = sum(site.tensor not in changed for site in own)
        if left and name is None:
            outside = all(site.outside for site in own if site.tensor not in changed)
            what = "convolutions" if outside else "self-attention, feed-forward"
            lines.append(f"{what} and all else that reads the picture ({left} of {len(own)} matrices)")
        elif left:
            lines.append(f"the text input `{name}`: {left} of {len(own)} matrices that read it are as they were")
    if found.same_encoder:
        lines.append("the text encoder: the words still mean what they meant, to this model and to any other")
    return (*lines, "the empty prompt: what is drawn without a word is kept on purpose")


def same_states(plan: Plan, sides: Sides) -> bool:
    """Does the text encoder say what it said, of everything that is erased and of nothing?"""
    if sides.words is None:
        return True
    prompts = ["", *(prompt.text for erasure in plan.erase for prompt in edit_prompts(plan, erasure.targets))]
    before, after = (side.encode(prompts).inputs for side in (sides.text, sides.words))
    return all(torch.equal(value.cpu(), after[name].cpu()) for name, value in before.items())
