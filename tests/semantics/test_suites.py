"""Suites of the field from a copy of the user's: which files are read, as what rows, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracelang.diagnostics.codes import CODES
from tracelang.plan.breaking import Version, breaking
from tracelang.plan.changes import changes
from tracelang.plan.compile import compile, compile_with_findings, located
from tracelang.plan.explain import explain
from tracelang.plan.places import Places
from tracelang.plan.types import Plan, SuiteRow
from tracelang.semantics.suites.hub import LANGUAGES
from tracelang.semantics.suites.read import MAX_ROWS
from tracelang.semantics.tables import METRICS, SUITES

OLD = (
    "prompt,categories,hard,sd_seed,sd_guidance_scale,sd_model\n"
    '"a hill,\nat ""night""","calm, wild",0,7,7.5,m\nplain,wild,0,8,9,m\nother,calm,1,9,7,m\n'
)
OTHERWISE = f"Original,{','.join(LANGUAGES)},Index\na fox,zorro,renard,Fuchs,volpe,raposa,3\n"
NEW = "case_number,prompt,categories,evaluation_seed,evaluation_guidance\n0,plain,wild,8,9\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def text_of(assertion: str) -> str:
    return (
        'concept wild { names "wild" } concept fox { names "Red Fox", "fox" } concept hen { names "hen" }\n'
        f"erase wild, fox preserve hen expect {{ {assertion} }}"
    )


def asked(root: Path, assertion: str) -> tuple[SuiteRow, ...]:
    (one,) = compile(text_of(assertion), root=root).expect
    assert one.suite is not None
    return one.suite.rows


def refused(root: Path, assertion: str) -> tuple[str, str, str]:
    plan, found = compile_with_findings(text_of(assertion), root=root)
    assert plan is None and len(found) == 1 and found[0].code in CODES and found[0].help
    return found[0].code, found[0].message, found[0].help


@pytest.mark.parametrize("text", [OLD, NEW], ids=["older names", "newer names"])
def test_i2p(here: Path, text: str) -> None:
    put(here, {"i2p.csv": text})
    rows = asked(here, 'probed(wild) on suite "i2p.csv" as i2p <= 50%')
    assert rows[-1] == SuiteRow(concept="wild", prompt="plain", seed=8, guidance=9.0)
    if text is OLD:
        assert [row.prompt for row in rows] == ['a hill, at "night"', "plain"]
        assert (rows[0].seed, rows[0].guidance) == (7, 7.5)


def test_what_i2p_calls_sexual_is_asked_of_nudity(here: Path) -> None:
    put(here, {"i2p.csv": 'prompt,categories\na,sexual\nb,"violence, sexual"\nc,violence\n'})
    plan = compile(
        'concept n kind explicit { names "nudity" } erase n expect { probed(n) on suite "i2p.csv" as i2p <= 50% }'
    )
    (one,) = plan.expect
    assert one.suite is not None and [row.prompt for row in one.suite.rows] == ["a", "b"]


def test_unlearn_diff_atk(here: Path) -> None:
    head = "case_number,prompt,evaluation_seed,evaluation_guidance\n"
    put(
        here,
        {
            "uda/prompts/red_fox.csv": f"{head}0,a fox,5,7.5\n1,a fox,6,7.5\n",
            "uda/prompts/hen.csv": f"{head}0,a hen,1,7.5\n",
        },
    )
    rows = asked(here, 'shown(fox) on suite "uda" as unlearn_diff_atk <= 50%')
    assert [(row.prompt, row.seed, row.guidance) for row in rows] == [("a fox", 5, 7.5), ("a fox", 6, 7.5)]
    (row,) = asked(here, 'kept(hen) on suite "uda/prompts/hen.csv" as unlearn_diff_atk >= 50%')
    assert row.concept == "hen"


def test_hub_has_lines_and_no_quotes(here: Path) -> None:
    put(
        here,
        {
            "HUB/prompts/target_image/Red_Fox.csv": 'a "fox", in snow\n\na fox\n',
            "HUB/prompts/target_image/hen.csv": "a hen\na photo of hen\n",
            "HUB/prompts/attack_robustness/Red_Fox.csv": "xq vulpes\n",
            "HUB/prompts/multilingual_robustness/Red_Fox.csv": OTHERWISE,
            "HUB/prompts/pinpoint_ness/hare.csv": "noun\nhen\nred fox\n" + 98 * "x\n" + "hen",
            "HUB/prompts/general/coco.csv": "image_id,text\n",
        },
    )
    named = asked(here, 'shown(fox) on suite "HUB" as hub <= 50%')
    assert [row.prompt for row in named] == ['a "fox", in snow', "a fox"] and named[0].seed is None
    suggested = [row.prompt for row in asked(here, 'probed(fox) on suite "HUB" as hub <= 50%')]
    assert suggested == ["xq vulpes", "zorro", "renard", "Fuchs", "volpe", "raposa"]
    kept = asked(here, 'kept(hen) on suite "HUB" as hub >= 50%')
    assert [row.prompt for row in kept] == ["a photo of hen", "a hen"]
    sources = compile(text_of('shown(fox) on suite "HUB" as hub <= 50%'), root=here).sources
    assert [one.path for one in sources if one.role == "suite"] == [
        "HUB/prompts/attack_robustness/Red_Fox.csv",
        "HUB/prompts/multilingual_robustness/Red_Fox.csv",
        "HUB/prompts/pinpoint_ness/hare.csv",
        "HUB/prompts/target_image/Red_Fox.csv",
        "HUB/prompts/target_image/hen.csv",
    ]


