"""What the pages say that commands read, write, print and exit with, each sentence beside its check."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.pages.reading import (
    ARCHITECTURE,
    COMMANDS_PAGE,
    LANGUAGE,
    README,
    ROOT,
    codes,
    plan,
    same,
    says,
    tracec,
    write,
)
from tracelang import api
from tracelang.cli import COMMANDS
from tracelang.plan.compile import compile, compile_with_findings


@says(
    LANGUAGE,
    "`tracec compile nsfw.erase` writes `nsfw.plan.json` beside the recipe; `-o FILE` names another place, `-o -` "
    "is standard output, and `--check` writes nothing. Several recipes may be given at once. `tracec compile -` "
    "reads standard input and writes to standard output. `plan`, `apply` and `explain` take a recipe or a plan.",
)
def test_compiling(here: Path) -> None:
    (here / "sub").mkdir()
    path, other = write(here / "sub", nsfw='erase "a" preserve "b"'), write(here, other='erase "b" preserve "c"')
    tracec("compile", path, "--check")
    assert [one.name for one in (here / "sub").iterdir()] == ["nsfw.erase"]
    assert json.loads(tracec("compile", path, "-o", "-").stdout) == json.loads(
        tracec("compile", path, "-o", "-").stdout
    )
    tracec("compile", path, other)
    assert (here / "sub" / "nsfw.plan.json").exists() and (here / "other.plan.json").exists()
    tracec("compile", path, "-o", "x.json")
    assert json.loads((here / "x.json").read_text())["digest"] == compile(path).digest
    assert json.loads(tracec("compile", "-", stdin='erase "a"').stdout)["digest"] == plan('erase "a"').digest
    for words in (["explain"], ["plan", "--model", "tiny", "--config-only"]):
        assert tracec(*words, path).stdout == tracec(*words, here / "sub" / "nsfw.plan.json").stdout != ""


@says(
    LANGUAGE,
    "A plan is JSON with sorted keys: `format_version`, `language`, `recipe` (the header), `concepts`, `erase`, "
    "`preserve`, `prior` where there is one, `method`, `controls` where there are any, `expect`, `sources`, `digest`.",
    "Concepts that no statement uses are left out.",
    "The same sources give the same bytes.",
)
def test_what_a_plan_is(here: Path) -> None:
    path = write(here, r='concept unused { names "x" } erase "a" method trace { steer.push.during = late }')
    text = tracec("compile", path, "-o", "-").stdout
    data = json.loads(text)
    named = "format_version language recipe concepts erase preserve prior method expect sources digest"
    assert set(data) == {*named.split()}
    assert json.dumps(data, sort_keys=True) == json.dumps(data) and "unused" not in text and '"late"' not in text
    assert tracec("compile", path, "-o", "-").stdout == text
    assert not {"prior", "controls"} & json.loads(plan('erase "a" method uce').canonical_json()).keys()
    assert "controls" in json.loads(plan('erase "a" control random').canonical_json())


@says(
    LANGUAGE,
    "What does not change it: comments, white space, the order of statements, how a set, a list or a number is "
    "written, a param instead of its value. What does: any text, number or name that is in the plan, header fields "
    "and the method's name included.",
)
@says(
    ARCHITECTURE,
    "frozen data with a digest that formatting and comments do not change",
)
def test_digests(here: Path) -> None:
    base = 'erase "a", "b" degree 50%\npreserve "c" weight 0.5'
    shuffled = 'preserve "c" weight 5e-1 erase ("b", "a") degree 50.0%'
    named = 'group g = "a", "b" param p = 50% in 0%..100% erase g degree param.p preserve "c" weight 0.5'
    assert same(base, f"# words\n{base}  ", shuffled, named)
    for other in (
        base.replace('"a"', '"z"'),
        base.replace("0.5", "0.6"),
        f'recipe "n" {{}} {base}',
        f"{base} method uce",
        f"{base} define method mine = trace {{}} method mine",
    ):
        assert not same(base, other), other


@says(
    LANGUAGE,
    "A plan is taken as it was written or not at all: one that was changed by hand does not match its digest and "
    "is refused. `--set` does not go with a plan.",
)
def test_plans_are_fixed(here: Path) -> None:
    tracec("compile", write(here, r='param p = 1 in 0..2 erase "a" preserve "b" weight param.p'))
    file = here / "r.plan.json"
    assert tracec("explain", file, "--set", "p=2").exit_code == 2
    file.write_text(file.read_text().replace('"weight": 1', '"weight": 2', 1))
    result = tracec("explain", file)
    assert result.exit_code == 1 and "TL123" in result.stderr


@says(
    COMMANDS_PAGE,
    "Every finding has a code, a place and mostly a help line. An error leaves no plan; a warning does not stand "
    "in its way, but makes `tracec lint` exit with 1; a note is printed by `tracec lint` alone.",
)
def test_severities(here: Path) -> None:
    warned = tracec("compile", write(here, w='erase "cat"'))
    assert warned.exit_code == 0 and (here / "w.plan.json").exists() and "warning[TL403]" in warned.stderr
    assert tracec("lint", here / "w.erase").exit_code == 1
    noted = write(here, n='erase "cat" preserve "dog" expect over 500 samples { shown("cat") <= 5% }')
    linted, compiled = tracec("lint", noted), tracec("compile", noted)
    assert "note[TL506]" in linted.stdout and linted.exit_code == 0
    assert "note" not in compiled.stderr + compiled.stdout
    wrong = tracec("compile", write(here, e="erase cat"))
    assert wrong.exit_code == 1 and not (here / "e.plan.json").exists()
    assert re.search(r"error\[TL201\]: .*\n --> .*e\.erase:1:7\n", wrong.stderr) and "= help: " in wrong.stderr


@says(
    COMMANDS_PAGE,
    "One run finds every independent syntax error of a file, or, if there is none, every finding of meaning.",
)
def test_all_at_once(here: Path) -> None:
    assert len(compile_with_findings('erase\nerase "a" degree\npreserve ]')[1]) >= 2
    assert codes('erase a, "b" degree 120% preserve c weight 0') == ["TL201", "TL213"]


@says(
    COMMANDS_PAGE,
    "[rules.md](rules.md) explains each code, as `tracec rule CODE` does.",
)
def test_rules(here: Path) -> None:
    from tracelang.diagnostics.codes import CODES

    page = (ROOT / "docs" / "rules.md").read_text()
    for code in CODES:
        assert code in page and code in tracec("rule", code).stdout


@says(
    COMMANDS_PAGE,
    "`tracec lint` writes its findings to standard output, as `breaking` does in every format but `human`; all "
    "other findings go to standard error. `tracec compile --json` prints them as data, with lines and columns from "
    "1, ends exclusive.",
)
def test_streams(here: Path) -> None:
    wrong, less = write(here, w="erase cat"), write(here, less='erase "a" degree 50% preserve "b"')
    more = write(here, more='erase "a" preserve "b"')
    linted = tracec("lint", wrong)
    assert "TL201" in linted.stdout and not linted.stderr
    for words in (
        ["compile"],
        ["explain"],
        ["plan", "--model", "tiny"],
        ["apply", "--model", "tiny", "--out", "o"],
        ["diff", more],
    ):
        result = tracec(*words, wrong)
        assert "TL201" in result.stderr and "TL201" not in result.stdout, words
    for style in ("human", "concise", "json", "sarif", "github", "junit"):
        result = tracec("breaking", less, "--against", more, "--format", style)
        assert ("TL411" in result.stdout, "TL411" in result.stderr) == (style != "human", style == "human"), style
    (found,) = json.loads(tracec("compile", wrong, "--json").stdout)["diagnostics"]
    place = found["primary"]
    assert (place["line"], place["column"], place["end_line"], place["end_column"]) == (1, 7, 1, 10)


@says(
    COMMANDS_PAGE,
    "| 0 | all | done; for `plan --detailed-exitcode`: nothing would change |",
    "| 2 | all | a mistake in the command line; for `plan --detailed-exitcode` that is 1 |",
    "| 2 | `plan --detailed-exitcode` | something would change |",
)
def test_detailed(here: Path) -> None:
    something, nothing = write(here, s='erase "a"'), write(here, n='erase "a" degree 0%')
    words = ["--model", "tiny", "--config-only", "--detailed-exitcode"]
    assert tracec("plan", something, *words).exit_code == 2 and tracec("plan", nothing, *words).exit_code == 0
    assert tracec("plan", something, "--nosuch", *words).exit_code == 1
    for command in COMMANDS:
        assert tracec(command, "--nosuch").exit_code == 2
        assert tracec(command, "--help").exit_code == 0


@says(COMMANDS_PAGE, "| 1 | `lint`, `fmt --check` | errors or warnings; a file that would change |")
def test_what_a_clean_recipe_is(here: Path) -> None:
    warned, untidy = write(here, w='erase "a"'), write(here, u='erase   "a"')
    assert tracec("compile", warned).exit_code == 0 and tracec("lint", warned).exit_code == 1
    assert tracec("fmt", untidy, "--check").exit_code == 1 and tracec("lint", write(here, e="erase a")).exit_code == 1


@says(
    COMMANDS_PAGE,
    "| 1 | `diff`, `breaking` | the two differ in meaning; the newer one promises less |",
    "| 2 | `diff`, `breaking` | the two cannot be compared: an error in one of them, no such revision or file |",
)
def test_comparing(here: Path) -> None:
    one, other, wrong = write(here, a='erase "a"'), write(here, b='erase "b"'), write(here, w="erase w")
    assert tracec("diff", one, other).exit_code == 1 and tracec("diff", one, one).exit_code == 0
    assert tracec("diff", one, wrong).exit_code == tracec("diff", one, "no.erase").exit_code == 2
    assert tracec("breaking", other, "--against", one).exit_code == 1
    assert tracec("breaking", one, "--against", one).exit_code == 0
    assert (
        tracec("breaking", one, "--against", wrong).exit_code
        == tracec("breaking", one, "--against", "v9").exit_code
        == 2
    )


@says(
    COMMANDS_PAGE,
    "Formatting, comments and the order of statements are no change.",
    "A recipe that the revision does not have is new: there is nothing to compare with, and it breaks nothing. "
    "`REV:PATH` names an older path:",
)
def test_revisions(here: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    write(here, r='erase "a"\npreserve "b"')
    for words in (["init", "-q"], ["add", "r.erase"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True, cwd=here)
    write(here, r='# said\npreserve   "b"\nerase "a"', new='erase "z"', moved='erase "c"')
    assert tracec("diff", "HEAD:r.erase").exit_code == 0
    assert tracec("breaking", "r.erase", "--against", "HEAD").exit_code == 0
    assert tracec("breaking", "new.erase", "--against", "HEAD").exit_code == 0
    assert tracec("breaking", "moved.erase", "--against", "HEAD:r.erase").exit_code == 1


@says(
    LANGUAGE,
    "Past a limit there is an error with a place, not a crash.",
)
def test_limits(here: Path) -> None:
    chain = ['group g0 = "a"', *(f"group g{i} = g{i - 1}" for i in range(1, 70))]
    many = ", ".join(f'"a{i}"' for i in range(1001))
    for wrong in (
        "(" * 70 + '"a"' + ")" * 70,
        "\n".join(['"a"', *chain]),
        f"({many}) & ({many.replace('a', 'b')})",
        '"a" expect over 1000001 samples { shown("a") <= 5% }',
        f'"{"x" * (1 << 20)}"',
    ):
        found, findings = compile_with_findings(f"erase {wrong}")
        assert found is None and all(re.search(r":\d+:\d+$|<recipe>", one.location) for one in findings)


@says(
    COMMANDS_PAGE,
    "`--emit` says in which forms, one or several joined by commas (`folder,lora` is the default, `folder` where a "
    "plan changes whole matrices), `--force` replaces an earlier output, of which it keeps [the reports](evidence.md).",
    "Whatever was computed in, a checkpoint keeps its own dtype.",
    "Text states are kept in `$TRACELANG_CACHE/states` (by default `~/.cache/tracelang/states`), one file a prompt,",
    "Where all states of a plan are there, no text encoder is loaded; `tracec plan` looks there too. The folder "
    "may be deleted at any time.",
    "`manifest.json` holds the sha256 of every file before and after, and of every tensor in the files that were "
    "edited,",
)
@says(
    README,
    "OUT holds the edited checkpoint (`model/`, loads in plain diffusers), the same edit as a LoRA file, the plan, "
    "the recipe, and a manifest with the digest of every file,",
)
def test_applying(here: Path) -> None:
    import torch
    from safetensors.torch import load_file

    path = write(here, r='concept c { names "cat" templates "a {}", "{}" }\nerase c preserve "dog"\nmethod uce')
    apply = ["apply", path, "--model", "tiny", "--device", "cpu"]
    assert tracec(*apply, "--out", "out").exit_code == 0
    out = Path("out")
    assert {"model", "lora.safetensors", "manifest.json", "README.md", "lock.json"} <= {
        one.name for one in out.iterdir()
    }
    assert list(out.rglob("*.plan.json")) or list(out.rglob("plan.json"))
    assert any("erase c" in one.read_text() for one in out.rglob("*.erase"))
    edited = load_file(next((out / "model" / "unet").glob("*.safetensors")))
    base = load_file(next(Path("tiny/unet").glob("*.safetensors")))
    assert {name: value.dtype for name, value in edited.items()} == {name: value.dtype for name, value in base.items()}
    assert any(not torch.equal(edited[name], base[name]) for name in base)
    states = list((here / "cache" / "states").iterdir())
    assert len(states) == 1 + 2 + 5  # nothing, the two prompts of cat, the five of an object
    assert tracec(*apply, "--out", "out").exit_code == 1
    assert tracec(*apply, "--out", "out", "--force", "--emit", "lora").exit_code == 0
    assert not (out / "model").exists() and (out / "lora.safetensors").exists()
    for state in states:
        state.unlink()
    assert tracec("plan", path, "--model", "tiny", "--device", "cpu").exit_code == 0
    assert len(list((here / "cache" / "states").iterdir())) >= 1 + 2 + 5


@says(
    COMMANDS_PAGE,
    "A LoRA leaves out at most 1 % of each layer's change, in the Frobenius norm; `--lora-error SHARE` says another "
    "share, 0% for all of the change but the rounding of its factors, `--lora-rank N` a rank whatever is left out.",
    "The command says how large the file came out, with the ranks and the largest error,",
    "`tracec patch DELTA --model BASE --out EDITED` makes the edited checkpoint, the same as `model/` byte for byte, "
    "and `tracec patch DELTA --model EDITED --out BASE --revert` the base again.",
)
def test_forms(here: Path) -> None:
    from tracelang.checkpoint.forms import known

    rows = set(re.findall(r"^\| `([\w-]+)` \| `[\w.-]+/?`, ", COMMANDS_PAGE.read_text("utf-8"), re.M))
    assert rows == set(known())
    path = write(here, r='erase "cat" preserve "dog" method uce')
    apply = ["apply", path, "--model", "tiny", "--device", "cpu"]
    usual = tracec(*apply, "--out", "usual", "--emit", "folder,delta,lora-kohya")
    assert usual.exit_code == 0
    told = re.search(
        r"^lora-kohya\.safetensors: rank (\d+)( to \d+)?, [\d.]+ [kM]B; .* ([\d.]+)% of", usual.stdout, re.M
    )
    assert told is not None and 0 < float(told[3]) <= 1
    one = tracec(*apply, "--out", "one", "--emit", "lora", "--lora-rank", "1")
    assert "lora.safetensors: rank 1, " in one.stdout
    exact = json.loads(tracec(*apply, "--out", "exact", "--emit", "lora", "--lora-error", "0%", "--json").stdout)
    assert "leaves out 0.00% of" in exact["summaries"][0]
    for wrong in ("100%", "x", "-1%"):
        assert tracec(*apply, "--out", "o", "--lora-error", wrong).exit_code == 2
    assert tracec("patch", "usual/delta.safetensors", "--model", "tiny", "--out", "edited").exit_code == 0
    back = tracec("patch", "usual/delta.safetensors", "--model", "edited", "--out", "back", "--revert")
    assert back.exit_code == 0 and "digests as stated" in back.stdout
    weights = "unet/diffusion_pytorch_model.safetensors"
    edited = Path("edited", weights).read_bytes()
    assert edited == Path("usual/model", weights).read_bytes() != Path("tiny", weights).read_bytes()
    assert Path("back", weights).read_bytes() == Path("tiny", weights).read_bytes()
    again = tracec("patch", "usual/delta.safetensors", "--model", "edited", "--out", "new")
    assert again.exit_code == 1 and "already is the edit" in again.stderr and not Path("new").exists()


@says(
    COMMANDS_PAGE,
    "at most 8 GiB together; those used longest ago go first, and none that the same command has used: what a "
    "command needs beyond them is not kept, and it says so once.",
)
def test_a_full_cache(here: Path) -> None:
    from tracelang.files import CACHE_LIMIT, cache_limit

    assert CACHE_LIMIT == 8 * 2**30 == cache_limit()
    path = write(here, r='erase "cat" preserve "dog", "fox", "owl" method uce')
    patch = pytest.MonkeyPatch()
    patch.setenv("TRACELANG_CACHE_LIMIT", str(10_000 / 2**30))
    try:
        result = tracec("plan", path, "--model", "tiny", "--device", "cpu")
    finally:
        patch.undo()
    assert result.exit_code == 0 and result.stderr.count("warning: ") == 1 and "holds at most" in result.stderr
    held = list((here / "cache" / "states").iterdir())
    assert held and sum(one.stat().st_size for one in held) <= 10_000


@says(
    COMMANDS_PAGE,
    "so a plan with a `steer` pass is refused in it.",
)
def test_half_precision(here: Path) -> None:
    path = write(here, r='erase "a" preserve "b"')
    result = tracec("apply", path, "--model", "tiny", "--out", "out", "--dtype", "float16")
    assert result.exit_code == 1 and "float16" in result.stderr


@says(
    COMMANDS_PAGE,
    "A plan whose passes are all closed form (`refine`, and a `fuse` that has nothing to fuse) needs no denoiser "
    "in memory:",
)
def test_closed_forms_need_no_model(here: Path) -> None:
    from tracelang.engine.run import needs_no_model

    def alone(text: str) -> bool:
        return needs_no_model(api.bind(plan(text), "tiny").on_model)

    assert alone('erase "a" method uce') and not alone('erase "a"')
    assert alone('erase "a" define method m { refine {} fuse {} } method m')
    applied = api.apply(api.bind(plan('erase "cat" method uce'), "tiny"), device="cpu")
    assert applied.loaded is None and not hasattr(applied.text, "denoiser")
