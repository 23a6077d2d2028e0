"""What the reference says of the passes `project`, `harden` and `rotate`, each sentence beside its check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.plans import run
from tests.engine.test_null_space import projecting
from tests.engine.toy import Toy
from tests.pages.reading import LANGUAGE, plan, says, tracec, write
from tracelang import api
from tracelang.engine.statements import constraints
from tracelang.plan.bind import BindError

BOTH = 'erase "cat" toward "dog" preserve "house", "ship"'


def edit(method: str, asked: str = BOTH) -> Any:
    made = plan(f"{asked} define method m {{ {method} }} method m")
    return api.apply(api.bind(made, "micro-sd"), device="cpu").edit


@says(
    LANGUAGE,
    "`project`, `harden` and `rotate` take `F` and `G` as `refine` does, `tokens` saying which.",
    "`project` holds what is preserved exactly, as far as `threshold` says; weights count in its mean Gram alone.",
    "`preserve prior` is held by all three.",
)
def test_what_statements_do() -> None:
    one, other = (
        run(projecting(preserve={"dog": weight}), Toy()).figures["project"]["tokens"] for weight in (1.0, 5.0)
    )
    assert one["leak"] < 1e-9 > other["leak"] and one["free"] == other["free"]
    assert one["residual"] == pytest.approx(other["residual"])
    for method in ("project { threshold = 0.1 }", "harden { rounds = 1 }", "rotate {}"):
        label = method.split()[0]
        assert f"{label}.prior" in edit(method, f"{BOTH} preserve prior").figures


@says(
    LANGUAGE,
    "`harden` searches other states in the place of `F`, and holds as `refine` does.",
    "`rotate` keeps what it turns away from `G` out of it and holds as `refine` does; a degree between 0% and 100% is "
    "an error there.",
)
def test_harden_and_rotate() -> None:
    (found,) = edit("harden { rounds = 1 }").figures["harden"].values()
    assert found["rounds"][0]["price"] != pytest.approx(1, abs=1e-3) and 0 < found["rounds"][0]["leak"] < 0.5
    with pytest.raises(BindError, match="has no degree"):
        api.bind(plan('erase "cat" degree 30% preserve "dog" method oce'), "micro-sd")
    told = edit("rotate {}").figures["rotate"].values()
    assert all(one["cosine"] < 0.5 and one["anchor_rank"] > 0 for one in told)


@says(
    LANGUAGE,
    "What `project` leaves free is told by `tracec plan` before anything is solved: how many directions, and how far "
    "each erased concept lies in them; a concept below `least_angle` is refused.",
    "What `filter` leaves out is not preserved.",
)
def test_what_is_free_is_told(here: Path) -> None:
    recipe = write(here, r=f"{BOTH} define method m {{ project {{ threshold = 0.1 }} }} method m")
    told = tracec("plan", recipe, "--model", "micro-sd", "--device", "cpu")
    assert told.exit_code == 0 and "of 128 directions of the text states (tokens) are free" in told.stdout
    assert "  cat" in told.stdout.partition("by a sine of:")[2]
    near = write(here, r=f"{BOTH} define method m {{ project {{ least_angle = 0.999 }} }} method m")
    told = tracec("plan", near, "--model", "micro-sd", "--device", "cpu")
    assert told.exit_code == 1 and "`least_angle` is 0.999" in told.stderr
    several = {name: 1.0 for name in ("dog", "fox", "owl", "cow")}
    kept, some = (
        run(projecting(preserve=several, filter=share), Toy()).figures["project"]["tokens"] for share in (0.0, 1.0)
    )
    assert kept["leak"] < 1e-6 < 1e-4 < some["leak"] and some["held_states"] < kept["held_states"]


@says(
    LANGUAGE,
    "A recipe with `rotate` has an edit of its own kind: whole matrices, which no LoRA and no map holds, and which go "
    "by `--emit folder` or `delta`.",
)
def test_what_a_turn_is_stored_as(here: Path) -> None:
    recipe = write(here, r=f"{BOTH} method oce")
    for form, code in (("lora", 1), ("map", 1), ("folder,delta", 0)):
        told = tracec(*("apply", recipe, "--model", "micro-sd", "--device", "cpu", "--out", form[:3], "--emit", form))
        assert told.exit_code == code, told.output
        assert code == 0 or "rotate" in told.stderr
    made = api.bind(plan(f"{BOTH} method oce"), "micro-sd")
    F = constraints(made.plan, made.plan.active, (), made.family.text(made.folder, "cpu", None), ["tokens"], "last")
    assert torch.isfinite(F["tokens"].F).all() and (here / "fol" / "delta.safetensors").is_file()
