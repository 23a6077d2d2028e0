"""A setting is added where a pass or a term declares it and where the engine uses it: no other recipe changes."""

from __future__ import annotations

from pathlib import Path

import torch

import tracelang
from tests import reference
from tests.engine import plans
from tests.engine.plans import erasure, plan, steer, term
from tests.engine.toy import Toy
from tests.extending.conftest import Add
from tests.extending.test_pass import codes
from tracelang.plan.compile import compile
from tracelang.plan.explain import explain
from tracelang.semantics.kinds import TERMS, declared

PACKAGE = Path(tracelang.__file__).parent
HOLD = (PACKAGE / "semantics" / "terms" / "hold.py").read_text("utf-8")
ENGINE = (PACKAGE / "engine" / "terms" / "hold.py").read_text("utf-8")

SETTING = '    ease: float = number(0.0, "how far it gives way to the empty prompt\'s prediction", low=0, high=1)\n'
LABEL = '    label: str = "hold"\n'
IMPORT = "from tracelang.semantics.kinds import Term\n"

WITHOUT = 'erase "cat" preserve "dog" define method m { steer { push {} keep {} } } method m'
WITH = 'erase "cat" preserve "dog" define method m { steer { push {} hold { ease = 0.5 } } } method m'


def test_a_line_declares_a_setting_and_a_line_uses_it(add: Add) -> None:
    before, shipped = compile(WITHOUT).digest, compile('erase "cat"').digest
    assert codes(WITH) == [("TL206", "the term `hold` has no setting `ease`")]
    assert LABEL in HOLD and IMPORT in HOLD and "return seen.before\n" in ENGINE

    declaration = HOLD.replace(LABEL, LABEL + SETTING)
    add(TERMS, "hold", declaration.replace(IMPORT, f"from tracelang.semantics.fields import number\n{IMPORT}"))
    assert codes(WITH) == []
    assert codes(WITH.replace("0.5", "2")) == [("TL213", "`ease` is from 0 to 1")]
    assert "hold during 0%..100% { weight = 1  ease = 0.5 }" in explain(compile(WITH))
    assert compile(explain(compile(WITH))).digest == compile(WITH).digest

    assert compile(WITHOUT).digest == before
    assert compile('erase "cat"').digest != shipped  # its method holds, and now says how

    means = "how far it gives way to the empty prompt's prediction"
    assert ("`steer.hold.ease`", "number", "`0`", "at least 0, at most 1", "`0`", means) in reference.rows()

    eased = "return seen.before + term.ease * (seen.empty - seen.before)\n"
    add("tracelang.engine.terms", "hold", ENGINE.replace("return seen.before\n", eased))
    hold = declared(TERMS, "hold")
    made = [
        plans.run(plan((erasure("cat"),), steer(terms=(term("push"), hold(ease=ease)))), Toy(), cache=None).adapters[0]
        for ease in (0.0, 0.5)
    ]
    pairs = zip(made[0].factors.values(), made[1].factors.values(), strict=True)
    assert any(not torch.equal(one.down, other.down) for one, other in pairs)
