"""The base dependencies alone, in a clean environment, are enough for everything that needs no model.

The environment is the one that the GitHub Action's install step makes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adoption.test_action import run as run_step

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]

COMMAND_LINES = [
    "init fresh.erase",
    "compile r.erase",
    "compile --check nsfw.erase",
    "explain r.plan.json",
    "import uce flags.txt -o imported.erase",
    "lint r.erase",
    "fmt --check r.erase",
    "diff r.erase other.erase",
    "breaking --against r.erase other.erase",
    "explain --prompts nsfw.erase",
    "rule TL201",
    "rule --all --format json",
    "doctor",
    "cache",
    "--help",
]
CODES = {"breaking": {0, 1}, "diff": {0, 1}}
"""What a command may end with beside 0: `other.erase` is another policy than `r.erase`."""


@pytest.fixture(scope="module")
def tracec(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Run:
    folder = tmp_path_factory.mktemp("base")
    (folder / "work").mkdir()
    (folder / "runner").mkdir()
    done, outputs = run_step("install", folder, VERSION="", ACTION_PATH=str(checkout))
    assert done.returncode == 0, done.stderr
    work = folder / "work"
    (work / "r.erase").write_text(
        'erase "cat"\npreserve "dog", "horse"\n\nexpect {\n  shown("cat") <= 5%\n}\n', "utf-8"
    )
    (work / "other.erase").write_text('erase "cat", "fox"\npreserve "dog", "horse"\n', "utf-8")
    (work / "flags.txt").write_text("--concepts 'cat, fox' --guided_concepts dog\n", "utf-8")
    (work / "lists").mkdir()
    for name in ("nsfw.erase", "lists/nudity.txt", "lists/everyday.csv"):
        (work / name).write_bytes((checkout / "recipes" / name).read_bytes())
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*arguments: str, program: str = "tracec") -> subprocess.CompletedProcess[str]:
        command = [str(Path(outputs["tracec"]).with_name(program)), *arguments]
        return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)

    return call


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_commands_without_a_model(tracec: Run, line: str) -> None:
    words = line.split()
    done = tracec(*words)
    assert done.returncode in CODES.get(words[0], {0}), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_heavy_came_along(tracec: Run) -> None:
    code = "import importlib.util as u; print([m for m in ('torch', 'numpy', 'diffusers', 'yaml') if u.find_spec(m)])"
    assert tracec("-c", code, program="python").stdout.strip() == "[]"


def test_what_needs_more_says_what(tracec: Run) -> None:
    assert "tracelang[run]" in tracec("sample", "x", "--prompt", "y").stderr
    (done,) = [tracec("import", "leco", "r.erase")]
    assert done.returncode == 1 and "tracelang[import]" in done.stderr


def test_every_package_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "tracelang").rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} <= set(listed)


def test_the_wheel_is_small(checkout: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(checkout)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith("tracelang-") and wheel.stat().st_size < 1.29 * 10**6
