"""The certificate: what an edit did and did not do, from weights and text states alone (METHODS.md §11.4).

No image is drawn and the denoiser is never run, so it is the evidence there may be of `kind protected`. Everything
is computed in float64. With `W` a matrix of the base, `W' = W + Δ` the edited one, and states `F` whose targets are
`G`: an edit does what was asked where `W'F = WG`, and reaches no further than `ΔP` on what is preserved.
"""

from __future__ import annotations

import torch

from tracelang.engine.errors import EngineError
from tracelang.evidence.certificate.matrices import Matrix, change_of, compared
from tracelang.evidence.certificate.reaches import erased, preserved
from tracelang.evidence.certificate.stacks import Stack, text_map
from tracelang.evidence.certificate.untouched import same_states, untouched
from tracelang.evidence.schema import Certificate, LayerChange
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.plan.types import Plan


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
        if site.reads is None:
            other += float(matrix.Δ.square().sum())
        else:
            read[site] = matrix
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
