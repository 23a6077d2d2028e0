"""How a page's sentences are held: in the page's own words, above the check that they are so.

A sentence that is changed in a page has to be changed beside its check, with what it promises. Tables of the language
are held by `test_docs`; what needs a model's pictures, by the tests of the evidence.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from click.testing import CliRunner, Result

from tracelang.cli import main
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.plan.types import Plan
from tracelang.semantics.passes.refine import Refine
from tracelang.semantics.passes.steer import Steer

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
LANGUAGE, COMMANDS_PAGE, ADOPTION, EVIDENCE, STYLE, ARCHITECTURE = (
    ROOT / "docs" / f"{name}.md" for name in ("language", "commands", "adoption", "evidence", "format", "architecture")
)
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]

P = ParamSpec("P")


def says(page: Path, *sentences: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """The sentences of a page that a test holds. How the page's lines break does not matter."""

    def keep(check: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(check)
        def held(*args: P.args, **kwargs: P.kwargs) -> None:
            text = flat(page.read_text("utf-8"))
            for sentence in sentences:
                assert flat(sentence) in text, f"{page.name} no longer says: {sentence}"
            check(*args, **kwargs)

        return held

    return keep


def flat(text: str) -> str:
    """In one line, without the marks of lists and tables."""
    return " ".join(re.sub(r"^[-|>] ", "", text, flags=re.M).split())


def plan(recipe: str, **params: str) -> Plan:
    return compile(recipe, params=params)


def codes(recipe: str, **params: str) -> list[str]:
    """The errors of a recipe."""
    _, found = compile_with_findings(recipe, params=params)
    return sorted({one.code for one in found if one.severity == "error"})


def good(recipe: str) -> bool:
    return codes(recipe) == []


def same(*recipes: str) -> bool:
    return len({plan(recipe).digest for recipe in recipes}) == 1


def write(folder: Path, **files: str) -> Path:
    """`name="text"` becomes `name.erase`; the first is given back."""
    paths = [folder / f"{name}.erase" for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        path.write_text(text, "utf-8")
    return paths[0]


def tracec(*words: object, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def steer(recipe: str) -> Steer:
    return next(step for step in plan(recipe).method.passes if isinstance(step, Steer))


def refine(recipe: str) -> Refine:
    return next(step for step in plan(recipe).method.passes if isinstance(step, Refine))
