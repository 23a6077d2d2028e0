"""Distances between the pictures before and after, by the features that a judge gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tracelang.engine.exact import exact
from tracelang.evidence.bench import Failed
from tracelang.evidence.judges.kit import Extractor
from tracelang.evidence.metrics.metric import Figure, Measured, open_, valued
from tracelang.evidence.pictures import Row, Sample, drawable, samples_of
from tracelang.evidence.schema import Measure
from tracelang.plan.types import Assertion, Member

FID_LEAST = 10_000
"""Pictures a side below which FID says more about their number than about them (docs/methods.md §5.5)."""
KID_LEAST = 100
"""Below this KID's own noise is of the size of what it measures."""


class TooFew(ValueError):
    """A distance refused: not enough pictures. `str()` is one line that states the least number."""


def frechet(one: Assertion, measured: Measured, member: Member) -> Measure:
    if not drawable(measured.plan, member):
        return open_(member, "protected: no picture of it is ever drawn")
    samples = samples_of(measured.plan, Row(member, "names", one.samples, one.seed))
    found = between(fid, measured, samples)
    if isinstance(found, Failed):
        return open_(member, found.why)
    return valued(one, member, found, note="both sides share their seeds: smaller than between independent sets")


def between(
    distance: Callable[[Tensor, Tensor, Extractor], float], measured: Measured, samples: Sequence[Sample]
) -> float | Failed:
    """A distance between the base's and the edited model's pictures of the same samples, or why there is none."""
    own = [measured.features[sample] for sample in samples if sample in measured.features]
    if not own or len(own) < len(samples):
        return Failed("no judge gives features for it")
    base, after = (torch.tensor([pair[side] for pair in own]) for side in (0, 1))
    try:
        return distance(base, after, Extractor(nn.Identity(), base.shape[1], measured.extractor, ""))
    except ValueError as error:  # TooFew, and features that give no number
        return Failed(str(error))


def fid(base: Tensor, after: Tensor, extractor: Extractor, batch: int = 100) -> float:
    """Fréchet distance of the features of two sets of pictures. Raises TooFew below `FID_LEAST` pictures a side, or
    where the features outnumber the pictures.

    Of finite sets it is too large. Where the two share their seeds it is so by less, and 0 for no edit at all: chance
    moves both means and covariances alike. It is still no smaller than the truth, but smaller than figures between
    independent sets, as papers print them, and not comparable with those.
    """
    _enough("FID", base, after, max(FID_LEAST, extractor.num_features + 1))
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=extractor, normalize=True)
    with torch.no_grad():
        for real, pictures in ((True, base), (False, after)):
            for part in torch.split(pictures, batch):
                metric.update(part, real=real)
        return _number(float(metric.compute()))


def kid_paired(base: Tensor, after: Tensor, extractor: Extractor) -> float:
    """Kernel distance of two sets of which each picture of one has the prompt and the seed of one of the other. Raises
    TooFew below `KID_LEAST` pictures.

    The mean of k(x_i, x_j) + k(y_i, y_j) − k(x_i, y_j) − k(y_i, x_j) over i ≠ j (Gretton et al., JMLR 13, 2012, Lemma
    6 for m = n): no two pictures of one seed are compared, which would pull the figure below 0. Unbiased, for each
    of the four compares equally many pictures of one prompt; of the base with itself it is 0.
    """
    _enough("KID", base, after, KID_LEAST)
    with torch.no_grad():
        x, y = exact(extractor(base)), exact(extractor(after))
    n, d = x.shape

    def off_diagonal(a: Tensor, b: Tensor) -> Tensor:
        found: Tensor = (a @ b.T / d + 1) ** 3
        return found.sum() - found.trace()

    return _number(float((off_diagonal(x, x) + off_diagonal(y, y) - 2 * off_diagonal(x, y)) / (n * (n - 1))))


def _number(distance: float) -> float:
    if distance != distance:
        raise ValueError("the distance is not a number")
    return distance


def _enough(name: str, base: Tensor, after: Tensor, least: int) -> None:
    n = min(len(base), len(after))
    if n < least:
        raise TooFew(f"{name} wants {least} pictures a side, here are {n}")


MEASURES: dict[str, Figure] = {"fid": frechet}
