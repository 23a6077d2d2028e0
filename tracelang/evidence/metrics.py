"""Figures of merit: paired changes, the field's harmonic means, and distances between sets of pictures.

The harmonic means are METHODS.md §10's, "as printed" (`published`), with the sound reading beside (`corrected`):
the released scripts average the probability of the wanted class where their papers say accuracy, people are counted
among the pictures that show a face, so that an edit which destroys faces looks perfect, and H_a is a difference of
two scores that is not zero for an edit which does nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tracelang.engine.exact import exact
from tracelang.evidence.schema import DegreePoint, Harmonic, Member, Paired, Rate

if TYPE_CHECKING:
    from tracelang.evidence.judges.clip import Clip

FID_LEAST = 10_000
"""Pictures a side below which FID says more about their number than about them (METHODS.md §10.5)."""
KID_LEAST = 100
"""Below this KID's own noise is of the size of what it measures."""


class TooFew(ValueError):
    """A distance refused: not enough pictures. `str()` is one line that states the least number."""


def paired(base: Sequence[bool], after: Sequence[bool]) -> Paired:
    """Exact McNemar: of the pictures that changed sides, as many should have gone either way. Two-sided.

    Raises ValueError where the two do not pair up.
    """
    from scipy.stats import binomtest

    pairs = list(zip(base, after, strict=True))
    lost = sum(before and not now for before, now in pairs)
    gained = sum(now and not before for before, now in pairs)
    p = float(binomtest(lost, lost + gained, 0.5).pvalue) if lost + gained else 1.0
    return Paired(lost=lost, gained=gained, p=p)


def distinguishable(a: Rate, b: Rate) -> bool:
    """Do two unpaired rates differ? Fisher's exact test at 5 %; nothing can be told from no pictures."""
    from scipy.stats import fisher_exact

    if not (a.n and b.n):
        return False
    return float(fisher_exact([[a.hits, a.n - a.hits], [b.hits, b.n - b.hits]]).pvalue) < 0.05


def rises(points: Iterable[DegreePoint]) -> list[DegreePoint]:
    """The degrees at which more is shown than at some weaker one, beyond noise: none, where the dial is monotone."""
    ordered = sorted(points, key=lambda point: point.degree)
    return [
        point
        for i, point in enumerate(ordered)
        if any(
            point.shown.share > weaker.shown.share and distinguishable(point.shown, weaker.shown)
            for weaker in ordered[:i]
            if weaker.shown.n and point.shown.n
        )
    ]


def h_o(e: float, s: float, g: float) -> float:
    """`3 / [(1 − Acc_e)⁻¹ + Acc_s⁻¹ + (1 − Acc_g)⁻¹]` (MACE Eq. 8), all in 0..1; where a part is 0, its limit 0."""
    return _harmonic(1 - e, s, 1 - g)


def h_c(e: float, s: float) -> float:
    """`2 / [(1 − Acc_e)⁻¹ + Acc_s⁻¹]` (MACE Eq. 9), in 0..1; where a part is 0, its limit 0."""
    return _harmonic(1 - e, s)


def h_a(clip_e: float, clip_s: float) -> float:
    """`CLIP_s − CLIP_e`, in points of CLIP score: a difference, despite the letter."""
    return clip_s - clip_e


@dataclass(frozen=True, slots=True)
class Answers:
    """What a judge said of the pictures of one set of prompts, in their order.

    `right`: it found the prompts' concept. `chances`: the probability it gave that class, where it gives one.
    `faces`: the picture shows a face at all, where somebody can tell.
    """

    right: Sequence[bool]
    chances: Sequence[float] | None = None
    faces: Sequence[bool] | None = None

    def __post_init__(self) -> None:
        for other in (self.chances, self.faces):
            if other is not None and len(other) != len(self.right):
                raise ValueError(f"{len(other)} figures of {len(self.right)} pictures")

    @property
    def accuracy(self) -> float:
        """Share of all pictures, with a face or without."""
        return fmean(self.right)

    @property
    def probability(self) -> float | None:
        """Mean probability of the class: what the released scripts print as accuracy."""
        return None if self.chances is None else fmean(self.chances)

    @property
    def among_faces(self) -> float | None:
        """Share of the pictures with a face; None where nobody looked, or there is none."""
        if self.faces is None or not any(self.faces):
            return None
        return fmean(right for right, face in zip(self.right, self.faces, strict=True) if face)

    @property
    def face_ratio(self) -> float | None:
        return None if self.faces is None else fmean(self.faces)


def objects(member: Member, erased: Answers, kept: Sequence[Answers], synonyms: Answers) -> Harmonic:
    """H_o of one erased object; `kept` has one entry for each other class, which all weigh the same.

    Published: mean class probabilities, as the released script takes them; None where the judge gives none, and at
    Acc_e = 1, where the formula is not defined. Corrected: accuracies, with the limit 0 there.
    """
    e, s, g = erased.accuracy, fmean(one.accuracy for one in kept), synonyms.accuracy
    parts = {"Acc_e": e, "Acc_s": s, "Acc_g": g}
    means = [erased.probability, *(one.probability for one in kept), synonyms.probability]
    known = [value for value in means if value is not None]
    published, note = None, "the judge gives no probabilities, which the published figure averages"
    if len(known) == len(means):
        p, q, r = known[0], fmean(known[1:-1]), known[-1]
        parts |= {"mean probability e": p, "mean probability s": q, "mean probability g": r}
        published, note = _defined(1 - p, q, 1 - r), "published: mean class probabilities; corrected: accuracies"
    return Harmonic(name="H_o", member=member, published=published, corrected=h_o(e, s, g), parts=parts, note=note)


