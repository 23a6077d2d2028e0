from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lsp.editor import Editor, editor


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """An editor in an empty folder; one server for all tests of a module."""
    with editor(tmp_path_factory.mktemp("recipes")) as one:
        yield one
