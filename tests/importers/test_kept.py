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
from tracelang.semantics.passes.harden import Harden
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


@pytest.mark.parametrize(
    ("script", "rounds", "penalty"),
    [("train.py", 10, 0.1), ("train_object.py", 5, 1e-3), ("train_artists.py", 10, 1e-3)],
)
def test_rece_is_its_own_method_with_its_script_s_defaults(script: str, rounds: int, penalty: float) -> None:
    line = f"python {script} --concepts Church --concept_type object --target_ckpt x --preserve_concepts house"
    plan, _, recipe = imported("uce", line)
    assert plan is not None and plan.method.name == "rece" and f"epochs {rounds}, regular_scale {penalty:g}" in recipe
    refine, harden = plan.method.passes
    assert isinstance(refine, Refine) and isinstance(harden, Harden) and refine.ridge_absolute == 0.1
    assert (harden.rounds, harden.penalty_absolute, harden.ridge_absolute, harden.keep_weight) == (
        rounds,
        penalty,
        0.1,
        0.1,
    )
    assert {entry.weight for entry in plan.preserve} == {0.1}
    said = " --epochs 3 --regular_scale 0.02 --lamb 0.3 --preserve_scale 0.4 --emb_computing gd"
    plan, found, _ = imported("uce", line + said)
    assert plan is not None and isinstance(plan.method.passes[1], Harden)
    harden = plan.method.passes[1]
    assert (harden.rounds, harden.penalty_absolute, harden.ridge_absolute, harden.keep_weight) == (3, 0.02, 0.3, 0.4)
    assert any("`--emb_computing` gd searches in another way" in one for one in found)


def test_a_shorthand_that_is_known_is_taken_apart() -> None:
    plan, _, recipe = imported("uce", "python train_object.py --concepts imagenette --concept_type object --epochs 5")
    assert plan is not None and len(erased(plan)) == 10 and "golf ball" in erased(plan) and "10 concepts" in recipe


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
    # An adapter's scale, alpha / rank, is part of the rate.
    assert (found.rank, found.steps, found.rate, found.sampler_steps) == (rank, steps, rate / rank, sampler_steps)
    assert found.batch == 1 and f"defaults: rank {rank}, alpha 1, iterations {steps}, lr {rate:g}, " in recipe
    assert ("scales an adapter by" in recipe) == (rank != 1)


@pytest.mark.parametrize(
    ("where", "on"),
    [
        ("selfattn", '"*.attn1.*"'),
        ("xattn", '"*.attn2.*"'),
        ("xattn-strict", "text"),
        ("noxattn", 'denoiser - "*.attn2.*"'),
        ("innoxattn", 'denoiser - "*.attn2.*"'),
        ("full", "denoiser"),
        ("", "denoiser"),
    ],
)
def test_where_leco_trains_is_where_the_recipe_does(tmp_path: Path, where: str, on: str) -> None:
    (tmp_path / "prompts.yaml").write_text("- target: kite\n", "utf-8")
    said = f"training_method: {where}, " if where else ""
    report = Findings()
    text = f"prompts_file: prompts.yaml\nnetwork: {{{said}rank: 8, alpha: 2}}\ntrain: {{lr: 0.002}}\n"
    recipe = convert("leco", Source("c.yaml", text), str(tmp_path), report)
    assert recipe is not None and f"  steer on {on} {{\n" in recipe
    same = compile(f'erase "kite"\ndefine method m {{ steer on {on} {{ push {{}} }} }}\nmethod m')
    assert steer(compile(recipe)).on == steer(same).on and steer(compile(recipe)).rate == 0.0005
    wider = any("trains convolutions and projections too" in one.message for one in report.in_order())
    assert wider == (where in ("full", "noxattn", "innoxattn", ""))


def test_an_unknown_way_to_train_is_said(tmp_path: Path) -> None:
    (tmp_path / "prompts.yaml").write_text("- target: kite\n", "utf-8")
    report = Findings()
    text = "prompts_file: prompts.yaml\nnetwork: {training_method: selfatn}\n"
    recipe = convert("leco", Source("c.yaml", text), str(tmp_path), report)
    found = next(one for one in report.in_order() if "is not known" in one.message)
    assert recipe is not None and "steer on text" in recipe and found.help == "did you mean `selfattn`?"


