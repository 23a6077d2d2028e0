"""What README and the pages beside the reference say, each sentence beside its check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pages.reading import (
    ADOPTION,
    ARCHITECTURE,
    COMMANDS_PAGE,
    EVIDENCE,
    LANGUAGE,
    PAGES,
    README,
    ROOT,
    STYLE,
    flat,
    plan,
    says,
    tracec,
    write,
)
from tracelang import api
from tracelang.cli import COMMANDS
from tracelang.plan.compile import compile


@says(
    ADOPTION,
    "`--kind` says what the concept is (`object`, `style`, `identity`, `explicit`, `protected`), `--toward` what "
    "shall be drawn instead.",
    "A file that exists is kept unless `--force` is given.",
)
def test_first_recipe(here: Path) -> None:
    for kind in ("object", "style", "identity", "explicit", "protected"):
        path = here / f"{kind}.erase"
        assert tracec("init", path, "--concept", "cat", "--kind", kind, "--toward", "dog").exit_code == 0
        found = compile(path)
        assert found.erase[0].anchor is not None and found.concept(found.erase[0].targets[0]).kind == kind
    before = path.read_bytes()
    assert tracec("init", path, "--concept", "fox").exit_code != 0 and path.read_bytes() == before
    assert tracec("init", path, "--concept", "fox", "--force").exit_code == 0 and path.read_bytes() != before


@says(
    STYLE,
    "Lines have at most 100 columns.",
    "a plan's digest never changes by it.",
)
def test_style(here: Path) -> None:
    path = write(here, r="erase " + ", ".join(f'"thing {i}"' for i in range(30)) + ' toward "dog"')
    before = compile(path).digest
    tracec("fmt", path)
    assert max(map(len, path.read_text().splitlines())) <= 100 and compile(path).digest == before


@says(
    EVIDENCE,
    "| 0 | every expectation was shown to hold, and everyday pictures were not lost |",
    "| 1 | one was shown not to, or everyday pictures were shown to be lost |",
    "| 130 | interrupted;",
)
def test_verdicts(here: Path) -> None:
    from tracelang.cli.apply import INTERRUPTED
    from tracelang.cli.refusals import CODES

    assert sorted(CODES.values()) == [0, 1, 3] and INTERRUPTED == 130


@says(
    EVIDENCE,
    "`paraphrase`, `ring_a_bell`, `p4d`, `unlearn_diff_atk`, `textual_inversion`, `inverse_map`, `mma`, "
    "`complete`, `inpaint`, `noise`, `classifier`, `inversion`.",
)
def test_attacks(here: Path) -> None:
    from tracelang.evidence.attacks import ATTACKS

    assert ", ".join(f"`{name}`" for name in ATTACKS) in flat(EVIDENCE.read_text())


@says(
    EVIDENCE,
    "Further judges are entry points of the group `tracelang.judges`.",
)
def test_judges(here: Path) -> None:
    from importlib.metadata import entry_points

    written = set(re.findall(r"^\| `(\w+)` \|", EVIDENCE.read_text().split("## Judges")[1].split("## What")[0], re.M))
    assert written == {point.name for point in entry_points(group="tracelang.judges")}


@says(
    README,
    "`--model` takes a folder in diffusers layout, a single `.safetensors` file (which comes out as one), a hub id, or "
    "an embedded name (`tracec models`).",
)
def test_embedded(here: Path) -> None:
    text = tracec("models").stdout
    assert "micro-sd  (sd1, embedded)" in text and "micro-flux  (flux, embedded)" in text
    bound = api.bind(plan('erase "a"'), "micro-sd")
    assert bound.family.name(bound.folder) == "sd1"
    assert api.bind(plan('erase "a"'), here / "tiny").family.name(here / "tiny") == "sd1"


@says(
    README,
    "`micro-sd` has Stable Diffusion's exact layout, `micro-flux` FLUX.1-dev's, eleven and twelve megabytes of "
    "weights;",
)
def test_size(here: Path) -> None:
    for name, megabytes in (("micro-sd", 11), ("micro-flux", 12)):
        folder = api.bind(plan('erase "a"'), name).folder
        assert round(sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 1e6) == megabytes


@says(
    ARCHITECTURE,
    "The shipped method is TRACE (arXiv 2505.23312), written as a recipe in `recipes/methods/trace.erase`:",
)
def test_trace(here: Path) -> None:
    assert [step.kind for step in plan('erase "a"').method.passes] == ["steer", "refine"]
    assert "2505.23312" in (ROOT / "recipes" / "methods" / "trace.erase").read_text()


@says(
    STYLE,
    "One statement a line; at most one blank line, where the author left one.",
    "A text is never broken.",
    "UTF-8, line feeds, no space at the end of a line; a byte order mark stays if there is one.",
    "A block whose first item stands below its brace keeps one item a line, indented by two spaces;",
    "It reads back what it made and writes nothing unless tree and comments are the same;",
    "A line for which a `# tracec: allow` comment speaks keeps its words, however long it is, and gets no others.",
)
def test_the_style_of_a_file(here: Path) -> None:
    long = "word " * 30 + "end"
    path = here / "r.erase"
    block = 'concept c {\r\nnames "n"   probes "p"\r\n\r\n}'
    allowed = "preserve " + ", ".join(f'"kept {i} c"' for i in range(12)) + "  # tracec: allow TL401 as they are"
    text = f'\ufefferase   c   \r\n\r\n\r\n\r\nerase "{long}" preserve "b"\r\n{block}\r\n{allowed}\r\n'
    path.write_bytes(text.encode())
    assert tracec("fmt", path).exit_code == 0
    tidy = path.read_bytes().decode()
    assert tidy.startswith("\ufefferase c\n\nerase ") and f'"{long}"' in tidy and "\r" not in tidy
    assert tidy.count("\nerase ") == 1 and "\npreserve " in tidy and "  names " in tidy
    assert all(line == line.rstrip() for line in tidy.splitlines())
    assert any(line.split() == allowed.split() for line in tidy.splitlines())
    assert tracec("fmt", path, "--check").exit_code == 0


@says(README, "engine, attacks, evidence and backends are tested on a stand-in that refuses it.")
def test_the_stand_in_for_an_apple_gpu() -> None:
    tests = [(ROOT / "tests" / path).read_text() for path in ("engine/test_exact.py", "backends/test_apple.py")]
    assert all("with gpu():" in text for text in tests)


def commands() -> list[str]:
    """Every line of a shell block in the pages that starts with `tracec`, without its comment."""
    found = []
    for page in (README, ADOPTION, COMMANDS_PAGE, EVIDENCE):
        for block in re.findall(r"^```(?:sh)?\n(.*?)^```$", page.read_text(), re.M | re.S):
            lines = [line.removeprefix("$ ").partition("  #")[0].strip() for line in block.splitlines()]
            found += [line for line in lines if line.startswith("tracec ")]
    return found


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_pages_exist_with_their_options(line: str) -> None:
    _, name, *rest = line.split()
    inner = [rest[0]] if name == "rate" else []  # a group of commands
    text = tracec(name, *inner, "--help").stdout
    for option in (word for word in rest if word.startswith("--")):
        assert option in text, option


def test_the_help_of_a_command_says_what_the_table_of_commands_says() -> None:
    text = tracec("--help").stdout
    assert all(re.search(rf"^  {name} +{re.escape(line[:40])}", text, re.M) for name, line in COMMANDS.items())


def test_the_page_of_commands_has_all_of_them() -> None:
    written = re.findall(r"^\| `(\w+)` \| ([A-Z][^|]*) \|", COMMANDS_PAGE.read_text(), re.M)
    assert dict(written) == COMMANDS and [name for name, _ in written] == list(COMMANDS)


@says(COMMANDS_PAGE, "An error leaves no plan; a warning does not stand in its way,")
@says(LANGUAGE, "[`tracec verify`](evidence.md) measures it.", "The families that this version can edit are")
def test_no_page_says_what_was_so_once() -> None:
    """That expectations are measured by nothing, that every finding is an error, that one family can be edited."""
    once = ("No command of this version measures", "Every finding is an error", "the only family", "one family can be")
    for page in PAGES:
        text = flat(page.read_text("utf-8"))
        assert not [sentence for sentence in once if sentence in text], page.name


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"])
def test_links_of_the_pages_at_the_top(name: str) -> None:
    page = ROOT / name
    for link in re.findall(r"\]\(([^)#\s]+)\)", page.read_text("utf-8")):
        assert (page.parent / link).exists(), link
