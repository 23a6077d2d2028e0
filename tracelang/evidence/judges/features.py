"""Features of pictures, for distances between sets of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Extractor(nn.Module):
    """Features `[n, num_features]` of images `[n, 3, H, W]` in 0..1, with the name and sha256 of what makes them."""

    def __init__(self, network: nn.Module, num_features: int, name: str, digest: str) -> None:
        super().__init__()
        self.network, self.num_features, self.name, self.digest = network, num_features, name, digest

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(images)
        if found.shape != (len(images), self.num_features) or not torch.isfinite(found).all():
            raise ValueError(f"the features of {self.name} are not [{len(images)}, {self.num_features}] finite numbers")
        return found.float()
