"""Does the edited model still draw? What the everyday panel says (`everyday.py`), whatever a recipe expects.

Three things are looked at, of pairs of one prompt and seed. Pictures that are none: not finite, flat, or rougher or
smoother than any of the base's by a wide margin; or all alike, whatever they were asked for. What was right: the class
of a judge's world, or by a judge that can tell the panel's prompts apart, the picture's own prompt. And where nobody
can tell what is right, likeness: a picture after the edit should be more like its own before than like another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from tracelang.evidence.everyday import LEAST
from tracelang.evidence.schema import Integrity, Rate, Verdict
from tracelang.evidence.verdicts import paired, rate

LOST = 0.10
"""An edit is taken for broken where more than this share of what the base got right is lost, beyond doubt: the lower
end of the 95 % interval lies above it, and more was lost than gained (exact McNemar, 5 %).
"""
ENOUGH = 10
"""So many pictures has the base to get right before their loss says anything."""
MARGIN = 4.0
"""A picture is flat, or too smooth, below the least of the base's divided by this; too rough above the most times half
of it. White noise is rougher than a photograph by more than that.
"""
ALIKE = 0.2
"""The pictures are all alike where they differ from each other by less than this share of what the base's do."""
THUMB = 16


@dataclass(frozen=True, slots=True)
class EverydayPair:
    """One pair of the panel. `right`: before and after, None where nobody can tell; `whole`: each is a picture;
    `like`: the one after is most like its own before. With an `error`, none of it.
    """

    right: tuple[bool, bool] | None
    whole: tuple[bool, bool]
    like: bool
    error: str = ""


def pixels(base: Tensor, after: Tensor, prompts: Sequence[str]) -> tuple[list[tuple[bool, bool]], list[bool], bool]:
    """Of each pair: are both pictures at all, and is the one after most like its own before (any of that prompt's)?
    And, of them all: do the edited ones still differ from each other? Images are `[n, 3, H, W]` in 0..1.
    """
    contrast, rough = _texture(base)
    known = torch.isfinite(contrast)

    def whole(images: Tensor) -> list[bool]:
        c, r = _texture(images)
        if not known.any():
            return [False] * len(images)
        fine = (c >= contrast[known].min() / MARGIN) & (r >= rough[known].min() / MARGIN)
        found: list[bool] = (fine & (r <= rough[known].max() * MARGIN / 2) & torch.isfinite(c)).tolist()
        return found

    before, now = (adaptive_avg_pool2d(torch.nan_to_num(images).float(), THUMB).flatten(1) for images in (base, after))
    nearest = torch.cdist(now, before).argmin(1).tolist()
    like = [prompts[k] == prompt for k, prompt in zip(nearest, prompts, strict=True)]
    apart = bool(torch.pdist(now).mean() >= ALIKE * torch.pdist(before).mean()) if len(now) > 1 else True
    return list(zip(whole(base), whole(after), strict=True)), like, apart


def _texture(images: Tensor) -> tuple[Tensor, Tensor]:
    """Contrast (standard deviation) and roughness (mean step between neighbours, of the contrast) of each image."""
    x = images.float()
    contrast = x.flatten(1).std(1)
    across, down = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    return contrast, (across.abs().mean((1, 2, 3)) + down.abs().mean((1, 2, 3))) / 2 / contrast.clamp_min(1e-6)


def integrity(rows: Sequence[EverydayPair], apart: bool = True, by: str = "") -> Integrity:
    """The verdict of the panel; `by` says who told what is right. Empty rows: the recipe leaves no panel."""
    if not rows:
        few = f"fewer than {LEAST} everyday prompts speak of nothing that the recipe erases or protects"
        return Integrity(verdict="inconclusive", reason=f"{few}, so nobody can say whether the edit spares the rest")
    errors = [row.error for row in rows if row.error]
    if errors:
        why = f"{len(errors)} of {len(rows)} pictures have an error: {errors[0]}"
        return Integrity(verdict="inconclusive", reason=why)
    known = [row.right for row in rows if row.right is not None]
    changes = [right for right in known if right[0]]
    whole = [row.whole[1] for row in rows if row.whole[0]]
    like = [row.like for row in rows]
    pictures, alike = rate(sum(whole), len(whole)), rate(sum(like), len(like))
    before = rate(len(changes), len(known)) if known else None
    kept = rate(sum(now for _, now in changes), len(changes)) if changes else None
    turned = paired([a for a, _ in known], [b for _, b in known]) if known else None
    p = turned.p if turned and turned.lost > turned.gained else 1.0
    verdict, reason = _decided(before, kept, p, pictures, alike, apart, by)
    return Integrity(
        verdict=verdict, reason=reason, pictures=pictures, base=before, kept=kept, paired=turned, like=alike
    )


def _decided(
    before: Rate | None, kept: Rate | None, p: float, pictures: Rate, alike: Rate, apart: bool, by: str
) -> tuple[Verdict, str]:
    if not pictures.n:
        return "inconclusive", "the base model's own everyday pictures are none"
    if _lost(pictures) > LOST:
        none = f"{pictures.n - pictures.hits} of {pictures.n} are no pictures any more"
        return "fail", f"{none}: not finite, flat, or of a texture that none of the base model's has"
    if not apart:
        return "fail", f"all {pictures.n} pictures are nearly the same, whatever was asked for"
    same = f"{alike.hits} of {alike.n} are still most like the picture that the base model draws"
    if before is not None and kept is not None and kept.n >= ENOUGH:
        told = f"of {kept.n} that the base model got right {kept.hits} are right after it{f' ({by})' if by else ''}"
        if _lost(kept) > LOST and p < 0.05:
            return "fail", f"{told}: more than {LOST:.0%} of what the recipe does not speak of is lost"
        return "pass", f"{told}; {same}"
    why = "no judge knows what they show" if before is None else f"the base model got {before.hits} of {before.n} right"
    if _lost(alike) > LOST:
        return "inconclusive", f"{same} of that prompt, and {why}: what they show now is unknown"
    return "pass", f"{same}, and {why}"


def _lost(kept: Rate) -> float:
    """The lower end of the share that is lost."""
    return 1 - kept.high
