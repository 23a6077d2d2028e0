"""The rest of what the reference says of files, sets, layers, passes and versions, each sentence beside its check."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.engine.plans import constraints, part
from tests.engine.toy import Toy
from tests.pages.reading import COMMANDS_PAGE, LANGUAGE, codes, good, plan, refine, same, says, steer, tracec, write
from tracelang import api
from tracelang.engine.errors import EngineError
from tracelang.engine.text_map import Constraints, solve
from tracelang.plan.changes import changes
from tracelang.plan.compile import compile, compile_with_findings, located
from tracelang.plan.layers import select
from tracelang.plan.prompts import anchor_prompts, canonical_phrase


@says(
    LANGUAGE,
    "It may have an exponent (`1e-3`) and, where it is a share, a percent sign.",
    "Statements follow one another without a mark.",
    "A comma separates members of a list.",
)
def test_marks() -> None:
    assert same('erase "a" preserve "b" weight 1e-3', 'erase "a"\npreserve "b" weight 0.001')
    assert good('erase "a" preserve "b"') and not good('erase "a"; preserve "b"') and not good('erase "a" "b"')
    assert not good('erase "a" preserve "b" weight 50%')


@says(
    LANGUAGE,
    "the definitions of a file, as `n.name`",
    "what the file calls `a` and `b`, of every sort, under these names",
    "the file's `erase`, `preserve`, `control` and `expect` statements, but none of its names",
    "names are looked up there, paths start there, and its local templates are those of its own concepts.",
    "A list in an imported or included file is sought from that file's folder.",
)
def test_what_each_statement_brings(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "w.txt").write_text("lion\n")
    write(
        here / "sub",
        x='templates object = "my {}" group a = list "w.txt" window a = 0%..9% preserve a erase "e" control random',
    )
    assert compile(write(here, top='import "sub/x.erase" as n erase n.a')).erase[0].targets == ("lion",)
    both = 'from "sub/x.erase" import a erase a method trace { steer.push.during = a }'
    found = compile(write(here, top=both))
    assert found.concept("lion").templates == ("my {}",) and found.method.passes[0].terms[0].during.high == 0.09  # type: ignore[union-attr]
    included = compile(write(here, top='include "sub/x.erase" erase "cat"'))
    assert [one.targets for one in included.erase] == [("cat",), ("e",)] and len(included.preserve) == 1
    assert [one.kind for one in included.controls] == ["random"]
    assert included.concept("cat").templates != ("my {}",) == included.concept("e").templates
    assert compile_with_findings(write(here, top='include "sub/x.erase" erase a'))[0] is None


@says(
    LANGUAGE,
    "no absolute path, and none that leaves the recipe root, links followed.",
    "nor lead more than 32 deep (`TL225`).",
    "An error in any of these files is an error of the recipe. Definitions are looked into whether they are used "
    "or not, statements only where they are included.",
)
def test_where_imports_lead(here: Path) -> None:
    def found(text: str) -> set[str]:
        return {
            one.code for one in compile_with_findings(write(here, top=text), root=here)[1] if one.severity == "error"
        }

    outside = here.parent / "outside.erase"
    outside.write_text('concept o { names "o" }')
    (here / "link.erase").symlink_to(outside)
    for path in (str(outside), "../outside.erase", "link.erase"):
        assert found(f'import "{path}" as o erase o.o'), path
    write(here, x="window w = 90%..10%", y="preserve nosuch window w = 0%..9%", good='concept g { names "g" }')
    assert found('import "x.erase" as x erase "a"') == {"TL214"}
    assert found('import "y.erase" as y erase "a"') == set() and found('include "y.erase" erase "a"') == {"TL201"}
    for i in range(34):
        write(here, **{f"d{i}": f'import "d{i + 1}.erase" as d' if i < 33 else 'group g = "x"'})
    assert found('import "d1.erase" as d erase "a"') == {"TL225"} and found('import "d3.erase" as d erase "a"') == set()


@says(
    LANGUAGE,
    "A param that the recipe cannot name keeps the value that its own file gives it. A param that two names lead "
    "to may be set once.",
    "`param.name` may stand where a degree, a weight, a numeric setting or the bound of an expectation is written.",
)
def test_params_of_other_files(here: Path) -> None:
    write(here, inner="param p = 50% in 0%..100%", outer='from "inner.erase" import p erase "o" degree param.p')
    top = write(here, top='include "outer.erase" import "inner.erase" as one import "inner.erase" as two erase "a"')
    assert compile(top, params={"one.p": "60%"}).erase[1].degree == 0.6
    with pytest.raises(Exception, match="two"):
        compile(top, params={"one.p": "60%", "two.p": "70%"})
    hidden = write(here, top='include "outer.erase" erase "a"')
    assert compile(hidden).erase[1].degree == 0.5
    with pytest.raises(Exception, match=r"param"):
        compile(hidden, params={"p": "60%"})
    assert good('param p = 5% in 0%..9% erase "a" expect { shown("a") <= param.p }')


@says(
    LANGUAGE,
    '`recipe "name" { … }` may stand once.',
    "`tracec explain` prints one recipe without imports.",
)
def test_one_header_and_one_recipe(here: Path) -> None:
    assert not good('recipe "a" {} recipe "b" {} erase "a"')
    write(here, x='concept c { names "c" }')
    assert "import" not in tracec("explain", write(here, top='import "x.erase" as x erase x.c')).stdout


@says(
    LANGUAGE,
    "The first is the canonical one: it stands for the concept where it is an anchor.",
    "A quoted text where a concept is expected is a concept of that one name, of kind `object`.",
    "the words that the edit works on.",
)
def test_canonical_names() -> None:
    found = plan('concept c { names "first", "second" templates "a {}" } erase "x" toward c')
    assert canonical_phrase(found, ("c",)) == "first"
    assert {one.phrase for one in anchor_prompts(found, ("x",), ("c",))} == {"first"}
    assert (found.concept("x").kind, found.concept("x").names) == ("object", ("x",))


@says(
    LANGUAGE,
    "the members of A without those of B",
    "`&` distributes over its sides.",
    "Members of a set are concepts, groups, quoted texts and lists.",
    "`a except b, c` reads in two ways, so it is an error: write `(a except b), c` or `a except (b, c)`.",
)
def test_sets_written_out(here: Path) -> None:
    (here / "w.txt").write_text("d\n")
    names = 'concept a { names "a" } group g = "b", "c"\nerase "x" preserve '
    recipe = write(here, r=names + 'a, g, "e", list "w.txt"')
    assert [one.concepts[0] for one in compile(recipe).preserve] == ["a", "b", "c", "d", "e"]
    assert same(names + "a & g", names + '(a & "b"), (a & "c")') and same(names + 'g except "b"', names + '"c"')
    assert codes(names + 'g except "b", "c"') == ["TL221"]
    assert good(names + '(g except "b"), "c"')


@says(
    LANGUAGE,
    "At 0% a concept takes no part; if all of them are at 0%, the output is a copy of the model.",
    "a recipe that is right stays right under `--set`.",
)
@says(
    COMMANDS_PAGE,
    "Configs, tokenizers and the like are copied either way.",
)
def test_degree_zero_is_a_copy(here: Path) -> None:
    words = ["--model", "tiny", "--device", "cpu", "--emit", "folder"]
    assert tracec("apply", write(here, r='erase "cat" degree 0% preserve "dog"'), "--out", "out", *words).exit_code == 0
    files = [file for file in (here / "tiny").resolve().rglob("*") if file.is_file()]
    assert files
    for file in files:
        copied = here / "out" / "model" / file.relative_to((here / "tiny").resolve())
        assert copied.read_bytes() == file.read_bytes()
    text = 'param p = 0% in 0%..100% erase "cat" degree param.p toward "dog" erase "dog"'
    assert codes(text) == codes(text, p="100%") == ["TL314"]


def built(recipe: str, **settings: str) -> Constraints:
    """The constraints of a recipe's `refine` on a small model whose concepts are single words."""
    text = 'templates object = "a {}" ' + recipe
    for name, value in settings.items():
        text += f" method uce {{ refine.{name} = {value} }}"
    return constraints(plan(text), refine(text), Toy(), ["tokens"])["tokens"]


