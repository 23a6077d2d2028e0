"""What recipes mean: sets, scope, defaults, kinds, params, methods."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracelang import CompileError
from tracelang.diagnostics import Findings, Source
from tracelang.plan import types
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.semantics.fields import settings
from tracelang.semantics.kinds import PASSES, TERMS, Pass, Term, declared, does, kinds
from tracelang.semantics.passes.fuse import Fuse
from tracelang.semantics.passes.refine import Refine
from tracelang.semantics.passes.steer import Steer
from tracelang.semantics.resolve import resolve
from tracelang.semantics.standard import method_names
from tracelang.semantics.terms.hold import Hold
from tracelang.semantics.terms.push import Push
from tracelang.semantics.values import Auto, Window
from tracelang.syntax.parser import parse

HERE = Path(__file__).parent


def erased(text: str) -> list[types.Member]:
    return [one.targets for one in compile(text).erase]


def steer(text: str) -> Steer:
    found = [one for one in compile(text).method.passes if isinstance(one, Steer)]
    return found[0]


@pytest.mark.parametrize(
    ("written", "members"),
    [
        ('"a", "b", "a"', [("a",), ("b",)]),
        ('"b" & "a"', [("a", "b")]),
        ('"a" & ("b", "c")', [("a", "b"), ("a", "c")]),
        ('("a" & "b") & "c"', [("a", "b", "c")]),
        ('g except "a"', [("b",), ("c",)]),
        ('g except ("a", "b")', [("c",)]),
        ('g except "a" except "b"', [("c",)]),
        ('"x" & g except ("a", "b")', [("c", "x")]),
        ('(g except "a"), "d"', [("b",), ("c",), ("d",)]),
        ("h", [("a",), ("b",), ("c",), ("d", "e")]),
        ('h except "e" & "d"', []),
        ('h except ("e" & "d")', [("a",), ("b",), ("c",)]),
    ],
)
def test_sets(written: str, members: list[types.Member]) -> None:
    text = f'group g = "a", "b", "c" group h = g, "d" & "e" erase {written}'
    if members:
        assert erased(text) == members
    else:
        with pytest.raises(CompileError):
            compile(text)


def test_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    plan = compile('erase list "lists/animals.txt" preserve list "lists/words.csv" column "prompt"', root=HERE)
    assert [one.targets for one in plan.erase] == [("cat",), ("dog",)]
    assert [one.concepts for one in plan.preserve] == [("a, b",), ("c",)]
    assert [source.path for source in plan.sources] == ["<recipe>", "lists/animals.txt", "lists/words.csv"]
    assert all(len(source.sha256) == 64 for source in plan.sources)


def test_every_setting_has_the_documented_default() -> None:
    plan = compile('define method m { refine {} steer { push {} hold {} } fuse {} } method m erase "x"')
    refine, steer, fuse = plan.method.passes
    whole = types.Window(unit="progress", low=0, high=1)
    assert refine == Refine(
        label="refine",
        on=types.ReadsSites(reads="prompt"),
        tokens="tail",
        ridge=0.01,
        ridge_absolute=None,
        erase_weight=1,
    )
    assert isinstance(steer, Steer)
    assert (steer.rank, steer.steps, steer.rate, steer.batch, steer.trajectories) == (8, 400, 1e-3, 16, 80)
    assert (steer.sampler_steps, steer.guidance, steer.refresh, steer.gate, steer.seed) == (20, None, 0, None, 0)
    assert steer.on == types.ReadsSites(reads="text")
    assert steer.terms == (
        Push(label="push", during=whole, weight=1, strength=1),
        Hold(label="hold", during=whole, weight=1),
    )
    assert fuse == Fuse(label="fuse", ridge=0.01, keep_weight=1)


ALL = [(package, kind) for package in (PASSES, TERMS) for kind in kinds(package)]


@pytest.mark.parametrize(("package", "kind"), ALL)
def test_what_is_declared_is_whole(package: str, kind: str) -> None:
    declaration = declared(package, kind)
    made = declaration()
    assert isinstance(made, Pass if package == PASSES else Term) and made.kind == made.label == kind
    assert does(declaration)
    for name, field in settings(declaration).items():
        value = getattr(made, name)
        assert field.means
        assert field.absent if value is None else field.type in ("window", "sites") or field.fits(value)
        assert not field.more or field.type in ("integer", "number")


def test_all_methods_are_known() -> None:
    names = (
        "ant",
        "ant_single",
        "dp",
        "eraseanything",
        "esd",
        "esd_u",
        "mace",
        "oce",
        "rece",
        "speed",
        "stereo",
        "trace",
        "trace_fast",
        "trace_paper",
        "trace_robust",
        "uce",
    )
    assert tuple(method_names()) == names
    for name in names:
        assert compile(f'erase "x" method {name}').method.name == name


def test_passes_terms_and_windows_know_where_they_stand() -> None:
    text = 'define method m = trace { steer.hold.during = late } method m { steer.push.during = 1%..2% } erase "x"'
    report = Findings()
    file = parse(Source("x", text), report)
    assert file is not None
    resolution = resolve(file, report, folder=Path(), root=Path())
    assert resolution is not None
    texts = {address: span.text for address, span in resolution.program.method.spans.items()}
    assert texts["steer"].startswith("steer on denoiser {")
    assert texts["steer.blank"] == "blank             { weight = 0.5 }"
    windows = {label: texts.get(f"steer.{label}.during") for label in ("push", "hold", "blank", "keep")}
    assert windows == {"push": "1%..2%", "hold": "late", "blank": None, "keep": None}


def test_auto_is_a_name_where_a_window_is_called_so() -> None:
    text = 'erase "x" method trace { steer.push.during = auto steer.hold.during = 0%..auto }'
    assert [term.during for term in steer(text).terms][:2] == [Auto(0.3), Auto(0.3, "before")]
    named = [term.during for term in steer(f"window auto = 40%..90% {text}").terms][:2]
    assert named == [Window("progress", 0.4, 0.9), Window("progress", 0, 0.4)]
    always = 'window auto = 40%..90% erase "x" method trace { steer.push.during = auto 20% }'
    assert steer(always).terms[0].during == Auto(0.2)
    assert steer('concept auto { names "a" } erase auto').terms[0].during == Window("progress", 0.2, 1)


def test_a_bound_is_given_in_full() -> None:
    _, found = compile_with_findings('erase "x" method trace { steer.seed = 1e30 }')
    assert found[0].message == "`steer.seed` is from 0 to 9,223,372,036,854,775,807"


def test_a_shipped_method_does_not_see_local_definitions() -> None:
    plain = compile('erase "x"')
    local = compile('window late = 90%..100% window whole = 1%..2% layers text = key erase "x"')
    assert plain.method == local.method
    assert (
        steer('window late = 90%..100% method trace { steer.push.during = late } erase "x"').terms[0].during.low == 0.9
    )


def test_a_local_method_may_derive_from_the_one_that_it_hides() -> None:
    assert steer('define method trace = trace { steer.rank = 3 } erase "x"').rank == 3


def test_settings_are_addressed_by_label() -> None:
    text = """
    define method m { steer as first { keep {} keep as neighbours {} } steer as second { keep {} } }
    method m { first.neighbours.weight = 7 second.rank = 2 } erase "x"
    """
    first, second = compile(text).method.passes
    assert isinstance(first, Steer) and isinstance(second, Steer)
    assert [(term.label, term.weight) for term in first.terms] == [("keep", 1), ("neighbours", 7)]
    assert (first.rank, second.rank) == (8, 2)


def test_layers_are_worked_out_to_the_ground() -> None:
    on = steer('layers a = key, value layers b = a in (mid, up) - "*.0.*" method trace { steer.on = b } erase "x"').on
    union = types.Union(members=(types.RoleSites(role="key"), types.RoleSites(role="value")))
    inside = types.InPlaces(of=union, places=("mid", "up"))
    assert on == types.Difference(left=inside, right=types.GlobSites(pattern="*.0.*"))


def test_params() -> None:
    text = 'param p = 100% in 0%..100% erase "x" degree param.p'
    assert compile(text).erase[0].degree == 1
    assert compile(text, params={"p": "0%"}).erase[0].degree == 0
    for given in ({"p": "101%"}, {"p": "0.5"}, {"p": "x"}, {"q": "1%"}):
        with pytest.raises(CompileError) as error:
            compile(text, params=given)
        assert error.value.diagnostics[0].location.startswith("--set:1:")


def test_a_conjunction_keeps_each_one_alone() -> None:
    plan = compile('erase "a" & "b", "c" & "d" erase "c" preserve "a" weight 3')
    assert [(one.concepts, one.weight) for one in plan.preserve] == [(("a",), 3), (("b",), 1), (("d",), 1)]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('erase "a" & "b"', [("a",), ("b",)]),
        ('concept weapon { names "weapon", "gun" } erase weapon erase "gun" & "child"', [("child",)]),
        ('concept weapon { names "weapon", "gun" } erase weapon degree 0% erase "Gun" & "child"', [("child",)]),
        ('erase "a" & "b" & "c" erase "a" & "d" degree 0%', [("a",), ("b",), ("c",)]),
        ('erase "a" & "b" degree 0%', []),
    ],
)
def test_what_a_conjunction_leaves_alone_is_preserved_unless_its_words_go_too(
    text: str, kept: list[types.Member]
) -> None:
    assert [one.concepts for one in compile(text).preserve] == kept


def test_a_file_may_set_the_templates_of_a_kind() -> None:
    plan = compile('templates object = "my {}" erase "a" preserve b concept b kind style { names "b" }')
    assert plan.concept("a").templates == ("my {}",)
    assert plan.concept("b").templates == compile('erase c concept c kind style {names "c"}').concept("c").templates


def test_a_quoted_text_beside_a_concept_of_that_name() -> None:
    plan = compile('concept cat { names "tabby" } erase cat preserve "cat"')
    assert [concept.name for concept in plan.concepts] == ['"cat"', "cat"]
    assert compile('concept "cat" kind style { probes "kitty" } erase "cat"').concept("cat").kind == "style"


def test_only_what_is_used_is_in_the_plan() -> None:
    assert [c.name for c in compile('concept unused { names "u" } erase "a" toward "b"').concepts] == ["a", "b"]
