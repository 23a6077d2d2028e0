"""A pass is added with a file that declares it and one that carries it out, and everything knows it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests import reference
from tests.engine import plans
from tests.engine.plans import erasure, plan, refine
from tests.engine.toy import Toy
from tests.extending.conftest import Add
from tracelang.diagnostics import Source
from tracelang.plan.bind import BindError
from tracelang.plan.breaking import Version, breaking
from tracelang.plan.changes import changes
from tracelang.plan.compile import compile, compile_with_findings, located
from tracelang.plan.explain import explain
from tracelang.plan.load import parsed
from tracelang.plan.places import Places
from tracelang.semantics.kinds import PASSES, declared

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.erase"))

DECLARED = '''
from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import number, sites
from tracelang.semantics.kinds import Pass
from tracelang.semantics.values import Layers


@dataclass(frozen=True, slots=True)
class Dampen(Pass):
    """Keeping a share of what the closed forms before it changed."""

    kind: str = "dampen"
    label: str = "dampen"
    on: Layers = sites("prompt", "layers whose change is dampened")
    share: float = number(0.5, "share of the change that stays", above=0, high=1, more=True)
    closed_form = True
'''

CARRIED_OUT = '''
from __future__ import annotations

from dataclasses import replace
from typing import Literal

from tracelang.engine.edit import Edit
from tracelang.engine.options import Options
from tracelang.engine.text_map import TextMap
from tracelang.models.protocol import TextSide
from tracelang.plan.bind import BoundPass
from tracelang.plan.types import Plan
from tracelang.semantics.passes.dampen import Dampen

needs: Literal["text", "model"] = "text"


def run(part: BoundPass, plan: Plan, text: TextSide, edit: Edit, options: Options) -> Edit:
    """`I + s·(T − I)` for every map `T` of the layers."""
    settings = part.settings
    assert isinstance(settings, Dampen)
    made = {T: TextMap(settings.share * T.left, T.right) for T in edit.maps.values()}
    return replace(edit, maps={site: made[T] if site in part.sites else T for site, T in edit.maps.items()})
'''

TEXT = """tracelang 1
erase "cat"
preserve "dog"
define method mine { refine {} dampen { share = 0.25 } }
method mine
"""


def codes(text: str) -> list[tuple[str, str]]:
    return [(one.code, one.message) for one in compile_with_findings(text)[1] if one.severity == "error"]


def test_a_file_declares_a_pass_and_a_file_carries_it_out(add: Add) -> None:
    digests = [compile(path).digest for path in RECIPES]
    assert codes(TEXT) == [("TL205", "no pass is called `dampen`")]

    add(PASSES, "dampen", DECLARED)
    assert codes(TEXT) == []
    assert codes(TEXT.replace("share = 0.25", "share = 2")) == [("TL213", "`share` is above 0 and at most 1")]
    assert codes(TEXT.replace("share", "shere")) == [("TL206", "the pass `dampen` has no setting `shere`")]

    made = compile(TEXT)
    assert "  dampen {\n    on = prompt\n    share = 0.25\n  }\n" in explain(made)
    assert compile(explain(made)).digest == made.digest
    assert parsed(Source("x", made.to_json())) == made
    assert [compile(path).digest for path in RECIPES] == digests

    less = TEXT.replace("0.25", "0.125")
    assert [str(one) for one in changes(made, compile(less))] == ["~ method dampen.share 0.25 -> 0.125"]
    here = located(less)
    assert here is not None
    found = breaking(Version(made, None), Version(compile(less), Places(here)))
    assert [(one.code, one.message) for one in found] == [("TL419", "dampen.share is lower: 0.125 instead of 0.25")]

    does = "keeping a share of what the closed forms before it changed"
    assert ("`dampen`", f"*not yet*: {does}") in reference.passes()
    row = ("`dampen.share`", "number", "`0.5`", "above 0, at most 1", "–", "share of the change that stays")
    assert row in reference.rows()

    dampen = declared(PASSES, "dampen")
    steps = plan((erasure("cat"),), refine(), dampen(share=0.25))
    with pytest.raises(BindError, match=r"dampen: `dampen` \(keeping a share .*\) is not carried out yet"):
        plans.bound(steps, Toy())

    add("tracelang.engine.passes", "dampen", CARRIED_OUT)
    assert ("`dampen`", does) in reference.passes()
    whole, part = (plans.run(one, Toy()) for one in (plan((erasure("cat"),), refine()), steps))
    assert part.maps.keys() == whole.maps.keys()
    for site, T in whole.maps.items():
        eye = torch.eye(len(T.left), dtype=T.left.dtype)
        torch.testing.assert_close(part.maps[site].dense() - eye, 0.25 * (T.dense() - eye))


def test_the_file_is_gone_with_the_test() -> None:
    assert codes(TEXT) == [("TL205", "no pass is called `dampen`")]