def states(text: str) -> torch.Tensor:
    return Toy().encode([text]).inputs["tokens"][0].double()


@says(
    LANGUAGE,
    "`G` = the states of ∅, position by position",
    "`G` = the states of the same prompt with Y's canonical name, aligned from the last token of the phrase",
    "`G` becomes `F + p·(G − F)`",
    "every state of X's prompts is held, with weight `w`",
    "The empty prompt is always preserved by `refine`, these three and `fuse`, at weight 1.",
    "The first token (CLIP's start token) is never mapped and belongs to no prompt's held states but those of the "
    "empty one.",
    "`G` = `F` less its component along X's own mean direction from ∅, one for the states of X's words and one for "
    "those around them",
)
def test_what_refine_maps() -> None:
    bare = built('erase "cat"')
    assert torch.equal(bare.F.T, states("a cat")[2:]) and torch.equal(bare.G.T, states("")[2:])
    assert torch.equal(bare.P.double().T, states("")) and bare.w.tolist() == [1.0] * 12
    assert torch.equal(built('erase "cat" toward "dog"').G.T, states("a dog")[2:])
    half = built('erase "cat" degree 50%')
    assert torch.allclose(half.G, half.F + 0.5 * (bare.G - bare.F), atol=1e-12)
    kept = built('erase "cat" preserve "dog" weight 3')
    assert torch.equal(kept.P.double().T[12:], states("a dog")[1:]) and kept.w[12:].tolist() == [3.0] * 11
    away = built('erase "cat" away')
    moved = away.F - states("")[2:].T
    for group in (slice(0, 1), slice(1, None)):  # the word, and what follows it
        u = moved[:, group].mean(1)
        u = u / u.norm()
        assert (u @ (away.G[:, group] - states("")[2:].T[:, group])).abs().max() < 1e-9


