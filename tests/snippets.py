"""Snippets in text files: a line `### note` starts one, so that a case is added without touching Python."""

from __future__ import annotations

from pathlib import Path


def snippets(path: Path) -> list[tuple[str, str]]:
    """Pairs of note and text."""
    blocks = path.read_text("utf-8").split("### ")[1:]
    return [(note, text.rstrip("\n")) for note, _, text in (block.partition("\n") for block in blocks)]
