"""What the help of a command says, each sentence beside the check that it is so."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.pages.reading import flat, tracec, write
from tracelang.cli import COMMANDS
from tracelang.semantics.tables import KINDS

GOOD = 'tracelang 1\n\nerase "a"\npreserve "b"\n\nexpect over 500 samples { shown("a") <= 5% }\n'


def helps(command: str, *sentences: str) -> None:
    text = flat(tracec(command, "--help").stdout)
    for sentence in sentences:
        assert flat(sentence) in text, f"`tracec {command} --help` no longer says: {sentence}"


def test_lint(here: Path) -> None:
    helps(
        "lint",
        "Find mistakes in recipes: files, folders (all their .erase files), or - for standard input.",
        "Exits with 0 if there is nothing but notes, with 1 if there are errors or warnings.",
        "--fix Make the safe fixes, then look again.",
        "--diff Show the safe fixes and write nothing.",
    )
    noted, wrong = write(here, n=GOOD[12:]), write(here, e="erase a")
    warned = write(here, w=GOOD.replace('preserve "b"', ""))
    assert "TL506" in tracec("lint", noted).stdout and tracec("lint", noted).exit_code == 0
    assert tracec("lint", warned).exit_code == tracec("lint", wrong).exit_code == 1
    assert tracec("lint", "-", stdin="erase a").exit_code == 1
    (here / "sub").mkdir()
    write(here / "sub", deep="erase b")
    assert tracec("lint", here, "--format", "concise").stdout.count("TL201") == 2
    before = noted.read_text()
    assert "+tracelang 1" in tracec("lint", noted, "--diff").stdout and noted.read_text() == before
    tracec("lint", noted, "--fix")
    assert noted.read_text().startswith("tracelang 1") and "TL506" not in tracec("lint", noted).stdout


def test_fmt(here: Path) -> None:
    helps(
        "fmt",
        "or - to read standard input and write standard output.",
        "Exits with 1 if a file cannot be read or parsed, or if --check found one that would change.",
        "--check Write nothing; exit with 1 if a file would change.",
        "--diff Write nothing; show what would change.",
    )
    untidy, tidy = write(here, u='erase   "a"'), write(here, t=GOOD)
    assert tracec("fmt", "-", stdin='erase   "a"').stdout == 'erase "a"\n'
    assert tracec("fmt", untidy, "--check").exit_code == 1 and tracec("fmt", tidy, "--check").exit_code == 0
    assert '+erase "a"' in tracec("fmt", untidy, "--diff").stdout and untidy.read_text() == 'erase   "a"'
    assert tracec("fmt", untidy).exit_code == 0 and untidy.read_text() == 'erase "a"\n'
    (here / "latin.erase").write_bytes(b'erase "\xe9"')
    assert tracec("fmt", write(here, e="erase")).exit_code == tracec("fmt", here / "latin.erase").exit_code == 1


def test_diff_and_breaking(here: Path) -> None:
    helps(
        "diff",
        "recipes, plans, - for standard input, or REV:path for a version in git.",
        "Without B, a REV:path is compared with the file in the working tree.",
        "Exits with 0 if both mean the same, with 1 if not, with 2 if they cannot be compared.",
    )
    helps(
        "breaking",
        "Exits with 0 if they promise no less, or are new since that revision; with 1 if one does; with 2 if two "
        "cannot be compared.",
        "--against REV|FILE What was promised: a revision, REV:path or a file.",
        "--json As --format json.",
    )
    one, other = write(here, a=GOOD), write(here, b=GOOD.replace('"a"', '"c"'))
    tracec("compile", one)
    assert tracec("diff", one, here / "a.plan.json").exit_code == 0
    assert tracec("diff", other, "-", stdin=GOOD).exit_code == 1
    assert tracec("diff", one).exit_code == 2 and tracec("diff", one, write(here, e="erase")).exit_code == 2
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q"], ["add", "a.erase"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True, cwd=here)
    assert tracec("diff", "HEAD:a.erase").exit_code == 0
    one.write_text(other.read_text())
    assert tracec("diff", "HEAD:a.erase").exit_code == 1
    for old, code in (("HEAD", 1), ("HEAD:a.erase", 1), ("a.plan.json", 1), ("b.erase", 0)):
        assert tracec("breaking", "a.erase", "--against", old).exit_code == code, old
    assert tracec("breaking", "b.erase", "--against", "HEAD").exit_code == 0
    helps("diff", "--json As --format json.")
    assert tracec("diff", one, other, "--json").stdout == tracec("diff", one, other, "--format", "json").stdout


def test_plan(here: Path) -> None:
    helps(
        "plan",
        "Show what RECIPE would change in a model: tensors, windows, cost, predicted collateral.",
        "--config-only Read no weights: leave the predicted collateral out.",
        "--detailed-exitcode 0 nothing to do, 1 error, 2 changes.",
    )
    words = ["plan", write(here, r='erase "cat" preserve "dog"'), "--model", "tiny", "--device", "cpu"]
    whole, bare = (json.loads(tracec(*words, *more, "--json").stdout) for more in ([], ["--config-only"]))
    assert set(whole) - set(bare) == {"collateral", "residual"} and whole["tensors"] and whole["passes"][0]["windows"]
    assert whole["passes"][0]["rows"]["trained"] > 0 and whole["collateral"]["erased"]
    assert tracec(*words, "--detailed-exitcode", "--model", "nowhere").exit_code == 1


def test_init(here: Path) -> None:
    helps(
        "init",
        "Write a first recipe with comments to FILE (recipe.erase; - for standard output).",
        "[default: cat]",
        "[default: object]",
        "--force Replace a FILE that exists.",
    )
    tracec("init")
    text = Path("recipe.erase").read_text()
    assert 'names "cat"' in text and "kind object" in text and "#" in text
    assert tracec("init", "-").stdout == text
    assert all(kind in tracec("init", "--help").stdout for kind in KINDS)


def test_rule(here: Path) -> None:
    helps(
        "rule", "Explain the finding CODE: what it means, why it is made, an example, the remedy.", "Without, list all."
    )
    assert len(re.findall(r"TL\d\d\d", tracec("rule").stdout)) > 50 and "erase" in tracec("rule", "TL401").stdout


def test_import(here: Path) -> None:
    helps(
        "import",
        "What a recipe cannot say is reported, and stands in it as a comment.",
        "-o, --output OUT Where the recipe goes: standard output.",
        "--force Replace an OUT that exists.",
    )
    Path("p.yaml").write_text('- target: "cat"\n  action: "erase"\n  guidance_scale: 1\n  resolution: 512\n')
    told = tracec("import", "leco", "p.yaml")
    assert told.exit_code == 0 and 'erase "cat"' in told.stdout
    lost = re.findall(r"(?:warning|note)\[(TL13[23])\]: (.*)", told.stderr)
    assert lost and "#" in told.stdout
    tracec("import", "leco", "p.yaml", "-o", "x.erase")
    before = Path("x.erase").read_bytes()
    assert tracec("import", "leco", "p.yaml", "-o", "x.erase").exit_code == 1
    assert tracec("import", "leco", "p.yaml", "-o", "x.erase", "--force").exit_code == 0
    assert Path("x.erase").read_bytes() == before


def test_sample(here: Path) -> None:
    helps(
        "sample",
        "[default: samples.png]",
        "Images per prompt. [default: 6; 1<=x<=64]",
        "Sampler steps. [default: 20; 2<=x<=1000]",
        "Default: the model's own.",
        "Another model, drawn below with the same seeds.",
    )
    words = ["sample", "tiny", "--prompt", "a cat", "--count", "1", "--steps", "2", "--device", "cpu"]
    assert tracec(*words).exit_code == 0
    recipe = write(here, r='erase "cat" preserve "dog" method uce')
    tracec("apply", recipe, "--model", "tiny", "--device", "cpu", "--out", "out")
    assert tracec(*words, "--against", "out", "--out", "both.png").exit_code == 0
    (width, height), (_, taller) = (Image.open(path).size for path in ("samples.png", "both.png"))
    assert taller > height and width
    assert tracec(*words, "--count", "65").exit_code == tracec(*words, "--steps", "1").exit_code == 2


@pytest.mark.parametrize("command", ["plan", "apply", "sample", "verify"])
def test_where_to_compute(command: str) -> None:
    helps(
        command,
        "cpu, cuda, cuda:1, mps. Default: the best there is.",
        "Default: float32; bfloat16 where the model is stored in it and the device is not the CPU.",
    )


def test_verdicts() -> None:
    helps(
        "verify",
        "Exits with 0 where every expectation was shown to hold, 1 where one was shown not to, 3 where "
        "that stays open, and 2 where nothing could be measured.",
    )
    helps("merge", "Exits as `verify` does.")
    assert tracec("verify", "nowhere").exit_code == tracec("merge", "nowhere").exit_code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_line_and_help(command: str) -> None:
    assert COMMANDS[command].endswith(".") and tracec(command, "--help").stdout.startswith(f"Usage: main {command}")
