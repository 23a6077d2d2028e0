"""No module needs itself, by whatever way round: those that import each other cannot be read, or tested, alone."""

from __future__ import annotations

import sys
from pathlib import Path

import grimp
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

PACKAGES = ("tracelang", "tracelang_flux", "tracelang_sd", "tracelang_micro")


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """The groups of modules that import each other, imports inside functions and for types alone counted too."""
    modules = sorted(graph.modules)
    number = {module: i for i, module in enumerate(modules)}
    arrows = [
        (i, number[other]) for module, i in number.items() for other in graph.find_modules_directly_imported_by(module)
    ]
    tails, heads = zip(*arrows, strict=True)
    matrix = coo_array(([1] * len(arrows), (tails, heads)), shape=(len(modules),) * 2)
    _, groups = connected_components(matrix, directed=True, connection="strong")
    members: dict[int, list[str]] = {}
    for module, group in zip(modules, groups, strict=True):
        members.setdefault(group, []).append(module)
    return [found for found in members.values() if len(found) > 1]


def test_no_import_circle() -> None:
    assert circles(grimp.build_graph(*PACKAGES, cache_dir=None)) == []


def test_a_circle_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "round_trip"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "there.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import round_trip.back\n"
    )
    (package / "back.py").write_text("def f():\n    import round_trip.there\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "round_trip" not in sys.modules
    assert circles(grimp.build_graph("round_trip", cache_dir=None)) == [["round_trip.back", "round_trip.there"]]
