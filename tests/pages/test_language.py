"""What the reference says a recipe means, each sentence beside the check that holds it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages.reading import (
    COMMANDS_PAGE,
    LANGUAGE,
    README,
    ROOT,
    codes,
    good,
    plan,
    same,
    says,
    steer,
    tracec,
    write,
)
from tracelang import api
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.plan.family import ModelError
from tracelang.plan.prompts import anchor_prompts, edit_prompts


@says(
    LANGUAGE,
    "`tracec compile` needs neither torch nor weights nor a GPU.",
)
@says(
    README,
    "Linting, formatting, comparing and compiling run without torch, weights or a GPU,",
)
def test_compiling_imports_no_torch(here: Path) -> None:
    write(here, r='erase "cat"\npreserve "dog"')
    words = [
        "compile r.erase",
        "lint r.erase",
        "fmt r.erase",
        "diff r.erase r.erase",
        "explain r.erase",
        "rule TL401",
        "breaking r.erase --against r.erase",
        "init new.erase",
    ]
    program = f"""
import sys
from tracelang.cli import main
for words in {words!r}:
    try: main(words.split())
    except SystemExit: pass
heavy = {{"torch", "numpy", "diffusers", "transformers", "safetensors"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=here)


@says(
    LANGUAGE,
    "`tracec explain FILE` prints the same recipe with every default written out. That text compiles to the same "
    "digest.",
)
@says(
    README,
    "`tracec explain` prints the recipe with every default spelled out.",
)
def test_explained_is_the_same(here: Path) -> None:
    recipe = write(here, r='erase "cat" & "dog", "fox" toward "owl"\nmethod ant')
    text = tracec("explain", recipe).stdout
    assert plan(text).digest == compile(recipe).digest and "steps = " in text and text != recipe.read_text()


@says(
    LANGUAGE,
    "A recipe has to erase something. It does not have to preserve anything;",
)
def test_something_is_erased(here: Path) -> None:
    assert codes('preserve "cat"') == ["TL308"] and good('erase "cat"')


@says(
    LANGUAGE,
    "A name is made of `a`–`z`, `0`–`9` and `_`, and starts with a letter. There are no upper-case names.",
)
def test_names(here: Path) -> None:
    assert good('concept a_1 { names "x" } erase a_1')
    for name in ("_a", "1a", "A", "a-b", "ä"):
        assert codes(f'concept {name} {{ names "x" }} erase {name}'), name


@says(
    LANGUAGE,
    "Words of the language are not reserved. `concept erase { … }` and `window t = …` are allowed.",
)
def test_no_word_is_reserved(here: Path) -> None:
    assert good('concept erase { names "x" }\nwindow t = 0%..50%\nerase erase\nmethod trace { steer.push.during = t }')


@says(
    LANGUAGE,
    'Texts are normalised to NFC, nothing else: `"Cat"` and `"cat"` are two texts.',
)
def test_texts(here: Path) -> None:
    assert same('erase "caf\u00e9"', 'erase "cafe\u0301"') and not same('erase "Cat"', 'erase "cat"')


@says(
    LANGUAGE,
    "A number has a digit before the point: `0.5`, not `.5`.",
    "`60%` is exactly `0.6`.",
)
def test_numbers(here: Path) -> None:
    assert good('erase "a" preserve "b" weight 0.5') and codes('erase "a" preserve "b" weight .5')
    assert plan('erase "a" degree 60%').erase[0].degree == 0.6


@says(
    LANGUAGE,
    "`tracelang 1` names the version of the language. It may be left out. If it is there, it comes first.",
)
def test_version(here: Path) -> None:
    assert same('tracelang 1 erase "a"', 'erase "a"') and codes('erase "a" tracelang 1')
    assert codes('tracelang 2 erase "a"') == ["TL312"]


@says(
    LANGUAGE,
    "Statements come in any order, and a name may be used before it is defined.",
    "Concepts and groups share one namespace. Templates, windows, layers, methods and params have one each. A "
    "second definition of a name is an error.",
)
def test_scope(here: Path) -> None:
    concept, group = 'concept x { names "a" }', 'group x = "b"'
    assert same(f"{concept} erase x", f"erase x {concept}")
    others = 'templates x = "a {}" window x = 0%..9% layers x = text define method x = uce {} param x = 1 in 0..1'
    assert good(f"{concept} {others} erase x")
    assert codes(f"{concept} {group} erase x") == codes(f"{concept} {concept} erase x") == ["TL210"]


@says(
    LANGUAGE,
    "A local definition of a prelude name holds for the statements of this file. It never changes what a shipped "
    "method means:",
)
def test_prelude(here: Path) -> None:
    local = 'erase "cat"\nwindow late = 50%..100%\nmethod trace { steer.hold.during = late }'
    terms = {term.kind: term.during.low for term in steer(local).terms}
    assert terms["push"] == 0.2 and terms["hold"] == 0.5


@says(
    LANGUAGE,
    "Any other definition that leads back to itself is an error.",
    "Templates, layers and methods may use the outer meaning of their own name, to extend or narrow it:",
)
def test_itself(here: Path) -> None:
    found = plan('templates object = object, "a toy {}" erase "x"').concepts[0].templates
    assert found[-1] == "a toy {}" and len(found) == 6
    for wrong in ("group g = g", "window w = w", "group g = h group h = g", "templates t = t"):
        assert "TL215" in codes(f'{wrong} erase "x"') or codes(f'{wrong} erase "x"') == ["TL202"], wrong


@says(
    LANGUAGE,
    "those of other files are checked and have no effect.",
)
def test_methods_and_headers_elsewhere(here: Path) -> None:
    write(here, top='include "other.erase" erase "cat"', other='erase "fox" method uce recipe "x" { version = "9" }')
    found = compile(here / "top.erase")
    assert found.method.name == "trace" and found.recipe.version == ""
    for wrong in ("method nosuch {}", 'recipe "x" { nosuch = "1" }'):
        write(here, other=f'erase "fox" {wrong}')
        with pytest.raises(Exception, match="nosuch"):
            compile(here / "top.erase")


@says(
    LANGUAGE,
    "It finds what the file defines and what that file itself brings with `from`, not the prelude. An import's own "
    "imports are not reached through it.",
)
def test_through_an_import(here: Path) -> None:
    write(
        here,
        a='import "b.erase" as b from "c.erase" import deer',
        b='concept fox { names "f" }',
        c='concept deer { names "d" }',
    )

    def fine(use: str) -> bool:
        write(here, top=f'import "a.erase" as a erase {use}')
        return compile_with_findings(here / "top.erase")[0] is not None

    assert fine("a.deer") and not fine("a.b.fox") and not fine("a.fox")


@says(
    LANGUAGE,
    "A file takes part once, however many statements lead to it. Its included statements hold once.",
    "Files may not import or include one another in a circle,",
)
def test_a_file_takes_part_once(here: Path) -> None:
    write(here, top='include "a.erase" include "b.erase" erase "x"', a='preserve "p" weight 2', b='include "a.erase"')
    found = compile(here / "top.erase")
    assert len(found.preserve) == 1 and len(found.sources) == 3
    write(here, a='include "b.erase"')
    assert {one.code for one in compile_with_findings(here / "top.erase")[1]} >= {"TL225"}


@says(
    LANGUAGE,
    "Moving a definition into a file of its own therefore does not change the digest. Where they differ, the "
    "recipe's own keeps the name, and the other one is called by its name and file in the plan:",
)
def test_concepts_of_one_name(here: Path) -> None:
    write(here, top='from "a.erase" import monet erase monet', a='concept monet { names "M" }')
    moved = compile(here / "top.erase")
    assert moved.digest == plan('concept monet { names "M" } erase monet').digest
    write(here, top='import "a.erase" as a concept monet { names "other" } erase monet preserve a.monet')
    assert {one.name for one in compile(here / "top.erase").concepts} == {"monet", "monet (a.erase)"}


@says(
    LANGUAGE,
    "The plan records path, sha256 and role (`recipe`, `include`, `import`, `list`) of every file that was read.",
)
def test_sources(here: Path) -> None:
    write(here, top='include "a.erase" import "b.erase" as b erase list "w.txt"', a='preserve "p"', b='group g = "x"')
    (here / "w.txt").write_text("cat\n")
    found = {(one.path, one.role) for one in compile(here / "top.erase").sources}
    assert found == {("top.erase", "recipe"), ("a.erase", "include"), ("b.erase", "import"), ("w.txt", "list")}


@says(
    LANGUAGE,
    "The fields are part of the plan and of its digest.",
    "Every field may be left out.",
)
def test_header(here: Path) -> None:
    bare = 'recipe "n" {} erase "a"'
    assert good(bare) and not same(bare, 'recipe "n" { version = "1" } erase "a"')
    assert not same(bare, 'recipe "m" {} erase "a"')


@says(
    LANGUAGE,
    "has to be a date like `2027-05-01`; `tracec lint` says when it has passed (`TL406`)",
)
def test_review(here: Path) -> None:
    path = write(here, r='recipe "n" { review_by = "2027-05-01" } erase "a" preserve "b"')
    assert "TL406" in tracec("lint", path, "--today", "2027-05-02").stdout
    assert "TL406" not in tracec("lint", path, "--today", "2027-04-30").stdout
    assert codes('recipe "n" { review_by = "soon" } erase "a"')


@says(
    LANGUAGE,
    "a model of a family that is not listed is refused",
)
@says(
    COMMANDS_PAGE,
    "a model of a family that `supports` does not list;",
)
def test_supports(here: Path) -> None:
    api.bind(plan('recipe "n" { supports = sd1, flux } erase "a"'), "tiny")
    with pytest.raises(ModelError, match="supports"):
        api.bind(plan('recipe "n" { supports = flux } erase "a"'), "tiny")


@says(
    LANGUAGE,
    "The families that this version can edit are `flux`, `sd1`, `sd2` and `sdxl`",
)
@says(
    README,
    "Stable Diffusion 1.x, 2.x (`sd2`), XL (`sdxl`) and FLUX.1, in diffusers layout or as single files.",
)
def test_families(here: Path) -> None:
    assert json.loads(tracec("models", "--json").stdout)["families"] == ["flux", "sd1", "sd2", "sdxl"]


@says(
    LANGUAGE,
    "The value, both ends and an override are either all in percent or all without. A value outside the range is "
    "an error.",
    '`--set degree=60%` overrides it (from Python: `params={"degree": "60%"}`).',
)
def test_params(here: Path) -> None:
    text = 'param degree = 80% in 50%..100% erase "cat" degree param.degree'
    assert plan(text, degree="60%").erase[0].degree == 0.6
    assert codes(text, degree="0.6") and codes(text, degree="40%") and codes(text.replace("80%", "0.8"))
    path = write(here, r=text)
    tracec("compile", path, "--set", "degree=60%")
    assert json.loads((here / "r.plan.json").read_text())["erase"][0]["degree"] == 0.6


@says(
    LANGUAGE,
    "It may not stand in a window, in `over` or `seed`, or in another param. Weights and settings are plain "
    "numbers: a param in percent does not fit there.",
)
def test_where_params_stand(here: Path) -> None:
    percent, number = "param p = 50% in 0%..100%", "param n = 2 in 0..9"
    used = 'erase "a" degree param.p preserve "b" weight param.n method trace { steer.rank = param.n }'
    assert good(f"{percent} {number} {used}")
    for wrong in (
        "window w = param.p..100%",
        'expect over param.n samples { shown("a") <= 5% }',
        "param q = param.n in 0..9",
    ):
        assert codes(f'{percent} {number} {wrong} erase "a"'), wrong
    assert codes(f'{percent} erase "a" preserve "b" weight param.p')


@says(
    LANGUAGE,
    'The param of an import is set under the name that it has here: `--set n.degree=60%` for `import "x.erase" as '
    'n`, `--set degree=60%` after `from "x.erase" import degree`.',
)
def test_params_of_imports(here: Path) -> None:
    write(
        here,
        x="param degree = 80% in 0%..100%",
        a='import "x.erase" as n erase "c" degree param.n.degree',
        b='from "x.erase" import degree erase "c" degree param.degree',
    )
    assert compile(here / "a.erase", params={"n.degree": "60%"}).erase[0].degree == 0.6
    assert compile(here / "b.erase", params={"degree": "60%"}).erase[0].degree == 0.6


@says(
    LANGUAGE,
    "The root is `--root`, else the git root around the recipe, else its folder.",
)
def test_root(here: Path) -> None:
    (here / "inner").mkdir()
    (here / "w.txt").write_text("cat\n")
    path = write(here / "inner", r='erase list "../w.txt"')
    assert tracec("compile", path).exit_code == 1 and tracec("compile", path, "--root", here).exit_code == 0
    subprocess.run(["git", "init", "-q", here], check=True)
    assert tracec("compile", path).exit_code == 0


@says(
    LANGUAGE,
    "A path that starts with `std/` is sought in the compiler's own library. It holds no lists yet.",
)
def test_no_lists_in_the_library(here: Path) -> None:
    assert {path.suffix for path in (ROOT / "recipes" / "std").iterdir() if path.is_file()} <= {".erase", ".py"}


@says(
    LANGUAGE,
    "The digest depends on the texts, not on the file: moving a list into the recipe does not change it.",
)
def test_lists_and_the_digest(here: Path) -> None:
    (here / "w.txt").write_text("cat\nfox\n")
    assert compile(write(here, r='erase list "w.txt"')).digest == plan('erase "cat", "fox"').digest


@says(
    LANGUAGE,
    "A concept that is declared under a quoted text has that text as its one name, unless `names` are given.",
)
def test_quoted(here: Path) -> None:
    assert plan('concept "cat" { probes "x" } erase "cat"').concepts[0].names == ("cat",)
    assert plan('concept "cat" { names "puss" } erase "cat"').concepts[0].names == ("puss",)


@says(
    LANGUAGE,
    'It is not the declared concept of the same name: with `concept dog { names "dog" }`, `dog` and `"dog"` are '
    "two concepts.",
    "Entries may be repeated; they add up.",
    "**templates**, texts with exactly one `{}`. They are joined with every name to make the prompts.",
)
def test_concepts(here: Path) -> None:
    two = plan('concept dog { names "dog" } erase "cat" preserve dog, "dog"')
    assert {"dog", '"dog"'} <= {one.name for one in two.concepts}
    added = plan('concept c { names "a" names "b" templates "x {}" templates "y {}" } erase c')
    assert added.concepts[0].names == ("a", "b") and len(edit_prompts(added, ("c",))) == 4
    assert (
        codes('concept c { names "a" templates "x" } erase c')
        == codes('concept c { names "a" templates "{} {}" } erase c')
        == ["TL219"]
    )


@says(
    LANGUAGE,
    "A concept without templates takes those that are called like its kind. A local `templates object = …` "
    "therefore changes them for the whole file.",
)
def test_default_templates(here: Path) -> None:
    found = plan('templates object = "my {}" concept c kind style { names "s" } erase "cat", c')
    assert found.concept("cat").templates == ("my {}",) and found.concept("c").templates[0].startswith("a picture in")


@says(
    LANGUAGE,
    "`except` binds tightest, then `&`, then the comma.",
    "Each member counts once.",
    "The order of the parts has no meaning. The same concept on both sides is an error.",
    "Every member on the right of `except` has to be on its left, and something has to be left.",
)
def test_sets(here: Path) -> None:
    groups = 'group p = "a", "b", "c" group q = "d", "e"\nerase "x" preserve '
    assert same(groups + 'p except "a" & q, "f"', groups + '(((p except "a") & q), "f")')
    assert same(groups + '"a", "a", p', groups + "p") and same(groups + '"a" & "b"', groups + '"b" & "a"')
    assert codes(groups + '"a" & "a"') == ["TL311"]
    assert codes(groups + 'p except "z"') == codes(groups + "p except p") == ["TL222"]


@says(
    LANGUAGE,
    "the modifiers in any order, each at most once",
    "default weight 1, above 0",
    "`degree` is a share from 0% to 100%, by default 100%.",
)
def test_modifiers(here: Path) -> None:
    assert same('erase "a" toward "b" degree 50%', 'erase "a" degree 50% toward "b"')
    assert codes('erase "a" degree 5% degree 5%') == ["TL211"] and codes('erase "a" preserve "b" weight 0')
    assert plan('erase "a" preserve "b"').preserve[0].weight == 1 and plan('erase "a"').erase[0].degree == 1
    assert codes('erase "a" degree 101%') == ["TL213"]


@says(
    LANGUAGE,
    '`toward` takes exactly one member: `erase "a", "b" toward "c"` moves both to `"c"`. `away` has no anchor.',
)
def test_toward(here: Path) -> None:
    assert [one.anchor for one in plan('erase "a", "b" toward "c"').erase] == [("c",)] * 2
    assert codes('erase "a" toward "b", "c"') == ["TL212"] and codes('erase "a" away toward "b"') == ["TL303"]


@says(
    LANGUAGE,
    "A and B each join the preserved at weight 1, unless the recipe preserves them already or erases one of their "
    "names by itself, or the pair's degree is 0%.",
    "What `A & B` adds to the preserved is there.",
)
def test_pairs(here: Path) -> None:
    def kept(text: str) -> dict[tuple[str, ...], float]:
        return {one.concepts: one.weight for one in plan(text).preserve}

    assert kept('erase "a" & "b"') == {("a",): 1, ("b",): 1}
    assert kept('erase "a" & "b" preserve "a" weight 3') == {("a",): 3, ("b",): 1}
    assert kept('erase "a" & "b", "a"') == {("b",): 1} and kept('erase "a" & "b" degree 0% erase "c"') == {}


@says(
    LANGUAGE,
    "The same statement twice counts once. The same members erased in two ways, or preserved at two weights, are "
    "an error.",
    "A concept that is both erased and preserved is an error. So is a preserved concept that shares a name with an "
    "erased one, and a preserved `A & B` where A is erased.",
    "Two erased concepts that share a name are an error: that name would be erased in two ways, or count twice "
    '(`TL309`). Two spellings of it (`"Cat"` and `"cat"`, as lists have them) are none where they are erased in one '
    "way.",
)
def test_contradictions(here: Path) -> None:
    assert same('erase "a" erase "a" preserve "b" preserve "b"', 'erase "a" preserve "b"')
    assert codes('erase "a" erase "a" away') == codes('erase "a" preserve "b" preserve "b" weight 2') == ["TL309"]
    shared = 'concept c { names "a", "k" } concept d { names "k" }'
    assert codes('erase "a" preserve "a"') == codes(f"{shared} erase c preserve d") == ["TL301"]
    assert codes('erase "a" preserve "a" & "b"') == ["TL301"] and codes(f"{shared} erase c, d") == ["TL309"]
    assert codes('erase "Cat" preserve "b" erase "cat"') == []
    assert codes('erase "Cat" degree 50% preserve "b" erase "cat"') == ["TL309"]


@says(
    LANGUAGE,
    "An anchor whose canonical name contains a name of its target as whole words is an error (`TL307`), and so is one "
    "that contains a name of another erased concept, inflected or not (`TL314`);",
    "Case and spacing do not matter in these comparisons, nor do degrees:",
)
def test_anchors(here: Path) -> None:
    assert codes('erase "cat" toward "a Cat"') == ["TL307"] and good('erase "cat" toward "a catalogue"')
    assert codes('erase "cat" toward "dog" erase " Dog " degree 0%') == ["TL314"]
    assert codes('erase "cat" toward "two dogs" erase "dog"') == ["TL314"]


@says(
    LANGUAGE,
    "Those of `A & B` are the templates of both, with `A and B`, `A with B`, `B and A` and `B with A`; each name "
    "of one is paired with the canonical name of the other.",
    "The prompts of a concept are its templates with its names.",
)
def test_prompts(here: Path) -> None:
    found = plan(
        'concept a { names "a", "a2" templates "x {}" } concept b { names "b", "b2" templates "y {}" } erase a & b'
    )
    phrases = {prompt.phrase for prompt in edit_prompts(found, ("a", "b"))}
    assert {
        "a and b",
        "a with b",
        "b and a",
        "b with a",
        "a2 and b",
        "b2 with a",
    } <= phrases and "a2 and b2" not in phrases
    assert {prompt.text[0] for prompt in edit_prompts(found, ("a", "b"))} == {"x", "y"}
    one = plan('concept c { names "n" templates "x {}" } erase c toward "dog"')
    assert [prompt.text for prompt in anchor_prompts(one, ("c",), ("dog",))] == ["x dog"]