@says(
    LANGUAGE,
    "| `phrase` | the concept's own tokens | from the last token backwards; a longer target repeats the anchor's "
    "first |",
    "| `last` | the last of them | last to last |",
    "all others but the start token: words around the phrase, end and padding",
    "`phrase` and `context`",
)
def test_which_tokens_are_mapped() -> None:
    target, anchor = states("a old cat"), states("a dog")

    def mapped(tokens: str) -> Constraints:
        return built('erase "old cat" toward "dog"', tokens=tokens)

    phrase, last = mapped("phrase"), mapped("last")
    assert torch.equal(phrase.F.T.sort(0).values, target[2:4].sort(0).values)
    assert all(torch.equal(column, anchor[2]) for column in phrase.G.T)
    assert torch.equal(last.F.T, target[3:4]) and torch.equal(last.G.T, anchor[2:3])
    tail = mapped("tail")
    assert torch.equal(tail.F.T, target[3:]) and torch.equal(tail.G.T, anchor[2 : 2 + len(target[3:])])
    context, everything = mapped("context"), mapped("all")
    assert context.F.shape[1] + phrase.F.shape[1] == everything.F.shape[1]
    assert not any(torch.equal(column, target[0]) for column in everything.F.T)


@says(
    LANGUAGE,
    "those whose raw tensor name matches, with or without its `.weight`; case matters",
    "those of A that are not in B",
    "those that lie in one of the places; binds tightest",
    "those of either",
)
def test_layers_on_a_model(here: Path) -> None:
    sites = api.bind(plan('erase "a"'), "tiny").family.sites(here / "tiny")

    def chosen(layers: str) -> set[str]:
        on = steer(f'erase "a" layers l = {layers} method trace {{ steer.on = l }}').on
        return {site.tensor for site in select(on, sites)}

    assert chosen('"*.attn2.to_k"') == chosen('"*.attn2.to_k.weight"') == chosen('key - "*.attn1.*"')
    assert chosen("text in (down, up)") == chosen("text in down, text in up") < chosen("text, query")
    assert chosen('key, value in down - "*.attn1.*"') == chosen('key, ((value in down) - "*.attn1.*")')
    with pytest.raises(ValueError, match="match"):
        chosen('"*.ATTN2.to_k"')