def test_batch_and_seed_of_the_entries_are_the_pass_s() -> None:
    entry = "- target: {}\n  batch_size: {}\n  seed: {}\n"
    plan, found, _ = imported("leco", entry.format("kite", 4, 7))
    assert (steer(plan).batch, steer(plan).seed) == (4, 7) and not found
    plan, found, _ = imported("spm", entry.format("kite", 4, 7) + entry.format("brick", 2, 8))
    assert (steer(plan).batch, steer(plan).seed) == (4, 7) and len(found) == 2


# kohya's TOML.

TOML = """guidance_scale = 2
[[prompts]]
target = "kite"
neutral = "sky"
weight = 3.0
[[prompts]]
target = "brick"
guidance_scale = 2.0
weight = 3
"""


def test_kohya_s_toml_and_its_yaml_say_the_same() -> None:
    yaml = "targets:\n- {target: kite, neutral: sky, weight: 3}\n- {target: brick, weight: 3}\nguidance_scale: 2\n"
    plan, *others = (
        imported("leco", text, name)[0] for text, name in ((TOML, "x.toml"), (TOML, "<stdin>"), (yaml, "x"))
    )
    assert plan is not None
    assert all(one is not None and (one.erase, one.method) == (plan.erase, plan.method) for one in others)
    assert [one.anchor for one in plan.erase] == [None, ("sky",)]
    assert [(term.strength, term.weight) for term in steer(plan).terms] == [(2, 3)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('[[prompts]]\ntarget = "kite\n', "2:15", "not TOML: illegal character"),
        ("a = [" * 5000, "1:1", "not TOML|nested too deep"),
        ('[[prompts]]\npositive = "kite"\n', "1:1", "an entry without `target`"),
        ('[[prompts]]\ntarget = "kite"\nguidance_scale = "much"\n', "3:18", "has to be a number"),
        ('[[targets]]\ntarget_class = "kite"\n', "1:1", "no entry erases anything"),
        ("steps = 4\n", "1:1", "neither a list of prompts"),
    ],
)
def test_faults_of_a_toml_are_located(text: str, place: str, message: str) -> None:
    report = Findings()
    assert convert("leco", Source("x.toml", text), ".", report) is None
    found = [one for one in report.in_order() if one.severity == "error"]
    assert any(word in found[0].message for word in message.split("|"))
    assert "nested" in message or found[0].location == f"x.toml:{place}"


def test_an_adapter_that_is_trained_at_a_negative_scale_is_left_out() -> None:
    text = '[[prompts]]\ntarget = "kite"\n[[prompts]]\ntarget = "horse"\nmultiplier = -1\n'
    plan, found, _ = imported("leco", text, "x.toml")
    assert plan is not None and erased(plan) == {"kite"} and any("`multiplier` below 0" in one for one in found)


# UCE's pages and other shells.

FLAG = "--edit_concepts"


def test_today_s_flag_and_the_one_before_mean_the_same() -> None:
    rest = " 'kite; brick' --guide_concepts 'sky; clay' --concept_type object --preserve_concepts 'horse; cow'"
    plan, *others = (imported("uce", f"python a.py {flag}{rest}")[0] for flag in (FLAG, "--erase_concepts", "--edit"))
    assert plan is not None and [one.anchor for one in plan.erase] == [("clay",), ("sky",)]
    assert all(one is not None and one.digest == plan.digest for one in others)


def test_only_what_is_edited_is_widened() -> None:
    plan, _, _ = imported(
        "uce", f"a.py {FLAG} kite --concept_type object --expand_prompts true --preserve_concepts cow"
    )
    assert plan is not None and len(plan.concept("kite").templates) == 6 and plan.concept("cow").templates == ("{}",)


@pytest.mark.parametrize("end", [" \\\n", " `\n", " ^\r\n", " ` \n", "\n"])
def test_commands_go_on_as_every_shell_writes_it(end: str) -> None:
    plan, found, _ = imported("uce", end.join(["python a.py", f"{FLAG} 'kite; brick'", "--concept_type object"]) + "\n")
    assert plan is not None and erased(plan) == {"kite", "brick"} and not found