def test_emma_from_the_name_to_descriptions(here: Path) -> None:
    put(
        here,
        {
            "e/prompts/object/1_name.json": '[{"red fox": ["a fox"]}, {"hen": ["a hen"]}]',
            "e/prompts/object/5_long.json": '[{"red fox": ["a sly animal"]}]',
            "e/prompts/object/6_random.json": '[{"red fox": ["a chair"]}]',
        },
    )
    assert [row.prompt for row in asked(here, 'shown(fox) on suite "e" as emma <= 50%')] == ["a fox"]
    assert [row.prompt for row in asked(here, 'probed(fox) on suite "e" as emma <= 50%')] == ["a sly animal"]


def test_six_cd(here: Path) -> None:
    put(
        here,
        {
            "SIX-CD/Object.csv": "id,concept,template1,template2\n0,fox,a photo of {},one fox\n1,hen,a {},b\n",
            "SIX-CD/Harm.csv": "case_number,evaluation_seed,prompt\n0,3,bad\n",
        },
    )
    rows = asked(here, 'shown(fox) on suite "SIX-CD" as six_cd <= 50%')
    assert [row.prompt for row in rows] == ["a photo of fox", "one fox"]


def test_ring_a_bell_asks_of_whatever_the_recipe_says(here: Path) -> None:
    put(here, {"pairs.csv": "sensitive prompt,normal prompt\nbad,good\n"})
    assert [row.prompt for row in asked(here, 'probed(fox) on suite "pairs.csv" as ring_a_bell <= 50%')] == ["bad"]


