"""Figures of merit against the field's own tables, exact tests, and distances with a known answer."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchmetrics.image.kid import KernelInceptionDistance

from tracelang.evidence.judges.kit import Extractor
from tracelang.evidence.metrics.distances import FID_LEAST, KID_LEAST, TooFew, fid, kid_paired
from tracelang.evidence.metrics.harmonic import Answers, h_a, h_c, h_o, identities, objects, styles
from tracelang.evidence.verdicts import distinguishable, paired, rate

# docs/methods.md §5.1, MACE Table 1 in percent: Acc_e, Acc_s, Acc_g, H_o.
OBJECTS = """
FMN   airplane 96.76 98.32 94.15  6.13   automobile 95.08 96.86 79.45 11.44
FMN   bird     99.46 98.13 96.75  1.38   cat        94.89 97.97 95.71  6.83
AC    bird     99.55 98.53 94.57  1.24   cat        98.94 98.63 99.10  1.45
UCE   airplane 40.32 98.79 49.83 64.09   automobile  4.73 99.02 37.25 82.12
UCE   bird     10.71 98.35 15.97 90.18   cat         2.35 98.02  2.58 97.70
SLD-M airplane 91.37 98.86 89.26 13.69   automobile 84.89 98.86 66.15 28.34
ESD-x airplane 33.11 97.15 32.28 74.98   automobile 59.68 98.39 58.83 50.62
ESD-u airplane  7.38 85.48  5.92 90.57   automobile 30.29 91.02 32.12 74.88
MACE  airplane  9.06 95.39 10.03 92.03   automobile  6.97 95.18 14.22 91.15
MACE  bird      9.88 97.45 15.48 90.39   cat         2.22 98.85  3.91 97.56
"""
# docs/methods.md §5.2, ANT Table 2: Acc_e, Acc_s, H_c.
PEOPLE = {
    "FMN": (0.9223, 0.9076, 0.1431),
    "ESD-x": (0.2784, 0.2793, 0.4027),
    "UCE": (0.0012, 0.3790, 0.5495),
    "RECE": (0.0243, 0.2371, 0.3816),
    "SPEED": (0.0587, 0.8554, 0.8963),
    "MACE": (0.0430, 0.8456, 0.8979),
    "ANT": (0.0430, 0.8807, 0.9173),
}
# docs/methods.md §5.3: CLIP_e, CLIP_s, H_a.
STYLES = {
    "FMN": (29.63, 28.90, -0.73),
    "AC": (29.26, 28.54, -0.72),
    "SLD-M": (28.49, 27.89, -0.60),
    "ESD-x": (20.89, 21.21, 0.32),
    "ESD-u": (19.66, 19.55, -0.11),
    "UCE": (21.31, 25.70, 4.39),
    "MACE": (22.59, 28.58, 5.99),
    "ANT": (20.6, 26.78, 6.18),
}


def answers(hits: int, n: int, chance: float | None = None, faces: int | None = None) -> Answers:
    """`hits` right answers of `n`, first; a face in the first `faces` pictures."""
    return Answers(
        [i < hits for i in range(n)],
        None if chance is None else [chance] * n,
        None if faces is None else [i < faces for i in range(n)],
    )


def test_the_published_object_rows_come_out_to_the_printed_digit() -> None:
    assert round(100 * h_o(0.0906, 0.9539, 0.1003), 2) == 92.04
    for line in OBJECTS.split("\n")[1:-1]:
        _, *cells = line.split()
        for row in (cells[:5], cells[5:]):
            e, s, g, printed = map(float, row[1:])
            assert abs(100 * h_o(e / 100, s / 100, g / 100) - printed) < 0.011, row
    assert round(100 * h_o(0.9624, 0.9855, 0.9335), 2) == 7.03  # AC, airplane, where the paper prints 6.11


def test_the_published_people_and_style_rows_come_out_to_the_printed_digit() -> None:
    for e, s, printed in PEOPLE.values():
        assert abs(h_c(e, s) - printed) < 1.1e-4
    for e, s, printed in STYLES.values():
        assert round(h_a(e, s), 2) == printed
    assert round(h_c(0.0406, 0.3909), 4) == 0.5555  # ESD-u, where the paper prints .4598


def test_a_label_table_gives_its_harmonic_means_to_the_digit() -> None:
    # 1/(1 − 1/10) + 1/(4/5) + 1/(1 − 1/5) = 10/9 + 5/4 + 5/4 = 65/18
    kept = [answers(9, 10, 0.75), answers(7, 10, 0.25)]
    found = objects(("cat",), answers(1, 10, 0.2), kept, answers(6, 30, 0.5))
    assert found.corrected == pytest.approx(54 / 65, abs=1e-15)
    # of the mean probabilities: 1/(4/5) + 1/(1/2) + 1/(1/2) = 21/4
    assert found.published == pytest.approx(12 / 21, abs=1e-15)
    assert found.parts["Acc_s"] == 0.8 and found.parts["mean probability s"] == 0.5

    # 20 pictures of the erased person, 10 with a face, 2 of them his; 40 of kept ones, 30 with a face, 24 right
    someone = identities(("ann",), answers(2, 20, faces=10), [answers(12, 20, faces=15), answers(12, 20, faces=15)])
    assert someone.published == pytest.approx(2 / (1 / 0.8 + 1 / 0.8), abs=1e-15)
    assert someone.corrected == pytest.approx(2 / (1 / 0.9 + 1 / 0.6), abs=1e-15)

    drawn = styles(("ink",), [20.0, 22.0], [28.0, 30.0], [29.0, 29.0], [28.0, 29.0])
    assert drawn.published == 8.0 and drawn.corrected == 8.5


def test_an_untouched_model_scores_nothing_where_the_formula_divides_by_nothing() -> None:
    kept = [answers(10, 10, 1.0, faces=10)]
    same = answers(10, 10, 1.0, faces=10)
    assert objects(("cat",), same, kept, same).published is None
    assert objects(("cat",), same, kept, same).corrected == 0.0 == h_o(1, 1, 1)
    assert identities(("ann",), same, kept).published is None and h_c(1, 1) == 0.0
    none = styles(("ink",), [29.63], [28.90], [29.63], [28.90])
    assert none.published == pytest.approx(-0.73) and none.corrected == 0.0


def test_destroying_every_face_looks_perfect_as_published_and_is_nothing_in_truth() -> None:
    erased, kept = answers(0, 20, faces=1), [answers(1, 20, faces=1)]
    found = identities(("ann",), erased, kept)
    assert found.published == 1.0 and found.parts["faces s"] == 0.05
    assert found.corrected is not None and found.corrected < 0.1
    gone = identities(("ann",), answers(0, 20, faces=0), [answers(0, 20, faces=0)])
    assert gone.published is None and gone.corrected == 0.0 and "no picture shows a face" in gone.note


def test_what_was_not_measured_gives_no_published_figure() -> None:
    assert objects(("cat",), answers(1, 10), [answers(9, 10)], answers(2, 10)).published is None
    assert identities(("ann",), answers(1, 10), [answers(9, 10)]).published is None
    assert styles(("ink",), [20.0], [28.0]).corrected is None
    with pytest.raises(ValueError, match="3 figures of 2 pictures"):
        Answers([True, False], [0.1, 0.2, 0.3])


def test_the_exact_tests_agree_with_hand_counts() -> None:
    found = paired([True] * 10 + [False] * 10, [True] * 4 + [False] * 6 + [False] * 9 + [True])
    assert (found.lost, found.gained) == (6, 1)
    assert found.p == pytest.approx(2 * (1 + 7) / 2**7)  # of 7 changes, 6 or more one way, two-sided
    assert paired([True, False], [True, False]).p == 1.0
    with pytest.raises(ValueError):
        paired([True], [])
    assert distinguishable(rate(0, 20), rate(8, 20)) and not distinguishable(rate(3, 20), rate(8, 20))
    # notes §1.3: 76.1 % and 79.6 % of 142 cannot be told apart
    assert not distinguishable(rate(108, 142), rate(113, 142)) and not distinguishable(rate(0, 0), rate(20, 20))


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3, "mean colours", "0" * 64)


def test_fid_is_the_distance_of_the_gaussians(extractor: Extractor) -> None:
    draw = torch.Generator().manual_seed(0)
    base = torch.rand(FID_LEAST, 3, 2, 2, generator=draw)
    assert fid(base, base, extractor) == pytest.approx(0, abs=1e-6)
    assert fid(base, base + 0.3, extractor) == pytest.approx(3 * 0.3**2, rel=1e-4)  # means alone differ


def kid(base: torch.Tensor, after: torch.Tensor, extractor: Extractor) -> float:
    """The library's kernel distance, of two independent sets."""
    metric = KernelInceptionDistance(feature=extractor, subsets=1, subset_size=len(base), normalize=True)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        metric.update(base, real=True)
        metric.update(after, real=False)
        return float(metric.compute()[0])