@says(
    LANGUAGE,
    "`batch / 4`, at least one",
    "`batch`, shared with `hold`",
    "`batch`, shared with `push`",
    "A method holds at most one gated `steer` pass, and then no other `steer`.",
    "`on` belongs to passes, `during` to terms.",
    "The label is then their address.",
)
def test_rows_of_a_batch() -> None:
    found = {one.term.kind: one.rows for one in part(steer('erase "a" preserve "b"'), Toy()).met.shares}
    assert found == {"push": 8, "hold": 8, "blank": 4, "keep": 16}
    few = steer('erase "a" preserve "b" method trace { steer.batch = 2 }')
    assert {one.term.kind: one.rows for one in part(few, Toy()).met.shares}["blank"] == 1
    terms = "keep {} keep as more { weight = 2 }"
    labelled = f'erase "a" preserve "b" define method m {{ steer {{ {terms} }} }} method m {{ steer.more.weight = 5 }}'
    assert [term.weight for term in steer(labelled).terms] == [1, 5]
    assert codes('erase "a" method trace { steer.push.on = text }') and codes(
        'erase "a" method trace { steer.during = late }'
    )


@says(
    COMMANDS_PAGE,
    "`tracec diff A B` shows every change of meaning; `tracec breaking RECIPE --against REV` finds what the newer "
    "version promises less, `TL410` to `TL425`.",
    "a family gone from `supports`; `open_weights` that became `hosted`, or a `threat` gone",
    "gone, or a lower degree, as by a lower default of a param",
    "gone, or a lower weight",
    "a name gone that is erased or preserved nowhere else; a probe gone, unless it is erased as a name now; a "
    "template gone",
    "gone (a term of weight 0 promised nothing); one with another label is compared with one of its kind",
    "a window that does not hold the old one, or in another unit",
    "nothing: `ridge`, `threshold` and `penalty` trade what is erased for what stays, the rest says how",
    "gone, of fewer concepts, of another attack, with a looser bound, or over fewer samples; not another seed",
)
def test_what_counts_as_less(here: Path) -> None:
    concept = 'concept a { names "n", "m" probes "p", "q" templates "x {}", "y {}" }'
    method = "method trace { steer.steps = 100 steer.push.during = 20%..90% refine.ridge = 0.1 steer.seed = 1 }"
    shown = "expect over 200 samples seed 1 { shown(a) <= 5% attack(a, p4d) <= 9% }"
    head = 'recipe "r" { supports = sd1, flux threat = open_weights }'
    before = f'{head} param d = 90% in 0%..100% {concept} erase a degree param.d preserve "b" weight 2 {shown} {method}'
    less = {
        "flux threat": "", ", flux": "", "open_weights": "hosted", "threat = open_weights": "", "90% in": "80% in",
        "weight 2": "weight 1", ' preserve "b" weight 2': "", ', "m"': "", ', "q"': "", ', "y {}"': "",
        "20%..90%": "30%..90%", "20%..": "t 0..", "steer.steps = 100": "steer.steps = 99", "<= 5%": "<= 6%",
        "p4d": "paraphrase", "attack(a, p4d) <= 9%": "", "over 200": "over 199",
    }  # fmt: skip
    no_less = {"refine.ridge = 0.1": "refine.ridge = 0.2", "seed 1": "seed 2", "<= 5%": "<= 4%", '"q"': '"q", "r"'}
    less.pop("flux threat"), less.pop("20%..")

    def found(after: str) -> tuple[int, set[str]]:
        old, new = write(here, old=before), write(here, new=after)
        result = tracec("breaking", new, "--against", old, "--format", "concise")
        return result.exit_code, {
            word for word in result.stdout.replace("[", " ").replace("]", " ").split() if "TL4" in word
        }

    for one, other in less.items():
        assert before.count(one) == 1, one
        code, names = found(before.replace(one, other))
        assert code == 1 and names, (one, other)
        assert all("TL410" <= name.strip(":") <= "TL425" for name in names), names
        assert changes(plan(before), plan(before.replace(one, other)))
    for one, other in no_less.items():
        assert found(before.replace(one, other, 1))[0] == 0, (one, other)
        assert changes(plan(before), plan(before.replace(one, other, 1)))
    assert located(before) is not None


