"""The field's harmonic means of what is erased and what is kept.

They are docs/methods.md §5's, "as printed" (`published`), with the sound reading beside (`corrected`): the releases
average the probability of the wanted class where their papers say accuracy, people are counted among the pictures that
show a face, so that an edit which destroys faces looks perfect, and H_a is a difference of two scores that is not zero
for an edit which does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tracelang.evidence.metrics.metric import Figure, Measured, Pair, failed, open_, unless, valued
from tracelang.evidence.pictures import How, Row, roles
from tracelang.evidence.schema import Harmonic, Measure, Rate
from tracelang.evidence.verdicts import rate
from tracelang.plan.types import Assertion, Member
from tracelang.text import joined


def harmonic(one: Assertion, measured: Measured, member: Member) -> Measure:
    """H_o of objects, H_c of everything else; the interval is from the ends of its parts' own, so rather too wide."""
    plan = measured.plan
    kinds = {plan.concept(name).kind for name in member}
    role = roles(plan)
    if role.get(member) != "erased":
        return open_(member, "a harmonic mean weighs what is erased against what is kept; it is not erased")
    kept = [other for other, is_ in role.items() if is_ == "preserved" and other in measured.classes]
    if not kept:
        return open_(member, "nothing that a judge knows is preserved")
    objects = kinds == {"object"}
    sides = [_mean(one, measured, member, kept, objects, side) for side in ("after", "base")]
    after, base = sides
    if isinstance(after, str):
        return open_(member, after)
    value, low, high = after
    found = valued(one, member, value, (low, high), "H_o" if objects else "H_c")
    return found if isinstance(base, str) else unless(one, found, base[0])


def _mean(
    one: Assertion, measured: Measured, member: Member, kept: Sequence[Member], objects: bool, side: str
) -> tuple[float, float, float] | str:
    """The harmonic mean of one model's pictures and its interval, or why there is none."""
    wanted = [
        _share(one, measured, member, "names", side),
        *(_share(one, measured, other, "names", side) for other in kept),
    ]
    if objects:
        wanted.append(_share(one, measured, member, "probes", side))
    bad = next((found for found in wanted if isinstance(found, str)), None)
    if bad is not None:
        return bad
    rates = [found for found in wanted if isinstance(found, Rate)]
    e, others, g = rates[0], rates[1 : 1 + len(kept)], rates[-1]
    # Every kept class weighs the same; each has the same number of pictures, so their pool has the mean's interval.
    s = rate(sum(one.hits for one in others), sum(one.n for one in others))
    if objects:
        return h_o(e.share, s.share, g.share), h_o(e.high, s.low, g.high), h_o(e.low, s.high, g.low)
    return h_c(e.share, s.share), h_c(e.high, s.low), h_c(e.low, s.high)


def _share(one: Assertion, measured: Measured, member: Member, how: How, side: str) -> Rate | str:
    """The rate before the edit or after it, or why there is none."""
    if member not in measured.classes:
        return f"{joined(member)}: {measured.unknown.get(member, 'no judge looked')}"
    pairs = measured.pairs(Row(member, how, one.samples, one.seed))
    if not pairs:
        return f"{joined(member)} has no {how}, which H_o needs"
    if why := failed([pair.error for pair in pairs]):
        return f"{joined(member)}: {why}"
    return rate(sum((pair.base if side == "base" else pair.after).shows for pair in pairs), len(pairs))


def answers(pairs: Sequence[Pair]) -> Answers:
    """The edited model's pictures as docs/methods.md §5's figures want them. No judge tells whether a picture shows a
    face: that it shows some recognisable thing is another matter.
    """
    chances = [pair.after.chance for pair in pairs]
    return Answers(
        [pair.after.shows for pair in pairs],
        [chance for chance in chances if chance is not None] if None not in chances else None,
    )


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


MEASURES: dict[str, Figure] = {"harmonic": harmonic}
