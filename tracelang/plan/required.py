"""What a configuration requires of every recipe: to promise at least what certain files promise."""

from __future__ import annotations

import os
from pathlib import Path

from tracelang.diagnostics import Diagnostic, Findings, Label, Source
from tracelang.plan.breaking import Version, breaking
from tracelang.plan.lower import lower
from tracelang.plan.places import Places
from tracelang.semantics.config import Config
from tracelang.semantics.program import File
from tracelang.semantics.resolve import Resolution, resolve
from tracelang.semantics.rules.lint import Lint
from tracelang.syntax.parser import recover
from tracelang.syntax.read import MAX_RECIPE_BYTES, read

SHOWN = 5
"""How many of the promises that are not made a finding names."""


def unmet(source: Source, lint: Lint, config: Config) -> list[Diagnostic]:
    """One finding for each required file of which the recipe promises less; and what is wrong in such a file.

    A file of definitions promises nothing, and neither need a required file, nor what that reads.
    """
    found: list[Diagnostic] = []
    mine = _resolved(source, lint, Findings())
    if mine is None:
        return found
    after = _version(mine)
    for path, named in config.require:
        shown = os.path.relpath(path)
        report = Findings()
        text = read(Path(path), shown, MAX_RECIPE_BYTES, report, unsaved=lint.unsaved)
        there = Path(shown)
        required = None
        if text is not None:
            required = _resolved(
                text.source, Lint(there.parent, lint.root, lint.today, path=there, unsaved=lint.unsaved), report
            )
        if required is None:
            found += report.in_order()
        elif lint.path is None or os.path.realpath(lint.path) not in {
            os.path.realpath(file.source.path) for file in required.files
        }:
            found += _less(_version(required), after, shown, named)
    return found


def _less(before: Version, after: Version, shown: str, named: str) -> list[Diagnostic]:
    missing = breaking(before, after)
    if not missing:
        return []
    told = "; ".join(dict.fromkeys(one.message for one in missing[:SHOWN]))
    more = f"; and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    mine = after.here.start
    include = os.path.relpath(shown, os.path.dirname(mine.source.path) or ".").replace(os.sep, "/")
    return [
        Diagnostic(
            "TL429",
            "error",
            f"the recipe promises less than `{shown}`, which {named} requires",
            Label(missing[0].primary.span),
            missing[0].secondary,
            help=f'write `include "{include}"`, or raise what it names',
            note=f"against that file, {told}{more}",
        )
    ]


def _resolved(source: Source, lint: Lint, report: Findings) -> Resolution | None:
    file = recover(source, report)
    if file is None:
        return None
    return resolve(
        file, report, folder=lint.folder, root=lint.root, given=lint.given, path=lint.path, unsaved=lint.unsaved
    )


def _version(resolution: Resolution) -> Version:
    source = resolution.file.source
    data = source.text.encode("utf-8", "surrogatepass")
    return Version(lower(resolution.program, File(os.path.basename(source.path), data, "recipe")), Places(resolution))
