"""One orthogonal left map a matrix, on top of an edit: Orthogonal Concept Erasure (docs/methods.md §4.4)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from tracelang.engine.edit import Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.options import Options
from tracelang.engine.prior import held
from tracelang.engine.rotation import reversed_share, turn
from tracelang.engine.statements import columns, erased_rows, held_columns
from tracelang.engine.text_map import CHUNK
from tracelang.models.protocol import TextSide
from tracelang.plan.bind import BoundPass
from tracelang.plan.family import Site
from tracelang.plan.types import Plan
from tracelang.semantics.passes.rotate import Rotate

needs: Literal["weights"] = "weights"


def run(part: BoundPass, plan: Plan, text: TextSide, edit: Edit, options: Options) -> Edit:
    """Raises `EngineError` where a phrase has no tokens, states are not finite, or nothing is held."""
    settings = part.settings
    assert isinstance(settings, Rotate)
    inputs = list(dict.fromkeys(site.reads for site in part.sites if site.reads is not None))
    rows = erased_rows(plan, plan.active, text, inputs, settings.tokens)
    P, w = held_columns(plan, plan.preserve, text, inputs, settings.preserved_tokens == "last")
    priors, told = held(plan, text, options)
    turns, measured = dict[Site, Tensor](), dict[str, Any]()
    for name in inputs:
        F, G = (columns([pair[side][name] for pair in rows]) for side in (0, 1))
        K = _gram(P[name], settings.keep_weight * w[name])
        if name in priors:
            K += priors[name].gram()
        if not K.any():
            raise EngineError(f"{settings.label}: nothing is held; give `prior` or `keep_weight` more than 0")
        K.diagonal().add_(settings.ridge * float(K.trace()) / len(K))
        for site in (site for site in part.sites if site.reads == name):
            W = exact(edit.patched(site, exact(options.weight(site))))[:, site.part]
            found = turn(W, F, G, K, settings.erase_weight, settings.compat)
            turns[site] = found.P
            measured[site.tensor] = {
                "rank": found.erased,
                "anchor_rank": found.anchors,
                "reversed": reversed_share(found.P),
                **_turned(found.P, W, F, G, P[name]),
            }
    return edit.turned(turns).told(settings.label, measured, told)


def _gram(P: Tensor, w: Tensor) -> Tensor:
    """`Σ w p pᵀ`, a few columns at a time."""
    K = torch.zeros(2 * (len(P),), dtype=torch.float64)
    for columns_, weights in zip(torch.split(P, CHUNK, 1), torch.split(w, CHUNK), strict=True):
        scaled = exact(columns_) * weights.sqrt()
        K.addmm_(scaled, scaled.T)
    return K


def _turned(P: Tensor, W: Tensor, F: Tensor, G: Tensor, held_: Tensor) -> dict[str, float]:
    """The mean cosines of `W'f` with `Wf` and with `Wg`, and `‖(P − I)Wp‖/‖Wp‖` of the worst preserved state."""
    before, after, anchors = W @ F, P @ (W @ F), W @ G
    worst = 0.0
    for columns_ in torch.split(held_, CHUNK, 1):
        kept = W @ exact(columns_)
        moved = (P @ kept - kept).norm(dim=0) / kept.norm(dim=0).clamp_min(1e-300)
        worst = max(worst, float(moved.amax()))
    return {
        "cosine": float(cosine_similarity(after, before, dim=0).mean()),
        "anchor_cosine": float(cosine_similarity(after, anchors, dim=0).mean()),
        "worst_leak": worst,
    }
