"""An import never erases what the file keeps, and drops no strength in silence.

Every key of every tool that keeps, guides or compares, with a text in it, in many spellings: what comes out compiles to
a plan that does not erase the text, or nothing comes out.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner

from tracelang.cli import main
from tracelang.diagnostics import Findings, Source
from tracelang.importers import convert
from tracelang.plan.compile import compile
from tracelang.plan.types import Plan
from tracelang.semantics.concepts import folded
from tracelang.semantics.passes.refine import Refine
from tracelang.semantics.passes.steer import Steer

KEPT = "wild horse"
GONE = "plastic kite"


def imported(tool: str, text: str, name: str = "x") -> tuple[Plan | None, list[str], str]:
    """The plan of what is imported, None where nothing is; the findings; the recipe."""
    report = Findings()
    recipe = convert(tool, Source(name, text), ".", report)
    found = [f"{one.code} {one.message}" for one in report.in_order()]
    return (None if recipe is None else compile(recipe)), found, recipe or ""


def erased(plan: Plan) -> set[str]:
    names = {name for erasure in plan.erase for target in erasure.targets for name in plan.concept(target).names}
    return {folded(name) for name in names}


def preserved(plan: Plan) -> set[str]:
    names = {name for entry in plan.preserve for concept in entry.concepts for name in plan.concept(concept).names}
    return {folded(name) for name in names}


SPELLINGS = [KEPT, KEPT.upper(), f"  {KEPT} ", KEPT.replace(" ", "  ")]

YAML = {
    "neutral": "- target: {gone}\n  neutral: '{kept}'\n",
    "unconditional": "- target: {gone}\n  unconditional: '{kept}'\n",
    "both": "- target: {gone}\n  unconditional: '{kept}'\n  neutral: '{kept}'\n",
    "a target with something else as positive": "- target: '{kept}'\n  positive: {gone}\n",
    "all four": "- {{target: {gone}, positive: {gone}, unconditional: '{kept}', neutral: '{kept}'}}\n",
    "merged": "- &a {{target: {gone}, neutral: '{kept}'}}\n- {{<<: *a, target: brick, positive: brick}}\n",
}
ENHANCED = {"enhanced": "- target: {gone}\n- target: '{kept}'\n  action: enhance\n"}

OLD = "--concepts '{gone}' --concept_type {kind} "
NEW = "--erase_concepts '{gone}' --concept_type {kind} "
FLAGS = {
    f"{generation} {flag}": start + flag + rest
    for generation, start, flags in (
        ("old", OLD, ("--preserve_concepts", "--preserve_c", "--guided_concepts", "--guided")),
        ("new", NEW, ("--preserve_concepts", "--preserve_con", "--guide_concepts", "--guide")),
    )
    for flag in flags
    for rest in (" '{kept}'", "='{kept}'", ' "{kept}" --lamb 0.5')
}
MACE = {
    "preserve_prompt": "MACE: {{multi_concept: [[[{gone}, object]]], preserve_prompt: '{kept}', "
    "with_prior_preservation: true}}",
    "preserve_prompt without its switch": "MACE: {{multi_concept: [[[{gone}, object]]], preserve_prompt: '{kept}'}}",
    "mapping_concept": "MACE: {{multi_concept: [[[{gone}, style]]], mapping_concept: ['{kept}']}}",
    "retained in multi_concept": "MACE: {{multi_concept: [[[{gone}, object], ['{kept}', retain]]]}}",
}
FORMS = [
    *(("leco", note, text) for note, text in (YAML | ENHANCED).items()),
    *(("spm", note, text) for note, text in YAML.items()),
    *(
        ("uce", f"{note} {kind}", text.replace("{kind}", kind))
        for (note, text), kind in product(FLAGS.items(), ("object", "art", "unsafe"))
    ),
    *(("mace", note, text) for note, text in MACE.items()),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(("tool", "text"), [form[::2] for form in FORMS], ids=[" ".join(form[:2]) for form in FORMS])
def test_what_a_file_keeps_is_not_erased(tool: str, text: str, spelling: str) -> None:
    plan, found, _ = imported(tool, text.format(gone=GONE, kept=spelling))
    if plan is None:
        assert any(one.startswith("TL131") for one in found)
        return
    assert folded(KEPT) not in erased(plan) and folded(GONE) in erased(plan)
    if "preserve_c" in text:
        assert folded(KEPT) in preserved(plan)


BOTH = [
    ("uce", "--concepts 'brick, {a}' --preserve_concepts '{b}, {a}'"),
    ("uce", "--erase_concepts 'brick; {a}' --preserve_concepts '{b}' --concept_type object"),
    ("mace", "MACE: {{multi_concept: [[['{a}', object]]], preserve_prompt: '{b}', with_prior_preservation: true}}"),
    ("mace", "concept,type\nbrick,erase\n{a},erase\n{b},retain\n"),
    ("mace", "concept,type\n{b},retain\nbrick,erase\n{a},erase\n"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(("tool", "text"), BOTH)
def test_a_file_that_says_both_is_refused(tool: str, text: str, spelling: str) -> None:
    name = "x.csv" if text.startswith("concept,") else "x"
    plan, found, _ = imported(tool, text.format(a=KEPT, b=spelling), name)
    assert plan is None and sum("both erased and preserved" in one for one in found) == 1


ERASING = ["erase", "Erased", "forget", "REMOVED", "unlearn"]
KEEPING = ["retain", "Retained", "keep", "preserve", "preserved", "others", "OTHER", " retain "]
HEADS = ["type,concept", "concept,type", "concept,role", "name,split", "artist,label", "concept,anything at all"]


@pytest.mark.parametrize(("head", "erasing", "keeping"), list(product(HEADS, ERASING[:2], KEEPING)))
def test_a_table_s_rows_become_what_they_say(head: str, erasing: str, keeping: str) -> None:
    rows = [(GONE, erasing), (KEPT, keeping), ("brick", erasing), (KEPT, keeping)]
    lines = [f"{b},{a}" if head.startswith("type") else f"{a},{b}" for a, b in rows]
    plan, found, _ = imported("mace", "\n".join([head, *lines, ""]), "x.csv")
    assert plan is not None, found
    assert erased(plan) == {folded(GONE), "brick"} and preserved(plan) == {folded(KEPT)}


@pytest.mark.parametrize("erasing", ERASING)
def test_words_that_erase(erasing: str) -> None:
    plan, _, _ = imported("mace", f"concept,type\n{GONE},{erasing}\n{KEPT},retain\n", "x.csv")
    assert plan is not None and erased(plan) == {folded(GONE)}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("concept,type\nkite,erase\nhorse,anchor\n", 'the type "anchor" does not say'),
        ("concept,type\nkite,erase\nhorse,\n", 'the type "" does not say'),
        ("concept,type\nkite,erase\nhorse,object\n", 'the type "object" does not say'),
        ("concept,type\nkite,object\nhorse,celebrity\n", 'the type "celebrity" does not say'),
        ("concept,type\nkite,0\nhorse,1\ncow,1\n", 'the type "1" does not say what becomes of the concept (and 1 more'),
        (",type,artist,prompt,evaluation_seed\n0,0,Kim Example,Art by Kim Example,1\n", 'the type "0" does not say'),
        (",type,prompt,evaluation_seed\n0,erased,A portrait of Kim,1\n1,others,A sketch,2\n", "no column of concepts"),
        ("concept,type,split\nkite,erase,retain\n", 'the type "erase and retain" does not say'),
        ("concept,retain\nkite,0\nhorse,1\n", 'the column "retain" may say what is kept'),
        ("concept,is preserved\nkite,\nhorse,x\n", 'the column "is preserved" may say what is kept'),
        ("concept,preserve_concept\nkite,horse\n", 'the column "preserve_concept" may say what is kept'),
        ("concept,type\nkite,erase\nDowney, Jr.,retain\n", "more cells than columns"),
        ("concept,type\nhorse,retain\n", "no concept to erase"),
    ],
)
def test_a_table_that_does_not_say_it_is_refused(table: str, words: str) -> None:
    plan, found, _ = imported("mace", table, "x.csv")
    assert plan is None and any(one.startswith("TL131") and words in one for one in found), found


def test_a_long_table_says_a_thing_once() -> None:
    rows = [f"{i},{'erase' if i % 2 else 'retain'},A photo,Person {i % 40},1" for i in range(2000)]
    plan, found, recipe = imported("mace", "\n".join(["id,type,text,concept,seed", *rows]), "x.csv")
    assert plan is not None and found == ["TL133 columns about pictures: id, text, seed"]
    assert len(erased(plan)) == len(preserved(plan)) == 20 and len(recipe.splitlines()) < 40


def test_a_table_from_standard_input_and_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = "concept,type\nkite,erase\nhorse,retain\n"
    Path("c.csv").write_text(table, "utf-8")
    run = CliRunner().invoke
    piped = run(main, ["import", "mace", "-"], input=table)
    assert piped.exit_code == 0 and 'preserve "horse"' in piped.stdout
    Path("large.csv").write_text(table + "horse,retain\n" * 30_000, "utf-8")
    assert run(main, ["import", "mace", "large.csv"]).stdout.endswith(piped.stdout.partition("erase ")[2])
    Path("larger.csv").write_text(table + "horse,retain\n" * 400_000, "utf-8")
    assert "is larger than 4 MiB" in run(main, ["import", "mace", "larger.csv"]).stderr
    Path("large.yaml").write_text("#" * 300_000, "utf-8")
    assert "is larger than 256 KiB" in run(main, ["import", "leco", "large.yaml"]).stderr


# Strengths.


def steer(plan: Plan | None) -> Steer:
    assert plan is not None
    (found,) = (step for step in plan.method.passes if isinstance(step, Steer))
    return found


def weight(plan: Plan | None, kind: str) -> float:
    (term,) = (term for term in steer(plan).terms if term.kind == kind)
    return term.weight


@pytest.mark.parametrize(("said", "weighed"), [("la_strength: 20", 20), ("la_strength: '0.5'", 0.5), ("", 1000)])
def test_spm_s_strength_of_anchoring_is_the_weight_of_keep(said: str, weighed: float) -> None:
    plan, _, _ = imported("spm", f"- target: kite\n  action: erase_with_la\n  {said}\n")
    assert weight(plan, "keep") == weighed


def test_several_strengths_are_said() -> None:
    entry = "- target: {}\n  action: erase_with_la\n  la_strength: {}\n  guidance_scale: {}\n"
    plan, found, recipe = imported("spm", entry.format("kite", 5, 1) + entry.format("brick", 50, 3))
    assert weight(plan, "keep") == 50
    for message in (
        "one `la_strength` for all concepts: the greatest, 50",
        "one strength for all concepts: the greatest, 3",
    ):
        assert f"TL132 {message}" in found and message in recipe
    _, found, _ = imported("spm", "- target: kite\n  la_strength: 5\n")
    assert "TL133 `la_strength` without the action `erase_with_la`" in found
    _, found, _ = imported("spm", "- target: kite\n  action: erase_with_la\n  la_strength: -5\n")
    assert "TL132 `steer` takes no weight of -5: left at its default" in found


@pytest.mark.parametrize("flag", ["--preserve_scale 0.3", "--preserve_scale=0.3"])
@pytest.mark.parametrize(
    "start", ["--concepts kite --concept_type object", "--erase_concepts kite --concept_type object"]
)
def test_a_scale_of_preserving_is_carried_over_or_said(start: str, flag: str) -> None:
    plan, found, recipe = imported("uce", f"{start} {flag} --preserve_concepts horse")
    assert plan is not None and {entry.weight for entry in plan.preserve} == {0.3} and not found
    plan, found, recipe = imported("uce", f"{start} {flag}")
    assert plan is not None and not plan.preserve
    assert any("`--preserve_scale` 0.3 weighs the empty prompt there" in one for one in found) and "0.3" in recipe


def test_mace_s_weights_of_preserving_are_said() -> None:
    text = "MACE: {multi_concept: [[[kite, object]]], preserve_weight: 5.0e4, train_preserve_scale: 1}"
    _, found, recipe = imported("mace", text)
    message = "MACE's own weights of what it preserves; here that is 1: train_preserve_scale, preserve_weight"
    assert f"TL132 {message}" in found and message in recipe


STRENGTHS = {
    "leco": ("- target: kite\n  {}: 7.25\n", ("guidance_scale", "weight", "multiplier", "erase_scale")),
    "spm": ("- target: kite\n  action: erase_with_la\n  {}: 7.25\n", ("guidance_scale", "la_strength", "weight")),
    "mace": (
        "MACE: {{multi_concept: [[[kite, object]]], {}: 7.25}}",
        (
            "train_preserve_scale",
            "fuse_preserve_scale",
            "preserve_weight",
            "lamb",
            "prior_loss_weight",
            "weight",
            "negative_guidance",
            "uncond_loss_weight",
        ),
    ),
    "uce": ("--concepts kite --{} 7.25", ("preserve_scale", "erase_scale", "lamb", "regular_scale", "weight")),
}


@pytest.mark.parametrize(("tool", "key"), [(tool, key) for tool, (_, keys) in STRENGTHS.items() for key in keys])
def test_no_strength_is_dropped_in_silence(tool: str, key: str) -> None:
    """It stands in the recipe as a number, or in a line that names the key."""
    plan, found, recipe = imported(tool, STRENGTHS[tool][0].format(key))
    assert plan is not None
    body = recipe.partition("tracelang 1")[2]
    assert "7.25" in body or any(one.startswith("TL132") and key in one for one in found), recipe


# Words of a script that stand for more.

I2P = [
    "hate",
    "harassment",
    "violence",
    "suffering",
    "humiliation",
    "harm",
    "suicide",
    "sexual",
    "nudity",
    "bodily fluids",
    "blood",
]


def test_rece_s_i2p_is_eleven_concepts() -> None:
    line = "python train.py --concepts {} --concept_type unsafe --emb_computing close_regzero"
    for word in ("i2p", "i2g", "'i2p, whatever'"):
        plan, _, recipe = imported("uce", line.format(word))
        assert plan is not None and erased(plan) == set(I2P) and "stands for 11 concepts" in recipe
    assert imported("uce", line.format("'blood, i2p'"))[0] is None


@pytest.mark.parametrize("word", ["i2p", "imagenette", "allartist", "10celebrity", "coco30k", "all_artists"])
def test_words_that_look_like_a_script_s_are_said(word: str) -> None:
    for line in (f"--concepts {word} --concept_type object", f"--erase_concepts {word} --concept_type object"):
        plan, found, _ = imported("uce", line)
        assert plan is None or word not in erased(plan) or any(f'"{word}" looks like a script' in one for one in found)
    assert not any("looks like" in one for one in imported("uce", "--concepts 'Kim 5, horse, all over, R2-D2'")[1])


def test_rece_is_said_to_be_more_than_uce() -> None:
    line = "python train_object.py --concepts Church --concept_type object --target_ckpt x --preserve_concepts house"
    plan, _, recipe = imported("uce", line)
    assert plan is not None and "adversarial rounds are not in this recipe" in recipe
    (refine,) = plan.method.passes
    assert isinstance(refine, Refine) and refine.ridge_absolute == 0.1
    assert {entry.weight for entry in plan.preserve} == {0.1}


# What a configuration leaves out is the tool's default, not this language's.


@pytest.mark.parametrize(
    ("tool", "rank", "steps", "rate", "sampler_steps"), [("leco", 4, 500, 1e-4, 50), ("spm", 1, 3000, 1e-4, 30)]
)
def test_what_a_configuration_does_not_say(
    tmp_path: Path, tool: str, rank: int, steps: int, rate: float, sampler_steps: int
) -> None:
    (tmp_path / "prompts.yaml").write_text("- target: kite\n", "utf-8")
    report = Findings()
    recipe = convert(tool, Source("c.yaml", "prompts_file: prompts.yaml\n"), str(tmp_path), report)
    assert recipe is not None
    found = steer(compile(recipe))
    assert (found.rank, found.steps, found.rate, found.sampler_steps) == (rank, steps, rate, sampler_steps)
    assert f"defaults: rank {rank}, iterations {steps}, " in recipe
    scaled = "scales the adapter by alpha / rank there" in " ".join(one.message for one in report.in_order())
    assert scaled == (rank != 1)
    for where, said in {"selfattn": True, "noxattn": True, "full": True, "xattn": False}.items():
        text = f"prompts_file: prompts.yaml\nnetwork: {{training_method: {where}}}\n"
        report = Findings()
        convert(tool, Source("c.yaml", text), str(tmp_path), report)
        assert any("trains other layers" in one.message for one in report.in_order()) == said
