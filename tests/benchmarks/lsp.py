"""What the language server costs: `python -m tests.benchmarks.lsp [--lines N] [--asked N]`.

A recipe of 1,000 lines, open in a server of its own; a client asks over stdio, as an editor does, at places all over
it. Each question is asked of the text at rest, and right after a key was pressed, when all of it has to be read anew;
now and then the server is looking for findings meanwhile, as it would. Between the questions the same text is linted in
this process, warm: all on the wall's clock, which other work stretches alike. Prints the 95th percentile of hover and
completion, the median lint, and their ratios beside the bar; exits with 1 if one is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from tests.benchmarks.lint import recipe
from tests.lsp.editor import Editor, editor
from tracelang.diagnostics import Source
from tracelang.semantics.rules.lint import Lint

RATIO = 2.0


def questions(text: str, count: int) -> list[tuple[str, str]]:
    """Texts with a place marked in them, for hover and for completion: names that are used, all over the recipe."""
    rows = text.split("\n")
    names = [i for i, row in enumerate(rows) if row.startswith(("erase c", "preserve g"))]
    found = []
    for at in random.Random(0).sample(names, count):
        word, _, name = rows[at].partition(" ")
        before, after = rows[:at], rows[at + 1 :]
        found.append(
            (
                "\n".join([*before, f"{word} {name[0]}|{name[1:]}", *after]),
                "\n".join([*before, f"{word} {name[0]}|", *after]),
            )
        )
    return found


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def measured(one: Editor, text: str, count: int) -> dict[str, list[float]]:
    """Seconds of each question and of a lint, in turn."""
    lint = Lint(one.folder, one.folder, date(2026, 11, 23))
    taken: dict[str, list[float]] = {"lint": []}
    lint.findings(Source("r.erase", text))
    for n, (hover, completion) in enumerate(questions(text, count)):
        for what, ask, marked in (("hover", one.hover, hover), ("completion", one.offered, completion)):
            assert ask("r.erase", marked)
            taken.setdefault(f"{what} at rest", []).append(seconds(partial(one.again, what)))
            taken.setdefault(f"{what} as typed", []).append(seconds(partial(ask, "r.erase", f"{marked}# {n}")))
        taken["lint"].append(seconds(lambda: lint.findings(Source("r.erase", text))))
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000)
    parser.add_argument("--asked", type=int, default=40)
    options = parser.parse_args()
    text = recipe(options.lines + 2)
    with tempfile.TemporaryDirectory() as folder, editor(Path(folder)) as one:
        one.hover("r.erase", "|" + text)
        taken = measured(one, text, options.asked)
    lint = median(taken.pop("lint"))
    print(f"a lint of {options.lines:,} lines: {lint * 1e3:.0f} ms (median of {options.asked})")
    missed = 0
    for what, times in taken.items():
        slow = quantiles(times, n=20)[-1]
        ratio = slow / lint
        missed += ratio > RATIO
        verdict = "met" if ratio <= RATIO else "MISSED"
        print(f"{what:22} {slow * 1e3:7.0f} ms at the 95th percentile   {ratio:5.2f}   <= {RATIO:.2f}  {verdict}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
