"""What a page begins with, of a real edit."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.evidence.artifact import read
from tracelang.evidence.report.about import about, parameters
from tracelang_micro import micro_sd

MORE = """
erase "ship" away degree 50%
erase "tree"
"""


def numbers(file: Path) -> int:
    with safe_open(file, "np") as held:
        return sum(held.get_tensor(name).size for name in held.keys())  # noqa: SIM118


def test_it_names_what_was_erased_from_which_model_by_which_passes(tmp_path: Path) -> None:
    out = closed_form(tracelang.compile(RECIPE + MORE), tmp_path / "out")
    told = about(read(out))
    assert told.erased == ("dog, toward cat", "ship, away from it, by 50%", "tree, with no anchor")
    assert (told.model, told.family, told.method) == ("micro-sd", "sd1", "uce")
    ((label, does),) = told.passes
    assert label == "refine" and does.startswith("solving in closed form") and not does.endswith(".")
    assert told.parameters == sum(map(numbers, (out / "model").glob("*/*.safetensors"))) > 1e6


def test_a_single_file_is_counted_from_its_header() -> None:
    file = next((micro_sd() / "unet").glob("*.safetensors"))
    assert parameters(file) == numbers(file)
