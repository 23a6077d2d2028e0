"""What the engine asks of a model: of its prompt side alone, and of all of it. A backend implements both; nothing here
knows a model family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tracelang.models.latents import Grid
from tracelang.models.parametrisation import Level
from tracelang.plan.family import Clock, Site
from tracelang.plan.prompts import Prompt


@dataclass(frozen=True, slots=True)
class TokenLayout:
    """Where things stand in one prompt's token sequence, as indices.

    Content tokens are `start..end-1`; `end` is the end token; `end+1..length-1` is padding. `phrase` holds the
    indices of the concept's own tokens (empty for the empty prompt). `causal`: a state has read the tokens up to its
    own (CLIP); otherwise the whole prompt (T5).
    """

    start: int
    end: int
    length: int
    phrase: tuple[int, ...]
    causal: bool = True


@dataclass(frozen=True, slots=True)
class TextStates:
    """A batch of encoded prompts: each text input's states, `{"tokens": [n, L, d], "pooled": [n, 1, d'], …}`."""

    inputs: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def rows(self, index: Tensor | Sequence[int]) -> TextStates:
        """The prompts at `index`."""
        rows = torch.as_tensor(index)
        return TextStates({name: value[rows.to(value.device)] for name, value in self.inputs.items()})

    @staticmethod
    def cat(parts: Sequence[TextStates]) -> TextStates:
        return TextStates({name: torch.cat([part.inputs[name] for part in parts]) for name in parts[0].inputs})


@dataclass(frozen=True, slots=True)
class Lost:
    """What the encoder behind the text input `reads` does not get of a prompt of so many `tokens`, of which it takes
    `length`: the words of the phrase that are `cut` off or `unknown` to the tokenizer; `nothing`: that is all of them.
    """

    prompt: Prompt
    reads: str
    tokens: int
    length: int
    cut: tuple[str, ...]
    unknown: tuple[str, ...]
    nothing: bool


@dataclass(frozen=True, slots=True)
class Attended:
    """Where the places of a picture attend to a prompt, in one layer: the softmax over all keys of `scale · q kᵀ`.

    `queries [n, heads, Q, w]` are of the places, `rows · columns = Q` of them in reading order. Of the `keys [n, heads,
    K, w]` the first are of the prompt's token states, in their order; others may follow. Gradients flow.
    """

    queries: Tensor
    keys: Tensor
    scale: float
    rows: int
    columns: int


class PromptEncoder(Protocol):
    """The prompt side of a model as an attacker sees it: token ids, their embeddings, and states from either."""

    table: Tensor
    """Input embeddings `[V, d]` of every token id."""
    free: Tensor
    """Which ids `[V]` a prompt may hold: True for ordinary tokens, False for start, end and padding."""

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        """Token ids `[n, L]`, with start, end and padding as `Model.encode` gives them to the text encoder."""
        ...

    def encode(self, ids: Tensor, embeddings: Tensor | None = None) -> TextStates:
        """Text states of ids `[n, L]`; `embeddings` `[n, L, d]` stand in for the table's rows. Gradients flow."""
        ...

    def spell(self, ids: Tensor) -> list[str]:
        """The text of each row of ids, special tokens left out."""
        ...


class TextSide(Protocol):
    """The prompt side of a model, which is all that a closed form needs: no denoiser, and no text encoder either before
    a prompt has to be encoded. `device` and `dtype` are those of the states.
    """

    sites: tuple[Site, ...]
    device: torch.device
    dtype: torch.dtype

    @property
    def conditions(self) -> Mapping[str, float]:
        """What else decides the model's pictures and is fixed, for the record: guidance, sizes."""
        ...

    @property
    def encoders(self) -> str:
        """A name for all that decides a prompt's states, as 64 hexadecimal digits."""
        ...

    def vocabulary(self) -> tuple[str, ...]:
        """The whole words of its tokenizers, in small letters, sorted: what a prior's prompts are drawn from."""
        ...

    def encode(self, prompts: Sequence[str], keep: bool = True) -> TextStates:
        """Text states of the prompts, without gradients, and of each the same bits whatever stands beside it. `keep`:
        in a cache, where there is one.
        """
        ...

    def unconditional(self) -> TextStates:
        """One row: what the denoiser is given beside a prompt's states under classifier-free guidance.

        It need not be `encode([""])`, which is the ∅ of the closed form: some families are trained on zeros, or on the
        empty prompt without the words that stand around every other.
        """
        ...

    def layout(self, prompt: Prompt) -> TokenLayout: ...

    def lost(self, prompts: Sequence[Prompt]) -> Sequence[Lost]:
        """What the encoders do not get of the prompts; nothing for those that they get whole. No encoder is loaded."""
        ...


class Model(TextSide, Protocol):
    """A model with weights. Latents are `[n, …]` in the model's dtype on its device; times are of `clock`'s unit."""

    clock: Clock
    guidance: float
    """The model's own guidance scale while sampling. 1: no guidance, and no unconditional prediction is asked for."""
    denoiser: torch.nn.Module
    """What adapters attach to; a site's `module` is a path inside it."""
    latents: Grid
    """How they lie beside the autoencoder's, which have rows and columns."""
    fingerprint: str
    """A name for all that decides the model's pictures, `scheme:digits`; keys every cache of what the denoiser does."""

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Of one latent: `noise([seed])` is `[1, *latent_shape]`."""
        ...

    def weight(self, site: Site) -> torch.nn.Parameter:
        """The site's matrix `[out, in]`."""
        ...

    @property
    def prompt_encoder(self) -> PromptEncoder: ...

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """Initial latents `[n, …]`, each from its own seed (generated on the CPU, the same on every device)."""
        ...

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        """The denoiser's raw prediction, as it was trained (noise, v or velocity), same shape as `latents`.

        `times` is `[n]`. Gradients flow. No guidance is applied.
        """
        ...

    def attended(self) -> AbstractContextManager[list[Attended]]:
        """Inside, `predict` leaves in the list what the layers hold in which a picture attends to its prompt, layer by
        layer in the model's order; whoever reads it empties it.

        Raises ModelError where the family does not tell.
        """
        ...

    def checkpointed(self) -> AbstractContextManager[None]:
        """Inside, gradients of `predict` cost less memory and more time: what a block computes is not kept for them.

        Raises ModelError where the denoiser cannot.
        """
        ...

    def guided(self, conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
        """The prediction that a sampler step takes at a guidance scale, from the two predictions `[n, …]`.

        At 0 it is `unconditional`, at 1 `conditional`.
        """
        ...

    def diffuse(self, clean: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """The forward process: latents `x_t` at `times` `[n]`, and what `predict` was trained to answer there."""
        ...

    def step(self, prediction: Tensor, index: int, steps: int, latents: Tensor) -> Tensor:
        """One deterministic sampler step, from `clock.times(steps)[index]` to the next time (or the clean end)."""
        ...

    def levels(self, index: int, steps: int) -> tuple[Level, Level]:
        """Signal `a` and noise `b` of `x = a x₀ + b n`, numbers: at `clock.times(steps)[index]`, and where that step
        leads to.
        """
        ...

    def parts(self, prediction: Tensor, latents: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """The x₀ and n `[n, …]` that latents at a level are made of, if the prediction is right. Gradients flow."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Images `[n, 3, H, W]` float32 in 0..1 on the CPU."""
        ...

    def latents_of(self, images: Tensor) -> Tensor:
        """Latents `[n, …]` of images `[n, 3, H, W]` in 0..1: what the autoencoder holds likeliest."""
        ...