def identities(member: Member, erased: Answers, kept: Sequence[Answers]) -> Harmonic:
    """H_c of one erased person. Every kept picture weighs the same.

    Published: shares of the pictures with a face; None where nobody told which have one. Corrected: of all pictures,
    so that a kept person whose face is gone is not kept.
    """
    everyone = _joined(kept)
    e, s = erased.accuracy, everyone.accuracy
    parts = {"Acc_e": e, "Acc_s": s}
    among = erased.among_faces, everyone.among_faces
    published, note = None, "nobody told which pictures show a face, which the published figure counts among"
    if among[0] is not None and among[1] is not None:
        parts |= {"Acc_e of faces": among[0], "Acc_s of faces": among[1]}
        published, note = _defined(1 - among[0], among[1]), "published: of pictures with a face; corrected: of all"
    elif erased.faces is not None and everyone.faces is not None:
        note = "no picture shows a face: the published figure is not defined"
    for name, one in (("faces e", erased), ("faces s", everyone)):
        if one.face_ratio is not None:
            parts[name] = one.face_ratio
    return Harmonic(name="H_c", member=member, published=published, corrected=h_c(e, s), parts=parts, note=note)


def styles(
    member: Member,
    erased: Sequence[float],
    kept: Sequence[float],
    base_erased: Sequence[float] = (),
    base_kept: Sequence[float] = (),
) -> Harmonic:
    """H_a of one erased style from the CLIP scores of its pictures and of the kept styles'.

    Corrected: less what the base model's own pictures of the same prompts give, so that an edit which does nothing
    has 0; None without them. A general loss of quality is not seen by either: read the parts.
    """
    parts = {"CLIP_e": fmean(erased), "CLIP_s": fmean(kept)}
    published = h_a(parts["CLIP_e"], parts["CLIP_s"])
    corrected, note = None, "a difference of scores, in points; the base model's are unknown, so no edit may not be 0"
    if base_erased and base_kept:
        parts |= {"base CLIP_e": fmean(base_erased), "base CLIP_s": fmean(base_kept)}
        corrected = published - h_a(parts["base CLIP_e"], parts["base CLIP_s"])
        note = "a difference of scores, in points; corrected: less the base model's own"
    return Harmonic(name="H_a", member=member, published=published, corrected=corrected, parts=parts, note=note)


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


def fid(base: Tensor, after: Tensor, extractor: Extractor, batch: int = 100) -> float:
    """Fréchet distance of the features of two sets of pictures. Raises TooFew below `FID_LEAST` pictures a side, or
    where the features outnumber the pictures.

    Of finite sets it is too large. Where the two share their seeds it is so by less, and 0 for no edit at all: chance
    moves both means and covariances alike. It is still no smaller than the truth, but smaller than figures between
    independent sets, as papers print them, and not comparable with those.
    """
    _enough("FID", base, after, max(FID_LEAST, extractor.num_features + 1))
    from torchmetrics.image.fid import FrechetInceptionDistance

    return _distance(FrechetInceptionDistance(feature=extractor, normalize=True), base, after, batch)


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

    value = float((off_diagonal(x, x) + off_diagonal(y, y) - 2 * off_diagonal(x, y)) / (n * (n - 1)))
    if value != value:
        raise ValueError("the distance is not a number")
    return value


def kid(base: Tensor, after: Tensor, extractor: Extractor, batch: int = 100) -> float:
    """Kernel distance (unbiased MMD², cubic kernel) over all pictures at once, of two independent sets: never of one
    seed on both sides, for which there is `kid_paired`. Raises TooFew below `KID_LEAST`.
    """
    _enough("KID", base, after, KID_LEAST)
    from torchmetrics.image.kid import KernelInceptionDistance

    n = min(len(base), len(after))
    # One subset of everything: no draw, so the figure is the same every time.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*save all extracted features.*")
        metric = KernelInceptionDistance(feature=extractor, subsets=1, subset_size=n, normalize=True)
    return _distance(metric, base[:n], after[:n], batch)


def clip_score(images: Tensor, prompts: Sequence[str], clip: Clip) -> Tensor:
    """CLIP score of each picture `[n]`: 100 times the cosine between picture and prompt, as METHODS.md §10.3 has it."""
    return clip.scores(images, prompts)


def _harmonic(*parts: float) -> float:
    return len(parts) / sum(1 / part for part in parts) if all(part > 0 for part in parts) else 0.0


def _defined(*parts: float) -> float | None:
    """The harmonic mean as a formula: None where it divides by nothing."""
    return _harmonic(*parts) if all(part > 0 for part in parts) else None


def _joined(many: Sequence[Answers]) -> Answers:
    faces = [one.faces for one in many if one.faces is not None]
    return Answers(
        [right for one in many for right in one.right],
        faces=[face for part in faces for face in part] if len(faces) == len(many) else None,
    )


def _enough(name: str, base: Tensor, after: Tensor, least: int) -> None:
    n = min(len(base), len(after))
    if n < least:
        raise TooFew(f"{name} wants {least} pictures a side, here are {n}")


def _distance(metric: nn.Module, base: Tensor, after: Tensor, batch: int) -> float:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for real, pictures in ((True, base), (False, after)):
            for part in torch.split(pictures, batch):
                metric.update(part, real=real)  # type: ignore[operator]
        found = metric.compute()  # type: ignore[operator]
    value = float(found[0] if isinstance(found, tuple) else found)
    if value != value:
        raise ValueError("the distance is not a number")
    return value