@says(
    LANGUAGE,
    "Accepted and recorded, but without effect yet: the header apart from `supports` and what lint and `breaking` "
    "read of it.",
)
def test_a_header_alone_changes_nothing_that_is_done(here: Path) -> None:
    bare, headed = plan('erase "a"'), plan('recipe "r" { owner = "x"  version = "2" } erase "a"')
    assert (
        headed.recipe != bare.recipe
        and headed.model_copy(update={"recipe": bare.recipe, "sources": bare.sources}) == bare
    )


@says(
    COMMANDS_PAGE,
    "words that have no tokens in their prompt, as where a long prompt is cut off; states or losses that are not "
    "finite; a system too nearly singular for its ridge; with `project`, a concept that lies too near to what is "
    "preserved, which `plan` refuses too.",
)
def test_what_applying_refuses(here: Path) -> None:
    words = ["--model", "tiny", "--device", "cpu", "--out", "out"]
    long = " ".join(["word"] * 40)
    recipe = f'concept c {{ names "cat" templates "{long} {{}}" }} erase c preserve "dog" method uce'
    result = tracec("apply", write(here, r=recipe), *words)
    assert result.exit_code == 1 and "error[TL601]" in result.stderr and not (here / "out").exists()
    crowd = ", ".join(f'"{word}"' for word in ("dog", "horse", "bird", "ship", "truck", "frog", "deer", "house"))
    crowded = write(here, r=f'erase "cat" preserve {crowd} define method m {{ project {{}} }} method m')
    for command in ("apply", "plan"):
        result = tracec(command, crowded, *(words if command == "apply" else words[:4]))
        assert result.exit_code == 1 and "directions of the text states" in result.stderr, result.output
    same_twice, one = torch.tensor([[1.0, 1.0], [0.0, 1e-30], [0.0, 0.0]]).double(), torch.ones(2).double()
    for F, told in ((same_twice, "nearly dependent"), (same_twice * float("nan"), "NaN or infinity")):
        with pytest.raises(EngineError, match=told):
            solve(Constraints(F, F + 1, one, F[:, :0], one[:0]), 1e-300, absolute=True)


@says(
    COMMANDS_PAGE,
    "| `link` | a hard link: the base's own file under a second name, without time or space.",
    "| `copy` | a file of its own;",
    "Only the weights files that hold an edited matrix are written anew.",
)
def test_untouched(here: Path) -> None:
    words = ["apply", write(here, r='erase "cat" preserve "dog" method uce'), "--model", "tiny", "--device", "cpu"]
    tracec(*words, "--out", "copied"), tracec(*words, "--out", "linked", "--untouched", "link")
    for file in (here / "tiny").resolve().rglob("*.safetensors"):
        place = file.relative_to((here / "tiny").resolve())
        edited = place.parts[0] == "unet"
        linked, copied = here / "linked" / "model" / place, here / "copied" / "model" / place
        assert linked.samefile(file) == (not edited) and not copied.samefile(file)
        assert (copied.read_bytes() == file.read_bytes()) == (not edited)


@says(
    COMMANDS_PAGE,
    "`--device` is CUDA or MPS where there is one, else the CPU.",
    "else `float32`, also for a checkpoint in halves:",
)
def test_device_and_dtype(here: Path) -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert api.best_device() == best
    applied = api.apply(api.bind(plan('erase "cat" preserve "dog" method uce'), "tiny"), device="cpu")
    assert applied.text.dtype == torch.float32


@says(
    LANGUAGE,
    "A statement that cannot be read hides none of another: what parsed is checked, and of the statement itself every "
    "misspelt keyword is told.",
    "The name that it was to define is known, whatever it means, so that what uses it is no mistake of its own.",
    "`# tracec: allow TL401 reason` silences a warning on its line; alone on a line, those of the statement that "
    "begins below it.",
)
def test_what_one_run_finds(here: Path) -> None:
    assert codes('group g = "a" "b"\nerase g degree 140%') == ["TL101", "TL213"]
    slips = compile_with_findings('concept a { names "a" probe "y" template "a {}" }\nerase a')[1]
    assert [one.location for one in slips] == ["<recipe>:1:23", "<recipe>:1:33"]
    assert codes('erase "cat"\n# tracec: allow TL401 food\npreserve "cat food",\n"cat treats"') == []
