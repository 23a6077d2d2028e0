"""A concept that no model ever saw: figures made by code, under a made-up word.

How fast a model learns it says how fast it learns anything: where an edited model and one that never knew the erased
concept learn this one at another pace, weights that are broken or far away may explain what relearning finds.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tracelang.engine.seeds import generator
from tracelang.evidence.tuning import Lesson
from tracelang.models.protocol import Model

WORD = "quimbort"
PROMPT = f"a picture of a {WORD}"


def figure(index: int, height: int, width: int) -> Tensor:
    """An image `[3, height, width]` in 0..1: a star of five round points, ringed in orange and blue, of a size,
    turn and place of its own on a pale ground.
    """
    random = generator("sham", WORD, index, 0)
    turn, size, right, down, *ground = torch.rand(7, generator=random).tolist()
    y = torch.linspace(-1, 1, height)[:, None] - 0.4 * (down - 0.5)
    x = torch.linspace(-1, 1, width)[None, :] - 0.4 * (right - 0.5)
    radius, angle = (x**2 + y**2).sqrt(), torch.atan2(y, x)
    reach = (0.55 + 0.25 * size) * (0.7 + 0.3 * torch.cos(5 * angle + 2 * math.pi * turn))
    inside = ((reach - radius) * height / 4).sigmoid()
    ring = (torch.sin(6 * math.pi * radius / reach.clamp_min(0.1)) * 3).sigmoid()
    orange, blue = torch.tensor([0.95, 0.55, 0.1]), torch.tensor([0.1, 0.25, 0.75])
    colour = ring * orange[:, None, None] + (1 - ring) * blue[:, None, None]
    pale = (0.8 + 0.2 * torch.tensor(ground))[:, None, None]
    image: Tensor = inside * colour + (1 - inside) * pale
    return image.clamp(0, 1)


def lesson(model: Model, first: int, count: int) -> Lesson:
    """`count` figures, counted from `first`, as the model's latents. One that was not taught shows what was learnt."""
    height, width = model.decode(model.noise([0])).shape[-2:]
    images = torch.stack([figure(i, height, width) for i in range(first, first + count)])
    return Lesson(model.latents_of(images), (PROMPT,) * count)
