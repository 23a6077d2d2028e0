"""From other tools' files to recipes: one module a tool, and the table of them.

What a recipe cannot say is never dropped in silence: it is a finding, and a comment in the recipe.
"""

from __future__ import annotations

from importlib import import_module

from tracelang.diagnostics import Findings, Source

TOOLS: dict[str, str] = {
    "leco": "prompts.yaml or config.yaml of LECO, or the TOML of kohya's",
    "spm": "prompt.yaml or config.yaml of SPM",
    "mace": "configuration of MACE or ANT, or a CSV of concepts with a column `type`",
    "uce": "script or page with the flags of UCE or RECE",
    "conceptmod": "line of rules of conceptmod, or the script with its `--phrase`",
}
"""Name: what kind of file. The module of that name has `convert(source, folder, report) -> Draft | None`."""

MAX_BYTES = 256 << 10
"""Larger than any such file in the field; PyYAML reads about this much in a few seconds."""

MAX_TABLE_BYTES = 4 << 20
"""Of a CSV, which may have a row for each picture."""


def limit(file: str) -> int:
    """So many bytes a file of that name may have."""
    return MAX_TABLE_BYTES if file.lower().endswith(".csv") else MAX_BYTES


def convert(tool: str, source: Source, folder: str, report: Findings) -> str | None:
    """The recipe that a file of `tool` stands for, or None where `report` has an error.

    `folder` is where the file lies: a configuration may name its prompts file, which must lie in there too.
    """
    draft = import_module(f"tracelang.importers.{tool}").convert(source, folder, report)
    if draft is not None:
        draft.decide()
    return None if draft is None or report.failed else draft.render()
