"""Adding a file to one of the package's folders while it runs: what stands there is what there is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

Add = Callable[[str, str, str], None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Adds a file of this name and text to a package, before the files that are there, until the test is over."""

    def put(package: str, name: str, text: str) -> None:
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{name}.py").write_text(text, "utf-8")
        home = import_module(package)
        monkeypatch.setattr(home, "__path__", [str(folder), *home.__path__])
        for table, key in ((sys.modules, f"{package}.{name}"), (vars(home), name)):
            monkeypatch.setitem(table, key, None)  # what was there comes back
            del table[key]

    return put