def test_the_kernel_distance_of_independent_sets_is_the_library_s(extractor: Extractor) -> None:
    draw = torch.Generator().manual_seed(0)
    base, after = (torch.rand(KID_LEAST, 3, 2, 2, generator=draw) for _ in range(2))
    x, y = extractor(base).double(), extractor(after * 0.5).double()

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a @ b.T / 3 + 1) ** 3

    n = KID_LEAST
    within = sum((kernel(a, a).sum() - kernel(a, a).trace()) / (n * (n - 1)) for a in (x, y))
    assert kid(base, after * 0.5, extractor) == pytest.approx(float(within - 2 * kernel(x, y).mean()), abs=1e-5)
    far, near = kid(base, after * 0.5, extractor), kid(base, after, extractor)
    assert far == kid(base, after * 0.5, extractor) and far > 10 * abs(near)


def test_a_distance_of_too_few_pictures_or_of_broken_ones_is_refused(extractor: Extractor) -> None:
    few = torch.rand(KID_LEAST - 1, 3, 2, 2)
    with pytest.raises(TooFew, match="KID wants 100 pictures a side, here are 99"):
        kid_paired(few, torch.rand(99, 3, 2, 2), extractor)
    with pytest.raises(TooFew, match="FID wants 10000"):
        fid(torch.rand(200, 3, 2, 2), torch.rand(200, 3, 2, 2), extractor)
    broken = torch.rand(KID_LEAST, 3, 2, 2)
    broken[7] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        kid_paired(broken, torch.rand(KID_LEAST, 3, 2, 2), extractor)


