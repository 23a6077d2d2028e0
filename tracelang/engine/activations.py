"""What layers read whose input is mixed with image and time: no text state stands for it, so it is seen in sampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from tracelang.engine.exact import exact
from tracelang.engine.rollout import chunks, sample, starts
from tracelang.models.protocol import Model
from tracelang.plan.counts import CALIBRATION_STEPS, calibrations
from tracelang.plan.family import Site
from tracelang.plan.prompts import Prompt


def grams(
    model: Model, sites: Sequence[Site], members: Sequence[tuple[Sequence[Prompt], float]], purpose: str
) -> dict[Site, Tensor]:
    """`Σ_members weight Σ_prompts E Σ_tokens x xᵀ` of every site's input, `[d, d]` in float64.

    The mean E is over noise and sampler steps, so that a prompt counts once, as with text states. Sites that read one
    tensor share one Gram.
    """
    groups = [[(prompt.text, None) for prompt in prompts] for prompts, _ in members]
    begin = starts(groups, calibrations(len(groups)), purpose, 0)
    visits = [len(begin[i :: len(groups)]) * CALIBRATION_STEPS for i in range(len(groups))]
    counts = [weight * len(prompts) / visits[i] for i, (prompts, weight) in enumerate(members)]
    found: dict[Site, Tensor] = {}
    done = 0
    for chunk in chunks(model, begin):
        rows = torch.tensor([counts[(done + i) % len(groups)] for i in range(len(chunk))])
        done += len(chunk)
        with _read(model, sites, rows, found):
            sample(model, chunk, CALIBRATION_STEPS, model.guidance)
    return found


@contextmanager
def _read(model: Model, sites: Sequence[Site], counts: Tensor, found: dict[Site, Tensor]) -> Iterator[None]:
    """Inside, every prediction adds to `found`: its first rows, those with the prompts, each as often as it counts."""
    last: list[tuple[Tensor, Site]] = []

    def add(site: Site, x: Tensor) -> None:
        if last and last[0][0] is x:
            found.setdefault(site, found[last[0][1]])
            return
        last[:] = [(x, site)]
        rows = x[: len(counts)].float() * counts.sqrt().to(x.device).view(-1, *[1] * (x.dim() - 1))
        rows = rows.flatten(0, -2)
        gram = exact(rows.T @ rows)
        found.setdefault(site, torch.zeros_like(gram)).add_(gram)

    def hook(site: Site) -> None:
        def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            add(site, inputs[0])

        stack.callback(model.denoiser.get_submodule(site.module).register_forward_pre_hook(read).remove)

    with ExitStack() as stack:
        for site in sites:
            hook(site)
        yield