def test_prose_around_a_command_is_no_script() -> None:
    command = f"python a.py {FLAG} 'kite' --concept_type object"
    pages = [
        f"It's here.\n\n```sh\n{command}\n```\n\nDon't.\n",
        f"Isn't this one?\n{command}\nThe user's end.\n",
        f"~~~\n{command}\n~~~\npython a.py {FLAG} 'horse'\n" + "It's `--edit_concepts 'cow'` there.\n",
    ]
    for page in pages:
        plan, _, _ = imported("uce", page)
        assert plan is not None and erased(plan) == {"kite"}, page
    _, found, _ = imported("uce", "It's here:\npython a.py --edit_concepts 'kite\n")
    assert found == ["TL131 a quote is not closed"]


def test_programs_that_look_at_pictures_edit_nothing() -> None:
    line = "python eval-scripts/generate-images.py --concept 'kite'\n"
    assert imported("uce", line)[1] == ["TL131 no command with UCE's flags"]
    plan, found, _ = imported("uce", f"{line}python a.py --concepts brick --concept_type object\n{line}")
    assert plan is not None and erased(plan) == {"brick"} and not found


def test_a_comma_where_semicolons_part_is_said() -> None:
    plan, found, _ = imported("uce", f"python a.py {FLAG} 'kite, brick' --concept_type object")
    assert plan is not None and erased(plan) == {"kite, brick"} and any("is one concept there" in one for one in found)


# Tables as the benchmarks have them.


def test_a_list_of_what_may_stay_is_not_erased() -> None:
    """SPEED's lists for `--retain_path`, and HUB's of the neighbours of a concept, say nothing of a row."""
    for table in (
        "concept\nhorse\ncow\n",
        "id,text,concept,seed\n1,a horse,horse,1\n",
        "concept,type,text\nhorse,object,x\n",
    ):
        plan, found, _ = imported("mace", table, "x.csv")
        assert plan is None and any("nothing in this table says what becomes" in one for one in found)
    report = Findings()
    convert("mace", Source("a/x.csv", "concept\nhorse\n"), ".", report)
    assert '`list "x.csv" column "concept"`' in report.in_order()[0].help
    assert imported("mace", "noun,similarity\nhorse,0.8\n", "x.csv")[0] is None


WORDING = "A portrait of {}"


def test_mace_s_table_of_portraits_is_read_by_its_wordings() -> None:
    rows = [
        ("erased", "An oil painting of Kim"),
        ("others", "Lee in an official photo"),
        ("erased", WORDING.format("Kim")),
    ]
    table = ",type,prompt,evaluation_seed\n" + "".join(f"{i},{a},{b},1\n" for i, (a, b) in enumerate(rows))
    for name in ("x.csv", "<stdin>"):
        plan, found, _ = imported("mace", table, name)
        assert plan is not None and erased(plan) == {"kim"} and preserved(plan) == {"lee"}, found


def test_mace_s_numbers_count_only_in_mace_s_own_table() -> None:
    table = ",type,artist,prompt,evaluation_seed\n0,0,Kim,Art inspired by Kim,1\n1,1,Lee,{},1\n"
    plan, found, _ = imported("mace", table.format("A famous artwork by Lee"), "x.csv")
    assert plan is not None and erased(plan) == {"kim"} and preserved(plan) == {"lee"}
    assert any("its types are numbers" in one for one in found)
    assert imported("mace", table.format("A famous artwork by Kim"), "x.csv")[0] is None


def test_ant_s_configuration_is_like_mace_s() -> None:
    text = "{}: {{multi_concept: [[[kite, object]]], mapping_concept: [sky], max_train_steps: 7, rank: 2}}"
    ant, _, _ = imported("mace", text.format("ANT"))
    mace, _, _ = imported("mace", text.format("MACE"))
    assert ant is not None and mace is not None and (ant.method.name, mace.method.name) == ("ant", "trace")
    assert ant.erase == mace.erase


# conceptmod's rules.


@pytest.mark.parametrize(
    ("rule", "gone", "anchor", "kept", "strength"),
    [
        ("kite--", {"kite"}, None, set(), 0),
        ("kite--:guidance=1.5", {"kite"}, None, set(), 1.5),
        ("kite=brick", {"kite"}, ("brick",), set(), 0),
        ("kite~brick", {"kite"}, ("brick",), set(), 0),
        ("@kite--:0.5|wild horse#wild horse:2|#", {"kite"}, None, {KEPT}, 0),
    ],
)
def test_a_rule_of_conceptmod(
    rule: str, gone: set[str], anchor: tuple[str, ...] | None, kept: set[str], strength: float
) -> None:
    for text in (rule, f'python train.py --out x --phrase "{rule}" --stage model --lora 8\n'):
        plan, _, _ = imported("conceptmod", text)
        assert plan is not None and erased(plan) == gone and preserved(plan) == kept
        push = next(term for term in steer(plan).terms if term.kind == "push")
        assert plan.erase[0].anchor == anchor and push.strength == strength  # type: ignore[attr-defined]
        assert push.weight == (0.5 if ":0.5" in rule else 1) and (not kept or weight(plan, "keep") == 2)


