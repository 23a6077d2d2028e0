"""Every layout that people hold works with every command, or is refused with the true reason."""

import pytest

from tests.layouts.judge import judge
from tests.layouts.rows import REFUSED, WORKS


@pytest.fixture(scope="module", autouse=True)
def states(tmp_path_factory):
    """One cache of text states for all: what is the same prompt side is encoded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACELANG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("row", [*WORKS, *REFUSED], ids=lambda row: row.name)
def test_the_layout(row, tmp_path):
    judged = judge(row, tmp_path, row.make(tmp_path, "tiny"))
    assert not judged.faults
