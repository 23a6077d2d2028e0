"""What `tracec lint` costs: `python -m tests.benchmarks.lint [--runs N] [--against REV]`.

Start-up, as ratios to bare `python -c pass` of the same interpreter, the sides taking turns, the best of each, in
processor time (user and system), which other work on the machine does not stretch as it does the clock on the wall: a
cold lint of a 100-line recipe that is clean, and `--help`. They run in an environment made for it, with the packages
laid out and byte-compiled as pip installs them: an editable installation makes the bare interpreter itself slower,
which flatters, and an environment that forbids writing bytecode would have every module compiled again in every run.
`--against REV` has an older commit take its turns in the same run, and prints the ratio of the two.

Throughput, as statements a second of processor time from text to findings in a process that has linted before:
generated recipes of 10,000 and 100,000 statements of every sort (the larger one is past the size of a file that the
command reads, so it is measured in the process). The same growth for a text of nothing but mistakes, by its length, and
for a set of pairs, by its members.
Prints each beside its bar and exits with 1 if one is missed.
"""

from __future__ import annotations

import argparse
import compileall
import gc
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from datetime import date
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import process_time

import click

from tracelang.cli.collecting import without_collecting
from tracelang.diagnostics import Findings, Source
from tracelang.semantics.rules.lint import Lint
from tracelang.syntax.parser import parse

TOP = Path(__file__).parents[2]
TRACEC = "from tracelang.cli import run; run()"
BEFORE = "import tracelang.cli as cli; getattr(cli, 'run', cli.main)()"
"""The same of a commit that may be older than `run`."""
LINT_RATIO, HELP_RATIO, THROUGHPUT, GROWTH, SAME = 6.0, 4.0, 4_000.0, 1.3, 1.03

HEAD = """tracelang 1
recipe "generated" { summary = "A long policy."  review_by = "2999-01-01" }
erase "thing 0" preserve "statue" expect over 200 samples { shown("thing 0") <= 5% kept("statue") >= 90% }
"""


