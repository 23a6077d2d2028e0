"""The bench: two models and their judges, and what every kind of work does with them."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from tracelang.engine.batches import batch_size
from tracelang.engine.precision import bfloat16_pays
from tracelang.engine.sampling import ELEMENTS, MOST, precision, sample_latents
from tracelang.evidence.artifact import Artifact
from tracelang.evidence.attacks import Budget
from tracelang.evidence.judges import Scoring
from tracelang.evidence.panel import Panel, digest
from tracelang.evidence.pictures import Sample
from tracelang.evidence.shots import Judgement, draw, judged
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.types import Member, Plan
from tracelang.version import versions

PACKAGES = ("tracelang", "tracelang-micro", "torch", "diffusers", "transformers", "scipy", "torchmetrics", "numpy")
"""Of whose numbers the results are made."""


@dataclass(frozen=True, eq=False)
class Bench:
    """`clean` are latents of each concept that attacks were made on so far, as the base draws it."""

    artifact: Artifact
    base: Model
    edited: Model
    panel: Panel
    budget: Budget
    steps: int
    clean: dict[Member, Tensor] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        return self.artifact.plan

    def facts(self, samples: int) -> dict[str, Any]:
        """All that the results depend on."""
        dtype = str(self.base.dtype).removeprefix("torch.")
        return {
            "plan": self.plan.digest,
            "base": self.base.fingerprint,
            "edited": self.artifact.fingerprint,
            "adapter": self.artifact.adapter_digest,
            "judges": [digest(card) for card in self.panel.cards],
            "sampler": {
                "steps": self.steps,
                "guidance": self.base.guidance,
                "batch": batch_size(self.base.latent_shape, ELEMENTS, MOST),
                "precision": "bfloat16 autocast" if bfloat16_pays(self.base) else dtype,
            },
            "budget": {name: str(value) for name, value in asdict(self.budget).items()},
            "samples": samples,
            "device": self.base.device.type,
            "dtype": dtype,
            "versions": versions(PACKAGES),
        }

    def draw(self, model: Model, samples: Sequence[Sample], states: TextStates | None = None) -> Tensor:
        """Images `[n, 3, H, W]` in 0..1 of the samples; with `states`, of those in place of their prompts'."""
        if not samples:
            return torch.empty(0, 3, 1, 1)
        if states is None:
            return draw(model, samples, self.steps)
        latents = self.latents(model, samples, states)
        with torch.no_grad(), precision(model, True):
            return model.decode(latents).float()

    def both(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """The images of the base and of the edited model."""
        return self.draw(self.base, samples), self.draw(self.edited, samples)

    def latents(self, model: Model, samples: Sequence[Sample], states: TextStates | None = None) -> Tensor:
        """Clean latents `[n, …]` of the samples."""
        with torch.no_grad(), precision(model, True):
            told = model.encode([sample.prompt for sample in samples]) if states is None else states
        return sample_latents(model, told, [sample.seed for sample in samples], steps=self.steps, fast=True)

    def judged(self, images: Tensor) -> list[dict[str, Judgement]]:
        """Every judge's judgement of each image."""
        return judged(self.panel, images)

    def scores(self, images: Tensor, samples: Sequence[Sample]) -> list[float]:
        """How well each picture fits its prompt, by the first judge that can tell; none without such a judge."""
        judge = next((judge for judge in self.panel.judges if isinstance(judge, Scoring)), None)
        prompts = [sample.prompt for sample in samples]
        scores: list[float] = [] if judge is None else judge.scores(images, prompts).tolist()
        if not all(isfinite(score) for score in scores):
            raise ValueError("a score is no number")
        return scores

    def memory(self) -> int:
        """The most bytes held at once so far: of the GPU where there is one, else of the process."""
        if self.base.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.base.device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
