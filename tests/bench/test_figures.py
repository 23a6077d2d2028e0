"""What cells say together: shares of pictures, what is told apart of them, the published means, and who is ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import comb
from pathlib import Path

import pytest
from scipy.stats import fisher_exact

from tracelang.bench import figures, page
from tracelang.bench.figures import holm, paired, unpaired
from tracelang.bench.results import AttackFigure, Found, Outcome, Pictures, Result, Spent
from tracelang.bench.suite import Part, Suite

PART = Part("spared", ("dog.erase",), ("trace", "esd", "esd_wide", "uce"), ("micro-sd",), (0,))
SUITE = Suite(
    Path("s.toml"),
    Path(),
    "A comparison",
    {"trace": ("trace",), "esd": ("esd", "esd_wide"), "uce": ("uce",)},
    (PART,),
    against="trace",
    own=("trace",),
)
SPENT = Spent(frozen=10, trained=20, seconds=1.0, memory=2**20, delta=2**20, device="cpu")


def result(
    key: str,
    method: str,
    shown: str,
    others: str,
    struck: int = 0,
    task: str = "dog.erase",
    seed: int | None = 0,
    more: Sequence[Pictures] = (),
) -> Result:
    rows = [
        Pictures(member=("dog",), how="names", role="erased", base="1" * len(shown), after=shown, things=shown),
        Pictures(member=("key",), how="names", role="other", base="1" * len(others), after=others),
        *more,
    ]
    hits = AttackFigure(member=("dog",), attack="p4d", hits=struck, n=50, held_out=method != "trace", seconds=1.0)
    again = hits.model_copy(update={"attack": "mma"})
    found = Found(pictures=tuple(rows), attacks=(hits, again), verdict="pass")
    outcome = Outcome(found=found, spent=SPENT)
    return Result(
        key=key,
        facts={"tracelang": "0"},
        task=task,
        method=method,
        model="micro-sd",
        seed=seed,
        steps=None,
        outcome=outcome,
    )


def table(*results: Result) -> figures.Table:
    cells: dict[tuple[str, str], list[str]] = {(name, "micro-sd"): [] for name in PART.methods}
    for one in results:
        cells[one.method, "micro-sd"].append(one.key)
    (made,) = figures.tables(SUITE, PART, cells, {one.key: one for one in results})
    return made


def of(made: figures.Table, method: str) -> Mapping[str, figures.Figure]:
    line = made.line(method)
    assert line is not None
    return line.figures


def test_of_what_is_to_stay_only_pictures_count_that_the_base_drew_right() -> None:
    row = Pictures(member=("hat",), how="names", role="preserved", base="1101x1", after="100110")
    found = of(table(result("a", "uce", "0000", "1100", more=[row])), "uce")
    assert (found["kept"].value, found["kept"].n) == (0.5, 4)
    assert found["unnamed others"].value == 0.5 and found["shown"].value == 0


def test_two_things_in_one_picture_are_a_column_of_their_own() -> None:
    row = Pictures(member=("cat", "hat"), how="names", role="other", base="11", after="10")
    found = of(table(result("a", "uce", "0", "11", more=[row])), "uce")
    assert found["pairs"].value == 0.5 and found["unnamed others"].n == 2


def test_the_sign_test_is_mcnemars() -> None:
    ours = {("t", ("a",), "names", i): [i >= 2] for i in range(20)}
    theirs = {("t", ("a",), "names", i): [i >= 9] for i in range(20)}
    difference, p = paired(theirs, ours)
    assert difference == -7 / 20 and p == pytest.approx(2 * 0.5**7)
    assert paired(ours, ours) == (0.0, 1.0)
    both = {("t", ("a",), "names", i): [i not in (2, 15)] for i in range(20)}  # one lost, two kept more
    assert paired(both, ours)[1] == pytest.approx(min(1.0, 2 * sum(comb(4, k) for k in (0, 1, 2)) / 2**4))


def test_pictures_of_several_trainings_count_once() -> None:
    once = {("t", ("a",), "names", i): [False] for i in range(6)}
    twice = {at: [True, True] for at in once}
    assert paired(once, twice) == paired(once, {at: [True] for at in once})


def test_pictures_that_only_one_method_has_compare_with_nothing() -> None:
    assert paired({("t", ("a",), "names", 0): [True]}, {("u", ("a",), "names", 0): [False]}) == (0.0, 1.0)


def test_attacks_are_compared_by_fisher_and_on_the_same_tasks() -> None:
    assert unpaired((5, 50), (30, 50)) == (-0.5, pytest.approx(float(fisher_exact([[5, 45], [30, 20]]).pvalue)))
    ship = result("c", "uce", "0", "1", struck=50, task="ship.erase")
    made = table(result("a", "trace", "0", "1", struck=10), result("b", "uce", "0", "1", struck=10), ship)
    assert of(made, "uce")["attacks"].value > of(made, "trace")["attacks"].value
    assert of(made, "uce")["attacks"].side == "" and of(made, "uce")["attacks"].p == 1


def test_holm_adjusts_in_steps_and_never_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_a_level_is_adjusted_for_the_rows_of_its_table() -> None:
    lost, held = "0" * 6 + "1" * 24, "1" * 30  # p = 2 / 2⁶ = 0.031 alone
    alone = table(result("a", "trace", "0", held), result("b", "uce", "0", lost))
    assert of(alone, "uce")["unnamed others"].side == "behind"
    three = table(
        result("a", "trace", "0", held),
        result("b", "uce", "0", lost),
        result("c", "esd", "0", lost),
        result("d", "esd_wide", "0", lost),
    )
    assert of(three, "uce")["unnamed others"].side == "" and of(three, "uce")["unnamed others"].p == pytest.approx(
        3 / 32
    )


def test_a_closed_form_counts_once_however_many_seeds_ask_for_it() -> None:
    cells = {("uce", "micro-sd"): ["a", "a"]}
    (made,) = figures.tables(SUITE, PART, cells, {"a": result("a", "uce", "0000", "11")})
    assert made.lines[0].of == 1 and made.lines[0].figures["shown"].n == 4


def test_published_means() -> None:
    rows = (
        Pictures(member=("a",), how="names", role="erased", base="1" * 10, after="1" + "0" * 9, chance=0.2),
        Pictures(member=("a",), how="probes", role="erased", base="1" * 10, after="0" * 10, chance=0.1),
        Pictures(member=("b",), how="names", role="preserved", base="1" * 10, after="1" * 8 + "00", chance=0.7),
    )
    found = Found(pictures=rows, verdict="pass")
    by = {column.title: read(found) for column, read in figures.protocol("H_o").items()}
    assert by["H_o"] == pytest.approx(3 / (1 / 0.9 + 1 / 0.8 + 1 / 1.0))
    assert by["H_o, probability"] == pytest.approx(3 / (1 / 0.8 + 1 / 0.7 + 1 / 0.9))
    by = {column.title: read(found) for column, read in figures.protocol("H_c").items()}
    assert by["H_c"] == pytest.approx(2 / (1 / 0.9 + 1 / 0.8))
    gone = rows[0].model_copy(update={"clip": (30.0, 20.0)})
    stays = rows[2].model_copy(update={"clip": (29.0, 28.5)})
    (h_a,) = figures.protocol("H_a").values()
    assert h_a(Found(pictures=(gone, stays), verdict="pass")) == pytest.approx(8.5)
    assert h_a(found) is None
    whole = rows[0].model_copy(update={"after": "1" * 10})
    (by_accuracy, _) = figures.protocol("H_c").values()
    assert by_accuracy(Found(pictures=(whole, rows[2]), verdict="fail")) == 0


def told(*results: Result) -> str:
    made = table(*results)
    return "\n".join(page._part(SUITE, made))


def test_every_row_where_a_rival_is_ahead_is_named() -> None:
    text = told(
        result("a", "trace", "0" * 20, "1" * 10 + "0" * 20, struck=30),
        result("b", "uce", "0" * 20, "1" * 30, struck=2),
        result("c", "esd", "0" * 20, "0" * 30, struck=30),
    )
    ahead = text.partition("Rows where a rival is ahead")[2].partition("Of unnamed")[0]
    assert ahead.count("- **") == 4 and "**uce** in *unnamed others*: 100 where `trace` has 33.3" in ahead
    for column in ("attacks", "attack: p4d", "attack: mma"):
        assert f"**uce** in *{column}*" in ahead
    assert "esd" not in ahead and "†" in text


def test_where_nobody_is_ahead_the_page_says_so() -> None:
    text = told(result("a", "trace", "0" * 20, "1" * 30), result("b", "uce", "0" * 20, "0" * 30))
    assert "beyond chance, adjusted for the rows of the table:\n\nNone." in text and "▼" in text and "▲" not in text


def test_the_claim_is_against_the_better_variant_that_erases() -> None:
    lost = "0" * 20 + "1" * 20
    text = told(
        result("a", "trace", "0" * 50, "1" * 40, struck=5),
        result("b", "esd", "0" * 50, lost, struck=25),
        result("c", "esd_wide", "1" * 10 + "0" * 40, "1" * 40, struck=20),
        result("d", "uce", "1" * 30 + "0" * 20, "1" * 40, struck=50),
    )
    claim = text.partition("Of unnamed others")[2]
    assert "it keeps more than esd (50, p < 0.001)" in claim, "the wide variant keeps all and shows 20 %"
    assert "uce erase less than that in every variant" in claim
    assert "the best rival, esd_wide, 40 %: 0.25 times that" in claim


def test_a_part_that_is_not_whole_says_how_much_of_it_there_is() -> None:
    cells = {("trace", "micro-sd"): ["a", "b"], ("uce", "micro-sd"): ["c"]}
    refused = replace_outcome(result("c", "uce", "0", "1"), Outcome(refusal="uce: no such layer"))
    (made,) = figures.tables(SUITE, PART, cells, {"a": result("a", "trace", "0", "1"), "c": refused})
    text = "\n".join(page._part(SUITE, made))
    assert "| **trace** | 1/2 |" in text and "- uce: uce: no such layer" in text
    assert page._part(SUITE, replace(made, columns=()))[2].startswith("Nothing")


def replace_outcome(one: Result, outcome: Outcome) -> Result:
    return one.model_copy(update={"outcome": outcome})


def test_an_interval_is_of_pictures_and_more_trainings_make_no_new_ones() -> None:
    one = of(table(result("a", "esd", "0" * 60, "1" * 60)), "esd")["shown"]
    assert one.high == pytest.approx(0.0602, abs=1e-3)
    two = of(
        table(result("a", "esd", "0" * 30 + "1" * 30, "1"), result("b", "esd", "0" * 30 + "1" * 30, "1", seed=1)), "esd"
    )
    alone = of(table(result("a", "esd", "0" * 30 + "1" * 30, "1")), "esd")["shown"]
    assert two["shown"].n == 120 and two["shown"].low == pytest.approx(alone.low or 0, abs=0.02)