def recipe(count: int) -> str:
    """A recipe of so many statements, one a line after the head, that use one another and give no warning."""
    rows = []
    for n in range(1, (count - 5) // 8 + 1):
        rows += [
            f'concept c{n} {{ names "thing {n}", "little thing {n}" probes "probe {n}" }}',
            f'group g{n} = "dog {n}", "horses {n} and a cart"',
            f"erase c{n}",
            f"preserve g{n} weight 0.5",
            f"expect over 200 samples {{ shown(c{n}) <= 5% }}",
            f'erase "boat {n}" toward "ship {n}" degree 90%',
            f'preserve "painting of a house {n}"',
            f'preserve "stones {n}", "trees {n}"',
        ]
    rows += [f'preserve "rest {n}"' for n in range(count - 5 - len(rows))]
    return HEAD + "\n".join(rows) + "\n"


def installed(folder: Path, top: Path) -> str:
    """The interpreter of an environment that holds the package as it is in `top`, and what a command line needs."""
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", where], capture_output=True, check=True, text=True).stdout.strip())
    skip = shutil.ignore_patterns("__pycache__", "grammar", "recipes")
    shutil.copytree(top / "tracelang", site / "tracelang", ignore=skip)
    for name in ("grammar", "recipes"):
        shutil.copytree(top / name, site / "tracelang" / name)
    shutil.copytree(Path(str(click.__file__)).parent, site / "click", ignore=skip)
    compileall.compile_dir(site, quiet=1)
    return python


def checked_out(folder: Path, revision: str) -> Path:
    """The tree of a commit."""
    packed = subprocess.run(["git", "archive", revision], cwd=TOP, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def start_up(runs: int, against: str | None) -> dict[str, float]:
    """Least processor seconds of each command, all in turn, the first round (which fills caches) left out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        now = installed(folder / "now", TOP)
        path = folder / "r.erase"
        text = recipe(102)
        assert text.count("\n") == 100
        path.write_text(text, "utf-8")
        lint, help = (TRACEC, "lint", str(path)), (TRACEC, "--help")
        commands = {"bare": (now, ("pass",)), "lint": (now, lint), "help": (now, help)}
        if against:
            before = installed(folder / "before", checked_out(folder / "tree", against))
            commands |= {"lint before": (before, (BEFORE, *lint[1:])), "help before": (before, (BEFORE, *help[1:]))}

        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

        def seconds(python: str, words: tuple[str, ...]) -> float:
            before = getrusage(RUSAGE_CHILDREN)
            done = subprocess.run([python, "-c", *words], cwd=folder, env=environment, capture_output=True, check=False)
            after = getrusage(RUSAGE_CHILDREN)
            assert done.returncode == 0 and not done.stderr, done
            return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

        taken = [{name: seconds(*how) for name, how in commands.items()} for _ in range(runs + 1)][1:]
    return {name: min(one[name] for one in taken) for name in commands}


def throughput(count: int, runs: int) -> float:
    """Statements a second, the best of some runs."""
    lint = Lint(Path(), Path(), date(2026, 11, 23))
    text = recipe(count)
    best = float("inf")
    for _ in range(runs):
        gc.collect()
        with without_collecting():  # as the command does
            start = process_time()
            found = lint.findings(Source("generated.erase", text))
            best = min(best, process_time() - start)
        assert not found, [d.message for d in found[:3]]
    return count / best


def pairs(count: int, runs: int) -> float:
    """Least seconds a member of a lint of a set of pairs."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "things.txt").write_text("".join(f"thing {n}\n" for n in range(count)), "utf-8")
        text = HEAD + 'erase "child" & list "things.txt"\n'
        best = float("inf")
        for _ in range(runs):
            lint = Lint(Path(name), Path(name), date(2026, 11, 23))
            with without_collecting():
                start = process_time()
                found = lint.findings(Source("pairs.erase", text))
                best = min(best, process_time() - start)
            assert not found, [d.message for d in found[:3]]
    return best / count


def mistakes(size: int, runs: int) -> float:
    """Least seconds a character of reading a text with an error on every line."""
    text = ('erase "a\n@ \u201ca\u201d Aa\nearse = x \\\n}' * (size // 30 + 1))[:size]
    best = float("inf")
    for _ in range(runs):
        report = Findings()
        with without_collecting():
            start = process_time()
            parse(Source("mistakes.erase", text), report)
            best = min(best, process_time() - start)
        assert report.failed
    return best / size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--against", metavar="REV", help="a commit to compare the start-up with")
    options = parser.parse_args()
    time = start_up(options.runs, options.against)
    throughput(1_000, 1)
    small, large = throughput(10_000, 5), throughput(100_000, 2)
    rows = [
        ("cold lint of 100 lines / python -c pass", time["lint"] / time["bare"], "<=", LINT_RATIO),
        ("--help / python -c pass", time["help"] / time["bare"], "<=", HELP_RATIO),
        ("statements a second, 10,000 of them", small, ">=", THROUGHPUT),
        ("statements a second, 100,000 of them", large, ">=", THROUGHPUT),
        ("growth: seconds a statement, 100,000 / 10,000", small / large, "<=", GROWTH),
        ("growth: of mistakes, 500,000 / 50,000 letters", mistakes(500_000, 2) / mistakes(50_000, 3), "<=", GROWTH),
        ("growth: of a set of pairs, 20,000 / 2,000", pairs(20_000, 2) / pairs(2_000, 3), "<=", GROWTH),
    ]
    if options.against:
        rows += [
            (f"{name} / at {options.against[:9]}", time[name] / time[f"{name} before"], "<=", SAME)
            for name in ("lint", "help")
        ]
    print(", ".join(f"{name} {taken * 1e3:.1f} ms" for name, taken in time.items()))
    missed = 0
    for what, value, comparison, bar in rows:
        met = value <= bar if comparison == "<=" else value >= bar
        missed += not met
        print(f"{what:46} {value:10,.2f}   {comparison} {bar:,.2f}  {'met' if met else 'MISSED'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
