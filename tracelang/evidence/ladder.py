"""The ladder of adversaries: of each, from who only types to who supplies the model, what a certificate covers and what
it does not. Nothing is claimed for an adversary that the weights alone do not show.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracelang.evidence.report.wording import KINDS
from tracelang.evidence.schema import Certificate, Reach, Rung
from tracelang.plan.family import Site
from tracelang.text import joined

NOTHING = "nothing"


def ladder(found: Certificate, sites: Sequence[Site], turned: int = 0) -> tuple[Rung, ...]:
    """A rung for each adversary, the weakest first. `turned`: so many matrices were turned as a whole."""
    gone = [reach for reach in found.reaches if reach.undone is not None]
    return (
        _words(found, gone),
        _embeddings(found, gone),
        _picture(found),
        _noise(found, gone),
        Rung(
            adversary="weights",
            may="holds the weights and may train them",
            covered=NOTHING,
            not_covered="a few steps of training on pictures of a concept; and who has the base model has it all"
            + _turned(turned),
        ),
        _supplier(found, sites),
    )


def _turned(count: int) -> str:
    """What is added where an orthogonal map stands before matrices: its condition is 1."""
    if not count:
        return ""
    return (
        f"; {count} matrices were turned as a whole: turning each back undoes it entirely and costs nothing, and a "
        "layer by itself is undone exactly by a state of its own"
    )


def openness(reach: Reach) -> tuple[int, float, float]:
    """How easily an edit is undone: the larger the shares within reach, and the cheaper they are."""
    prices = [price for _, price in reach.cheaper]
    return len(prices), -prices[min(1, len(prices) - 1)] if prices else 0.0, reach.undone or 0.0


def _words(found: Certificate, gone: Sequence[Reach]) -> Rung:
    told = [reach for reach in gone if reach.residual is not None and reach.joint is not None]
    covered = NOTHING
    if told:
        worst = max(told, key=lambda reach: reach.residual or 0.0)
        far = worst.residual or 0.0
        covered = (
            "the names in their templates, word for word: of what was to go from the keys and values at most "
            f"{_percent(far)} is left ({joined(worst.member)}, its worst layer; a {KINDS['length']})"
        )
        if far > 1:
            covered = (
                "the names in their templates, word for word, in so far as the keys and values are not what they were: "
                f"from those of the anchor they are {far:.1f} times as far as before ({joined(worst.member)}, its "
                "worst layer)"
            )
    lost = "other words, misspellings and languages: they have other states"
    if not told:
        lost = f"any words: no matrix that reads nothing but text was changed for them; {lost}"
    return Rung(adversary="words", may="types what they like", covered=covered, not_covered=lost + _beside(found))


def _embeddings(found: Certificate, gone: Sequence[Reach]) -> Rung:
    told = [reach for reach in gone if reach.price is not None and reach.joint is not None]
    covered, lost = NOTHING, "any text states"
    if told:
        worst = max(told, key=openness)
        assert worst.price is not None and worst.undone is not None and worst.joint is not None
        held = min(told, key=lambda reach: reach.joint or 0.0)
        if round(held.joint or 0.0, 3):
            covered = (
                f"{_percent(held.joint)} at least of what the edit does to a concept's keys and values (a "
                f"{KINDS['length']}): no one state common to all layers takes it back ({joined(held.member)}, "
                "the least)"
            )
        prices = [f"{price:.3g} times as long take back {share:.0%}" for share, price in worst.cheaper]
        prices.append(f"{worst.price:.3g} times as long take back {worst.undone:.0%}")
        lost = (
            f"a new embedding: states {'; '.join(prices)} of what the edit does to {joined(worst.member)}, the most "
            f"open of those erased (each a {KINDS['square']})"
        )
    return Rung(
        adversary="embeddings",
        may="hands over text states in place of words",
        covered=covered,
        not_covered=lost + _beside(found),
    )


def _picture(found: Certificate) -> Rung:
    lost = "image-to-image, inpainting and image prompts: what is in a picture already is carried on"
    if found.mixed.changed:
        lost += f", though {found.mixed.changed} of {found.mixed.of} matrices that read the picture were changed"
    return Rung(adversary="picture context", may="gives a picture to go on from", covered=NOTHING, not_covered=lost)


def _noise(found: Certificate, gone: Sequence[Reach]) -> Rung:
    covered = NOTHING
    if any(reach.joint is not None for reach in gone):
        covered = "the figures of words and embeddings, at every seed and step: keys and values depend on neither"
    return Rung(
        adversary="noise",
        may="chooses the noise, the seed and the steps",
        covered=covered,
        not_covered="noise that holds a picture, and what is drawn without a word: the empty prompt is kept on purpose"
        + _beside(found),
    )


def _supplier(found: Certificate, sites: Sequence[Site]) -> Rung:
    told = ", ".join(f"{name} {digest[:12]}…" for name, digest in found.encoders.items()) or "the base's"
    lost = "adapters, other parts and programs around the model, and any other text encoder"
    return Rung(
        adversary="supplier",
        may="supplies the model or its parts",
        covered=f"effective only with this text encoder: {told}",
        not_covered=lost if found.same_encoder else f"{lost}; the edited model's is not the base's",
    )


def _beside(found: Certificate) -> str:
    """What is added where matrices of mixed input were edited as well."""
    if not found.mixed.changed:
        return ""
    return (
        f"; and what {found.mixed.changed} edited matrices do that mix text with the picture or the time "
        f"({_percent(found.mixed.share)} of the change, a {KINDS['square']}): no figure here reads them"
    )


def _percent(share: float | None) -> str:
    if share is None:
        return "an unknown share"
    return "0 %" if share == 0 else "under 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
