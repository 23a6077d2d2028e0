"""A second, very small model family: two cross-attention layers over sixteen image tokens, and a causal text encoder.

Everything the engine asks of a model, in a hundred lines; nothing is trained, so its "concepts" are random directions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from tracelang.models.latents import Grid
from tracelang.models.parametrisation import Level
from tracelang.models.protocol import Attended, TextStates, TokenLayout
from tracelang.plan.family import Site
from tracelang.plan.prompts import Prompt

LENGTH, WIDTH, HIDDEN, POOLED = 12, 32, 24, 16


class ToyClock:
    """A cosine schedule over t = 999 … 0: ᾱ = cos²(π/2 · (t + 1)/1001)."""

    unit = "t"

    def time(self, progress: float) -> float:
        return 999 * (1 - progress)

    def logsnr(self, time: float) -> float:
        return -2 * math.log(math.tan(math.pi / 2 * (time + 1) / 1001))

    def time_at(self, logsnr: float) -> float:
        time = (
            1001 * math.atan(math.exp(-logsnr / 2)) * 2 / math.pi - 1
            if math.isfinite(logsnr)
            else math.copysign(1e9, -logsnr)
        )
        return min(999.0, max(0.0, time))

    def times(self, steps: int) -> tuple[float, ...]:
        return tuple(999 * (1 - i / steps) for i in range(steps))

    def velocity(self, time: float) -> float:
        return 1 / max(math.cos(math.pi / 2 * (time + 1) / 1001), 0.05)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_out = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.to_k, self.to_v = (nn.Linear(WIDTH, HIDDEN, bias=False) for _ in range(2))

    def forward(self, x: Tensor, states: Tensor) -> Tensor:
        return x + self.to_out(scaled_dot_product_attention(self.to_q(x), self.to_k(states), self.to_v(states)))


class Denoiser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(4, HIDDEN), nn.Linear(HIDDEN, 4)
        self.pooled = nn.Linear(POOLED, HIDDEN)
        self.layers = nn.ModuleList([Attention(), Attention()])

    def forward(self, latents: Tensor, times: Tensor, tokens: Tensor, pooled: Tensor) -> Tensor:
        x = self.inner(latents.flatten(2).transpose(1, 2))
        x = (
            x
            + self.pooled(pooled)
            + torch.sin(times[:, None, None].to(x) * torch.arange(1, HIDDEN + 1, device=x.device) / 500)
        )
        for layer in self.layers:
            x = torch.tanh(layer(x, states=tokens))
        return self.outer(x).transpose(1, 2).reshape(latents.shape)


class Toy:
    guidance = 3.0
    latent_shape = (4, 4, 4)
    device = torch.device("cpu")
    dtype = torch.float32
    clock = ToyClock()
    latents = Grid((4, 4, 4))

    def __init__(self, base: int = 0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(base)
            self.denoiser = Denoiser()
            self.embedding = torch.randn(101, WIDTH)
            self.mixing = torch.randn(WIDTH, WIDTH) / WIDTH**0.5
            self.positions = torch.randn(LENGTH, WIDTH) / 2
            self.pooling = torch.randn(WIDTH, POOLED) / WIDTH**0.5
        self.fingerprint = hashlib.sha256(f"toy {base}".encode()).hexdigest()
        self.evaluations: list[int] = []
        places = ("down", "up")
        self.sites = (
            *(
                Site("denoiser", f"layers.{i}.to_{name}.weight", (HIDDEN, WIDTH), role, places[i], "tokens", True)
                for i in range(2)
                for name, role in (("k", "key"), ("v", "value"))
            ),
            *(
                Site("denoiser", f"layers.{i}.to_q.weight", (HIDDEN, HIDDEN), "query", places[i], None, False)
                for i in range(2)
            ),
            Site("denoiser", "pooled.weight", (HIDDEN, POOLED), "pooled", "mid", "pooled", False),
        )

    @property
    def encoders(self) -> str:
        told = hashlib.sha256()
        for tensor in (self.embedding, self.mixing, self.positions, self.pooling):
            told.update(tensor.numpy().tobytes())
        return told.hexdigest()

    def weight(self, site: Site) -> nn.Parameter:
        return self.denoiser.get_parameter(site.tensor)

    @staticmethod
    def id(word: str) -> int:
        return 2 + int(hashlib.sha256(word.encode()).hexdigest(), 16) % 99

    def _ids(self, prompt: str) -> list[int]:
        words = [self.id(word) for word in prompt.split()][: LENGTH - 2]
        return [0, *words, *[1] * (LENGTH - 1 - len(words))]

    def encode(self, prompts: Sequence[str]) -> TextStates:
        """Causal: each state sees its own token and the mean of those before; the pooled one the whole prompt."""
        return self.states(self.embedding[torch.tensor([self._ids(prompt) for prompt in prompts])])

    def states(self, embeddings: Tensor) -> TextStates:
        e = embeddings + self.positions
        past = e.cumsum(1) / torch.arange(1, LENGTH + 1)[:, None]
        states = 3 * torch.nn.functional.layer_norm(e + 2 * past @ self.mixing, (WIDTH,))
        states = torch.cat([(3 * self.embedding[:1]).expand(len(e), 1, WIDTH), states[:, 1:]], 1)
        return TextStates({"tokens": states, "pooled": (states.mean(1, keepdim=True) @ self.pooling)})

    @property
    def prompt_encoder(self) -> ToyPromptEncoder:
        return ToyPromptEncoder(self)

    def unconditional(self) -> TextStates:
        return self.encode([""])

    def layout(self, prompt: Prompt) -> TokenLayout:
        words, phrase = prompt.text.split(), prompt.phrase.split()
        at = next((i for i in range(len(words)) if phrase and words[i : i + len(phrase)] == phrase), None)
        rows = () if at is None else tuple(range(at + 1, at + 1 + len(phrase)))
        return TokenLayout(1, len(words) + 1, LENGTH, rows)

    def noise(self, seeds: Sequence[int]) -> Tensor:
        return torch.stack([torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        self.evaluations.append(len(latents))
        return self.denoiser(latents, times, states.inputs["tokens"], states.inputs["pooled"])

    @contextmanager
    def attended(self) -> Iterator[list[Attended]]:
        found: list[Attended] = []
        kept: list[Tensor] = []

        def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
            kept.append(output[:, None])
            if len(kept) == 2:
                found.append(Attended(*kept, HIDDEN**-0.5, 4, 4))
                kept.clear()

        parts = [part for layer in self.denoiser.layers for part in (layer.to_q, layer.to_k)]
        handles = [part.register_forward_hook(keep) for part in parts]
        try:
            yield found
        finally:
            for handle in handles:
                handle.remove()

    def guided(self, conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
        return unconditional + scale * (conditional - unconditional)

    def diffuse(self, clean: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        angle = (math.pi / 2 * (times + 1) / 1001).to(clean).view(-1, 1, 1, 1)
        return angle.cos() * clean + angle.sin() * noise, noise

    def levels(self, index: int, steps: int) -> tuple[Level, Level]:
        now, after = (math.pi / 2 * (t + 1) / 1001 for t in [*self.clock.times(steps), 0.0][index : index + 2])
        return (math.cos(now), math.sin(now)), (math.cos(after), math.sin(after))

    def parts(self, prediction: Tensor, latents: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        return ((latents - level[1] * prediction) / max(level[0], 0.05)).clamp(-3, 3), prediction

    def step(self, prediction: Tensor, index: int, steps: int, latents: Tensor) -> Tensor:
        now, after = self.levels(index, steps)
        image, noise = self.parts(prediction, latents, now)
        return after[0] * image + after[1] * noise

    def decode(self, latents: Tensor) -> Tensor:
        return (latents[:, :3] / 6 + 0.5).clamp(0, 1)


@cache
def spelling() -> dict[int, str]:
    """A word for every id, the first of w0, w1, … whose hash gives it."""
    found: dict[int, str] = {}
    for number in count():
        word = f"w{number}"
        found.setdefault(Toy.id(word), word)
        if len(found) == 99:
            return found


class ToyPromptEncoder:
    """Id 0 starts a prompt, id 1 ends and fills it, the rest are words."""

    def __init__(self, toy: Toy) -> None:
        self._toy, self.table = toy, toy.embedding
        self.free = torch.arange(101) > 1

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        return torch.tensor([self._toy._ids(prompt) for prompt in prompts])

    def encode(self, ids: Tensor, embeddings: Tensor | None = None) -> TextStates:
        return self._toy.states(self.table[ids] if embeddings is None else embeddings)

    def spell(self, ids: Tensor) -> list[str]:
        return [" ".join(spelling()[i] for i in row if i > 1) for row in ids.tolist()]