@pytest.mark.parametrize(
    "rule",
    ["wild horse++", "=wild horse", "wild horse%kite", "kite%wild horse:-1", "wild horse^kite", "kite#wild horse"],
)
def test_what_conceptmod_strengthens_is_not_erased(rule: str) -> None:
    plan, found, recipe = imported("conceptmod", f"brick--|{rule}|{rule}")
    assert plan is not None and erased(plan) == {"brick"} and not preserved(plan)
    assert len(found) == 1 and found[0].endswith("(and 1 more)") and found[0].partition(" ")[2] in recipe
    assert imported("conceptmod", rule)[0] is None
    assert imported("conceptmod", "wild horse--|wild horse#wild horse")[0] is None


def test_conceptmod_s_script_leaves_its_own_defaults() -> None:
    plan, found, recipe = imported("conceptmod", "python train.py --out x --phrase 'kite--' --lora 4")
    assert (
        plan is not None and "leaves to the script: iterations 500, lr 1e-5, train-method xattn, stage both" in recipe
    )
    found_ = steer(plan)
    assert (found_.rank, found_.steps, found_.rate) == (4, 500, 1e-5)
    assert any("the text encoder is trained there too" in one for one in found)
    first, _, _ = imported("conceptmod", "python train-esd.py --prompt 'kite--' --iterations 9 --seed 3")
    assert first is not None and (steer(first).steps, steer(first).seed) == (9, 3)
    assert [term.strength for term in steer(first).terms] == [1]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a kite", "no rule of conceptmod"),
        ("kite--:much", "is no option of a rule"),
        ("python train.py --phrase 'kite--", "a quote is not closed"),
        ('python train.py --phrase "$RULES"', "only a shell knows"),
        ("python train.py --phrase 'kite--' --lr much", "has to be a number"),
        ("#", "no rule erases anything"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, message: str) -> None:
    plan, found, _ = imported("conceptmod", text)
    assert plan is None and any(message in one for one in found)


# One line a kind.


def test_a_thousand_of_a_kind_are_said_once() -> None:
    yaml = "".join(f"- {{target: kite {i}, unconditional: horse {i}, multiplier: 0.5}}\n" for i in range(1000))
    _, found, recipe = imported("leco", yaml)
    assert (
        len(found) == 2
        and all(one.endswith("(and 999 more)") for one in found)
        and "horse 999" not in recipe.partition("tracelang 1")[0]
    )
    rows = "".join(f"kite {i},erase,kite {i} in the sky\n" for i in range(1000))
    _, found, _ = imported("mace", f"concept,type,anchor\n{rows}", "x.csv")
    assert found == ['TL132 the anchor "kite 0 in the sky" contains its target "kite 0": left out (and 999 more)']


def test_an_anchor_that_speaks_of_what_goes_is_said_and_left_out() -> None:
    plan, found, _ = imported(
        "leco", "- {target: brick, neutral: a red kite}\n- {target: kites}\n- {target: tin, neutral: sky}\n"
    )
    assert plan is not None and [one.anchor for one in plan.erase] == [None, None, ("sky",)]
    assert found == ['TL132 the anchor "a red kite" of "brick" holds "kites", which is erased: left out']


@pytest.mark.parametrize("name", ["config.yaml", "prompts.yaml", "<stdin>", "configs/kite/prompt.yaml"])
def test_a_recipe_is_called_after_what_it_erases(name: str) -> None:
    plan, _, recipe = imported("leco", "- target: old kite\n- target: brick\n", name)
    assert plan is not None and 'recipe "old kite and 1 more" {' in recipe


def test_what_is_imported_has_no_notes_of_its_own_making() -> None:
    from tracelang.plan.compile import compile_with_findings

    for tool, text in (("leco", "- target: kite\n"), ("uce", f"a.py {FLAG} kite --concept_type art")):
        _, _, recipe = imported(tool, text)
        assert {one.code for one in compile_with_findings(recipe)[1]} <= {"TL403", "TL407"}
