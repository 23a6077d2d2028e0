"""The certificate: what an edit did and did not do, from weights and text states alone (docs/methods.md §6).

No image is drawn and the denoiser is never run, so it is the evidence there may be of `kind protected`. Everything
is computed in float64. With `W` a matrix of the base, `W' = W + Δ` the edited one, and states `F` whose targets are
`G`: an edit does what was asked where `W'F = WG`, and reaches no further than `ΔP` on what is preserved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import PlainSerializer

from tracelang.engine.errors import EngineError
from tracelang.engine.statements import constraints, states
from tracelang.evidence.bench import Bench, Failed, Record, Unit, Wanted, all_fields, attempt
from tracelang.evidence.matrices import Matrix, Stack, change_of, cheaper_states, compared, ratio, text_map
from tracelang.evidence.schema import Certificate, LayerChange, Reach
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Erasure, Member, Plan, Tokens
from tracelang.text import joined


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
        matrix = compared(site, before, after)
        layers.append(change_of(site, matrix, after, same))
        beside = matrix.Δ.square().sum(0)
        if site.reads is not None:
            read[site] = matrix.of(site.part)
            beside[site.part] = 0
        other += float(beside.sum())
    inputs = tuple(dict.fromkeys(site.reads for site in read if site.reads is not None))
    changed = {layer.tensor for layer in layers if layer.change > 0}
    maps = [
        text_map([one for site, one in read.items() if site.reads == name and site.tensor in changed])
        for name in inputs
    ]
    whole = other + sum(one.whole for one in maps)
    stacks = {name: Stack.of(one for site, one in read.items() if site.reads == name) for name in inputs}
    reaches = (
        *(erased(plan, erasure, base, read, stacks) for erasure in plan.active),
        *(preserved(plan, one.concepts, base, read) for one in plan.preserve),
    )
    return Certificate(
        layers=tuple(layers),
        map_share=max(0.0, 1 - (other + sum(one.missed for one in maps)) / whole) if whole else 1.0,
        smallest_singular_value=min((one.lowest for one in maps), default=1.0),
        condition=max((one.condition for one in maps), default=1.0),
        reaches=reaches,
        untouched=untouched(base, changed, same_states(plan, base, edited), reaches),
    )


def erased(
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
        (share, math.sqrt(price**2 + rest / shorter))
        for share, price in cheaper_states(spectra, left_over, effect, shorter)
    )
    return Reach(
        member=erasure.targets, residual=worst, price=math.sqrt(longer / shorter), undone=undone, cheaper=cheaper
    )


def preserved(plan: Plan, member: Member, base: Model, read: Mapping[Site, Matrix]) -> Reach:
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
            (ratio(matrix.Δ @ P[site.reads], matrix.W @ P[site.reads]) for site, matrix in read.items() if site.reads),
            default=0.0,
        ),
    )


def _tokens(plan: Plan) -> Tokens:
    """How tokens pair up: as in the plan's own closed form, or `tail` where it has none."""
    of_plan: list[Tokens] = [step.tokens for step in plan.method.passes if hasattr(step, "tokens")]
    return of_plan[0] if of_plan else "tail"


def untouched(base: Model, changed: set[str], same_states: bool, reaches: tuple[Reach, ...]) -> tuple[str, ...]:
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
            f"a new embedding: states {prices} of what the edit does to {joined(worst.member)}, the most open of "
            "those erased"
        )
    found.append("the empty prompt: what is drawn without a word is kept on purpose")
    found.append("fine-tuning: whoever holds the weights can train the concept into them again")
    return tuple(found)


def same_states(plan: Plan, base: Model, edited: Model) -> bool:
    """Does the text encoder say what it said, of everything that is erased and of nothing?"""
    prompts = ["", *(prompt.text for erasure in plan.erase for prompt in edit_prompts(plan, erasure.targets))]
    before, after = (model.encode(prompts).inputs for model in (base, edited))
    return all(torch.equal(value.cpu(), after[name].cpu()) for name, value in before.items())


def _openness(reach: Reach) -> tuple[int, float, float]:
    """How easily an edit is undone: the larger the shares within reach, and the cheaper they are."""
    prices = [price for _, price in reach.cheaper]
    return len(prices), -prices[min(1, len(prices) - 1)] if prices else 0.0, reach.undone or 0.0


class CertificateRecord(Record):
    """The certificate, or the error that kept it from being computed."""

    value: Annotated[Certificate, PlainSerializer(all_fields)] | None = None

    @property
    def certificate(self) -> Certificate | Failed:
        return Failed(self.error) if self.value is None else self.value


@dataclass(frozen=True)
class CertificateUnit(Unit):
    kind = "certificate"
    title = "certificate"
    record = CertificateRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[CertificateUnit]:
        yield cls("certificate")

    def done(self, bench: Bench, folder: Path) -> CertificateRecord:
        found = attempt(lambda: certify(bench.plan, bench.base, bench.edited))
        return CertificateRecord(error=found.why) if isinstance(found, Failed) else CertificateRecord(value=found)
