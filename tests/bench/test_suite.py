"""A suite file is read strictly: what is wrong is told at its place, all of it at once, and nothing leaves the root."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracelang.bench.suite import MAX_TRIALS, Suite, read_suite
from tracelang.diagnostics import CompileError

GOOD = """title = "Two"
models = ["micro-sd"]
against = "uce"

[methods]
uce = ["uce"]
esd = ["esd", "esd_wide"]

[parts.spared]
tasks = ["cat.erase"]

[parts.attacked]
tasks = ["cat.erase"]
methods = ["esd"]
seeds = [1, 2]
steps = 4
curve = [20, 10]

[tuning]
tasks = ["cat.erase"]
into = "tuned.erase"

[tuning.trials.esd_tuned]
of = "esd"
settings = ["steer.steps = 100", "steer.steps = 200"]
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.erase").write_text('erase "cat"\npreserve "dog"\n')
    return tmp_path


def suite(text: str) -> Suite:
    Path("s.toml").write_text(text, "utf-8")
    return read_suite(Path("s.toml"))


def wrong(text: str) -> list[str]:
    """Code, place and message of every mistake."""
    with pytest.raises(CompileError) as error:
        suite(text)
    return [f"{one.code} {one.location.partition(':')[2]} {one.message}" for one in error.value.diagnostics]


def test_what_a_suite_says(here: Path) -> None:
    found = suite(GOOD)
    assert found.groups == {"uce": ("uce",), "esd": ("esd", "esd_wide")}
    spared, attacked = found.parts
    assert spared.methods == ("uce", "esd", "esd_wide") and spared.seeds == (0,) and spared.models == ("micro-sd",)
    assert attacked.methods == ("esd",) and attacked.seeds == (1, 2) and attacked.curve == (10, 20)
    assert found.tuning is not None and found.tuning.trials["esd_tuned"][1][1] == "steer.steps = 200"
    assert found.results == here / "results" / "s" and found.page == here / "s.md"


def test_a_part_names_a_variant_alone_or_a_row_whole(here: Path) -> None:
    assert suite(GOOD.replace("esd = [", "esds = [").replace('["esd"]', '["esds"]')).parts[1].methods == (
        "esd",
        "esd_wide",
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('title = "Two"', 'titel = "Two"', "TL141 1:1 no key is called `titel` here"),
        ("seeds = [1, 2]", "seeds = [1, -2]", "TL142 15:1 `seeds` is a list of whole numbers from 0"),
        ("seeds = [1, 2]", "seeds = [true]", "TL142 15:1 `seeds` is a list of whole numbers from 0"),
        ("steps = 4", "steps = 1", "TL142 16:1 `steps` is a whole number from 2 to 1,000"),
        ("steps = 4", "stpes = 4", "TL141 16:1 no key is called `stpes` here"),
        ('methods = ["esd"]', 'methods = ["edd"]', "TL142 14:12 no row is called `edd`"),
        ('against = "uce"', 'against = "ace"', "TL142 3:11 no row is called `ace`"),
        ('uce = ["uce"]', 'uce = ["esd"]', "`esd` stands in two rows"),
        ('["esd", "esd_wide"]', '["esd", "../x"]', "TL142 7:15 `../x` is no name of a method"),
        ('into = "tuned.erase"', 'into = "tuned.txt"', "`into` names the file of what is chosen"),
        ("[methods]", "[methods", "TL142 5:9 this is no TOML"),
        ("steps = 4", 'harmonic = "H_x"', "TL142 16:12 there is no `H_x`"),
    ],
)
def test_a_mistake_is_told_at_its_place(old: str, new: str, told: str) -> None:
    assert old in GOOD
    found = wrong(GOOD.replace(old, new, 1))
    assert any(told in one for one in found), found


def test_every_mistake_is_told_at_once() -> None:
    text = GOOD.replace("steps = 4", "steps = 1").replace('title = "Two"', "title = 2")
    assert len(wrong(text)) == 2


@pytest.mark.parametrize("path", ["../cat.erase", "/etc/hosts.erase", "link.erase"])
def test_no_path_leaves_the_root(here: Path, path: str) -> None:
    outside = here.parent / "cat.erase"
    outside.write_text('erase "cat"')
    (here / "link.erase").symlink_to(outside)
    assert any("leaves the recipe root" in one for one in wrong(GOOD.replace('"cat.erase"', f'"{path}"', 1)))


def test_results_and_page_stay_inside_too() -> None:
    for key in ("results", "page"):
        assert any("leaves the recipe root" in one for one in wrong(f'{key} = "../x"\n{GOOD}'))


def test_more_than_eight_trials_are_refused() -> None:
    def trials(n: int) -> str:
        settings = ", ".join(f'"steer.steps = {i}"' for i in range(1, n + 1))
        return GOOD.replace('settings = ["steer.steps = 100", "steer.steps = 200"]', f"settings = [{settings}]")

    assert suite(trials(MAX_TRIALS)).tuning is not None
    (one,) = wrong(trials(MAX_TRIALS + 1))
    assert "9 trials of `esd_tuned`" in one and "more than 8" in one


def test_a_page_is_a_page() -> None:
    (one,) = wrong(f'page = "Makefile"\n{GOOD}')
    assert "`Makefile` is no page" in one


def test_a_summary_stands_where_its_mark_is(here: Path) -> None:
    (one,) = wrong(f'summary = "no.md"\n{GOOD}')
    assert "no.md" in one
    (here / "page.md").write_text("# Ours\n")
    (one,) = wrong(f'summary = "page.md"\n{GOOD}')
    assert "`page.md` has no line `<!-- table: s -->`" in one
    (here / "page.md").write_text("# Ours\n\n<!-- table: s -->\n")
    assert suite(f'summary = "page.md"\n{GOOD}').summary == here / "page.md"
    (one,) = wrong(f'summary = "../page.md"\n{GOOD}')
    assert "leaves the recipe root" in one


def test_more_cells_than_anybody_measures_are_refused() -> None:
    models = [f"m{i}" for i in range(101)]
    (one,) = wrong(f"seeds = {list(range(1000))}\n" + GOOD.replace('["micro-sd"]', str(models), 1))
    assert "no suite has more than 100,000" in one


def test_a_file_that_is_too_large_is_not_read() -> None:
    assert wrong(GOOD + "#" * (1 << 20))[0].startswith("TL106")


def test_the_suite_of_the_page_is_one(here: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    text = page.partition("## Comparing methods")[2].partition("```toml\n")[2].partition("```")[0]
    (here / "dog.erase").write_text('erase "dog"\npreserve "cat"\n')
    (here / "methods.erase").write_text("define method esd_wide = esd { steer.on = denoiser }\n")
    (here / "README.md").write_text("<!-- table: s -->\n")
    found = suite(text)
    assert found.tuned == ("esd_tuned",) and {part.name for part in found.parts} == {"spared", "curve"}
    assert found.parts[1].curve == (25, 50, 100, 200) and found.parts[0].methods == ("trace", "esd_wide")
