import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import random_flux
import random_sdxl
from random_sd import build


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of some 65,000 UNet parameters. Read it; copy it before changing anything."""
    return build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_sd2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny`, of Stable Diffusion 2.x's architecture."""
    return build(tmp_path_factory.mktemp("models") / "tiny-2", config="sd2")


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny`, of Stable Diffusion XL's architecture."""
    return random_sdxl.build(tmp_path_factory.mktemp("models") / "tiny-xl")


@pytest.fixture(scope="session")
def tiny_flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny`, of FLUX's architecture."""
    return random_flux.build(tmp_path_factory.mktemp("models") / "tiny-flux")