FEATURES = Extractor(nn.Identity(), 4, "features as they are", "0" * 64)
PROMPTS, SEEDS = 20, 6


def drawn(draw: torch.Generator, alike: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of 120 pictures of 20 prompts before and after an edit that changes no distribution: of one prompt and
    one seed they are `alike`, 1 being the same.
    """
    prompts = torch.randn(PROMPTS, 1, 4, generator=draw).expand(-1, SEEDS, -1)
    one, other = (torch.randn(PROMPTS, SEEDS, 4, generator=draw) for _ in range(2))
    after = alike * one + (1 - alike**2) ** 0.5 * other
    return (prompts + one).flatten(0, 1), (prompts + after).flatten(0, 1)


@pytest.mark.parametrize("alike", [0.0, 0.7, 1.0])
def test_kid_of_shared_seeds_is_unbiased_around_nothing(alike: float) -> None:
    """And the control: the kernel distance of independent sets is far below 0 there, which no distance can be."""
    draw = torch.Generator().manual_seed(0)
    rounds = [drawn(draw, alike) for _ in range(60)]
    right, wrong = (torch.tensor([figure(*sides, FEATURES) for sides in rounds]) for figure in (kid_paired, kid))
    error = right.std() / len(rounds) ** 0.5
    assert abs(right.mean()) <= 3 * error + 1e-9
    assert wrong.mean() < -3 * error - 1e-3 or not alike
    if alike == 1:
        assert right.abs().max() < 1e-9


def test_kid_of_shared_seeds_sees_an_edit_that_changes_pictures() -> None:
    before, after = drawn(torch.Generator().manual_seed(0), 0.9)
    far = [kid_paired(before, after + shift, FEATURES) for shift in (0.0, 0.5, 1.0)]
    assert abs(far[0]) < far[1] / 3 < far[2] / 6
    with pytest.raises(TooFew, match="KID wants 100"):
        kid_paired(before[:99], after[:99], FEATURES)
    with pytest.raises(ValueError, match="finite"):
        kid_paired(before * float("nan"), after, FEATURES)


def test_fid_of_shared_seeds_is_nearer_to_the_truth_and_never_below_nothing() -> None:
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.randn(FID_LEAST, 4, generator=draw) for _ in range(2))
    alike = 0.9 * one + (1 - 0.81) ** 0.5 * other
    assert -1e-6 <= fid(one, one, FEATURES) < fid(one, alike, FEATURES) < fid(one, other, FEATURES)
    assert fid(one, alike + 0.3, FEATURES) == pytest.approx(4 * 0.3**2, rel=0.1)
