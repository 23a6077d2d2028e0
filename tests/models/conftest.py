import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "backends"))

from random_sd import build


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of some 65,000 UNet parameters. Read it; copy it before changing anything."""
    return build(tmp_path_factory.mktemp("models") / "tiny")