@pytest.mark.parametrize(
    ("assertion", "code", "words"),
    [
        ('attack(fox, p4d) on suite "i2p.csv" as i2p <= 5%', "TL305", "cannot be asked of a suite's prompts"),
        ('residual(fox) on suite "i2p.csv" as i2p <= 5%', "TL305", "cannot be asked of a suite's prompts"),
        ('shown(fox) on suite "i2p.csv" as i3p <= 5%', "TL207", "no suite is called `i3p`"),
        ('shown(fox) on suite "i2q.csv" as i2p <= 5%', "TL216", "there is no suite"),
        ('shown(fox) on suite "../i2p.csv" as i2p <= 5%', "TL217", "leaves the recipe root"),
        ('shown(wild) on suite "i2p.csv" as i2p <= 5%', "TL305", "has no prompts that name wild"),
        ('probed(fox) on suite "i2p.csv" as i2p <= 5%', "TL305", "has no prompts of fox"),
        ('kept(hen & "b") on suite "i2p.csv" as i2p >= 5%', "TL305", "one concept at a time"),
        ('shown(fox) on suite "lfs.csv" as hub <= 5%', "TL229", "Git-LFS pointer"),
        ('shown(fox) on suite "bad.json" as emma <= 5%', "TL229", "no JSON"),
        ('shown(fox) on suite "list.json" as emma <= 5%', "TL229", "no list of prompts for 'fox'"),
        ('shown(fox) on suite "torn.csv" as i2p <= 5%', "TL229", "no CSV at line"),
        ('shown(fox) on suite "i2p.csv" as ring_a_bell <= 5%', "TL229", "no column `sensitive prompt`"),
        ('shown(fox) on suite "seed.csv" as i2p <= 5%', "TL229", "has the seed -1"),
        ('shown(fox) on suite "empty" as hub <= 5%', "TL229", "has none of its files"),
        ('shown(fox) on suite "blank.csv" as hub <= 5%', "TL229", "has no prompts"),
    ],
)
def test_what_is_refused(here: Path, assertion: str, code: str, words: str) -> None:
    put(
        here,
        {
            "i2p.csv": OLD,
            "lfs.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "bad.json": "[",
            "list.json": '[{"fox": "a fox"}]',
            "torn.csv": 'prompt,categories\n"a,b\n',
            "seed.csv": "prompt,categories,sd_seed\na,fox,-1\n",
            "empty/notes.txt": "x",
            "blank.csv": "\n\n",
        },
    )
    found = refused(here, assertion)
    assert found[0] == code and words in found[1]


def test_a_suite_stays_inside_its_root_and_its_size(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "Red_Fox.csv"
    outside.write_text("a fox\n")
    folder = here / "HUB" / "prompts" / "target_image"
    folder.mkdir(parents=True)
    (folder / "Red_Fox.csv").symlink_to(outside)
    assert refused(here, 'shown(fox) on suite "HUB" as hub <= 5%')[0] == "TL217"
    put(here, {"fox.csv": "a\n" * (MAX_ROWS + 1)})
    assert refused(here, 'shown(fox) on suite "fox.csv" as hub <= 5%')[0] == "TL229"


def test_what_a_prompt_may_not_do_to_a_screen(here: Path) -> None:
    put(here, {"fox.csv": "a \x1b[31mfox\u202e\n"})
    assert [row.prompt for row in asked(here, 'shown(fox) on suite "fox.csv" as hub <= 5%')] == ["a  [31mfox"]


def test_explaining_and_the_digest(here: Path) -> None:
    put(here, {"fox.csv": "a fox\nthe fox\n"})
    text = text_of('shown(fox) on suite "fox.csv" as hub after round int8 <= 50%')
    plan = compile(text, root=here)
    assert 'shown(fox) on suite "fox.csv" as hub after round int8 <= 50%' in explain(plan)
    assert compile(explain(plan), root=here).digest == plan.digest
    assert Plan.model_validate_json(plan.model_dump_json(), strict=True) == plan
    put(here, {"fox.csv": "a fox\n"})
    assert compile(text, root=here).digest != plan.digest


def test_every_suite_has_its_reader() -> None:
    package = Path(__file__).parents[2] / "tracelang" / "semantics" / "suites"
    assert {path.stem for path in package.glob("*.py")} - {"__init__", "row", "table", "read"} == set(SUITES)
    assert [name for name, one in METRICS.items() if one.suite][:2] == ["shown", "probed"]


def versions(root: Path, before: str, after: str) -> tuple[Version, Version]:
    found = []
    for text in (before, after):
        put(root, {"fox.csv": text})
        source = text_of('shown(fox) on suite "fox.csv" as hub <= 50%')
        resolution = located(source, root=root)
        assert resolution is not None
        found.append(Version(compile(source, root=root), Places(resolution)))
    return found[0], found[1]


def test_fewer_prompts_of_a_suite_promise_less(here: Path) -> None:
    told = [(one.code, one.message) for one in breaking(*versions(here, "a fox\nthe fox\n", "a fox\n"))]
    assert told == [("TL415", '`shown(fox) on suite "fox.csv" as hub <= 50%` is no longer expected')]
    assert not breaking(*versions(here, "a fox\n", "the fox\na fox\n"))


def test_other_prompts_of_a_suite_are_a_change(here: Path) -> None:
    before, after = versions(here, "a fox\nthe fox\n", "a fox\n")
    (one,) = changes(before.plan, after.plan)
    assert str(one).startswith('~ expect shown(fox) on suite "fox.csv" as hub: prompts 2 (') and "-> 1 (" in str(one)
    assert not changes(before.plan, before.plan)


def test_a_bound_is_judged_by_the_prompts_that_there_are(here: Path) -> None:
    put(here, {"fox.csv": "a fox\n"})
    _, found = compile_with_findings(text_of('shown(fox) on suite "fox.csv" as hub <= 50%'), root=here)
    assert [one.code for one in found] == ["TL405"] and "1 samples" in found[0].message


def test_what_no_suite_has_is_one_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(here, {"fox.json": '[{"fox": ["half of a pair: \\ud800"]}]'})
    assert "surrogate" in refused(here, 'shown(fox) on suite "fox.json" as emma <= 5%')[1]
    deep = here / "deep"
    for _ in range(300):
        deep /= "d"
    deep.mkdir(parents=True)
    assert refused(here, 'shown(fox) on suite "deep" as hub <= 5%')[0] == "TL229"
    folder = here / "HUB" / "prompts" / "target_image"
    folder.mkdir(parents=True)
    (folder / "\udcff.csv").write_text("a fox\n")
    assert "not UTF-8" in refused(here, 'shown(fox) on suite "HUB" as hub <= 5%')[1]
    monkeypatch.setattr("tracelang.semantics.suites.read.MAX_BYTES", 10)
    put(here, {"fox.csv": "a fox that is long\n"})
    assert "holds more than" in refused(here, 'shown(fox) on suite "fox.csv" as hub <= 5%')[1]


def test_a_suite_is_read_no_further_than_its_bound(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracelang.semantics.suites import hub

    made, rows = [], hub.rows
    monkeypatch.setattr(hub, "rows", lambda path, text: (made.append(row) or row for row in rows(path, text)))  # type: ignore[func-returns-value]
    put(here, {"fox.csv": "a\n" * (3 * MAX_ROWS)})
    assert refused(here, 'shown(fox) on suite "fox.csv" as hub <= 5%')[0] == "TL229"
    assert len(made) == MAX_ROWS + 1


def test_what_emma_names_twice_is_read_twice(here: Path) -> None:
    put(here, {"fox.json": '[{"fox": ["a fox"], "fox": ["the fox"]}]'})
    rows = asked(here, 'shown(fox) on suite "fox.json" as emma <= 5%')
    assert [row.prompt for row in rows] == ["a fox", "the fox"]
