import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import random_flux
from random_sd import build

from tracelang.plan.types import Concept, Erasure, Method, Plan, Preservation, RecipeInfo
from tracelang_sd import StableDiffusion


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of some 65,000 UNet parameters. Read it; copy it before changing anything."""
    return build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def family() -> StableDiffusion:
    return StableDiffusion()


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Erase `cat`, preserve `dog`, by a method without passes."""
    info = RecipeInfo(name="no cats <b>at all</b>")
    cat, dog = (Concept(name=n, kind="object", names=(n,), probes=(), templates=("{}",)) for n in ("cat", "dog"))
    return Plan(
        recipe=info,
        concepts=(cat, dog),
        erase=(Erasure(targets=("cat",), anchor=None, away=False, degree=1),),
        preserve=(Preservation(concepts=("dog",), weight=1),),
        method=Method(name="trace", passes=()),
        expect=(),
        sources=(),
    )


@pytest.fixture(scope="module", params=["sd", "flux"])
def kind(request: pytest.FixtureRequest) -> str:
    """The family of `built` and `base`."""
    return str(request.param)


@pytest.fixture(scope="module")
def built(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random checkpoint. Read it; `base` is a copy to change."""
    return {"sd": build, "flux": random_flux.build}[kind](tmp_path_factory.mktemp("models") / kind)


@pytest.fixture
def base(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "base"))
