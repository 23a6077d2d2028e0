"""What layers read whose input is mixed with image and time: no text state stands for it, so it is seen in sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tracelang.engine.exact import exact
from tracelang.engine.rollout import chunks, record, starts
from tracelang.models.protocol import Model
from tracelang.plan.family import Site
from tracelang.plan.prompts import Prompt
from tracelang.progress import Progress
from tracelang.semantics.passes.fuse import CALIBRATION_STEPS, calibrations


@dataclass(slots=True)
class Inputs:
    """What sites read: `gram[first[site]]` is `Σ x xᵀ` of a site's input, `[d, d]` in float64.

    Sites that read one tensor, as an attention's projections do, share the Gram of the first of them.
    """

    first: dict[Site, Site] = field(default_factory=dict)
    gram: dict[Site, Tensor] = field(default_factory=dict)

    def of(self, site: Site) -> Tensor:
        return self.gram[self.first[site]]

    @contextmanager
    def read(self, model: Model, sites: Sequence[Site], counts: Tensor) -> Iterator[None]:
        """Inside, every prediction adds its first rows, those with the prompts, each as often as it counts."""
        last: tuple[Site, Tensor] | None = None

        def add(site: Site, x: Tensor) -> None:
            nonlocal last
            if last is not None and last[1] is x:
                self.first[site] = last[0]
                return
            last = site, x
            rows = x[: len(counts)].float() * counts.sqrt().to(x.device).view(-1, *[1] * (x.dim() - 1))
            rows = rows.flatten(0, -2)
            gram = exact(rows.T @ rows)
            self.first[site] = site
            held = self.gram.get(site)
            self.gram[site] = gram if held is None else held.add_(gram)

        def hook(site: Site) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            return lambda module, inputs: add(site, inputs[0])

        with ExitStack() as stack:
            for site in sites:
                module = model.denoiser.get_submodule(site.module)
                stack.callback(module.register_forward_pre_hook(hook(site)).remove)
            yield


def inputs(
    model: Model,
    sites: Sequence[Site],
    members: Sequence[tuple[Sequence[Prompt], float]],
    purpose: str,
    progress: Progress | None = None,
) -> Inputs:
    """`Σ_members weight Σ_prompts E Σ_tokens x xᵀ` of every site's input.

    The mean E is over noise and sampler steps, so that a prompt counts once, as with text states.
    """
    groups = [[(prompt.text, None) for prompt in prompts] for prompts, _ in members]
    begin = starts(groups, calibrations(len(groups)), purpose, 0)
    visits = [len(begin[i :: len(groups)]) * CALIBRATION_STEPS for i in range(len(groups))]
    counts = [weight * len(prompts) / visits[i] for i, (prompts, weight) in enumerate(members)]
    found = Inputs()
    done = 0
    for chunk in chunks(model, begin):

        def step_done(what: str, step: int, of: int, before: int = done, rows: int = len(chunk)) -> None:
            if progress is not None:
                progress("what layers read", before * CALIBRATION_STEPS + step * rows, sum(visits))

        rows = torch.tensor([counts[(done + i) % len(groups)] for i in range(len(chunk))])
        done += len(chunk)
        with found.read(model, sites, rows):
            record(model, chunk, CALIBRATION_STEPS, model.guidance, step_done)
    return found
