"""Is a test that holds a row of an audit still there?"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]


def held(place: str) -> bool:
    """`test_file.test_name` of these tests, `folder/test_file.test_name` of others."""
    file, name = place.split(".")
    return name in _tests(f"{file}.py" if "/" in file else f"evidence/{file}.py")


@cache
def _tests(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
