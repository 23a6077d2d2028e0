"""A term is added with a file that declares it and one that carries it out, and everything knows it."""

from __future__ import annotations

import pytest
import torch

from tests import reference
from tests.engine import plans
from tests.engine.plans import erasure, plan, steer, term
from tests.engine.toy import Toy
from tests.extending.conftest import Add
from tests.extending.test_pass import RECIPES, codes
from tracelang.diagnostics import Source
from tracelang.plan.bind import BindError
from tracelang.plan.breaking import Version, breaking
from tracelang.plan.changes import changes
from tracelang.plan.compile import compile, located
from tracelang.plan.explain import explain
from tracelang.plan.load import parsed
from tracelang.plan.places import Places
from tracelang.semantics.kinds import TERMS

DECLARED = '''
from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import number
from tracelang.semantics.kinds import Term


@dataclass(frozen=True, slots=True)
class Fade(Term):
    """Fading the prediction for erased prompts toward the one for the empty prompt."""

    kind: str = "fade"
    label: str = "fade"
    share: float = number(0.5, "how far toward it", low=0, high=1, more=True)
    on = "erased"
'''

CARRIED_OUT = '''
from __future__ import annotations

from torch import Tensor

from tracelang.engine.rollout import Seen
from tracelang.semantics.terms.fade import Fade


def target(term: Fade, seen: Seen, degree: float) -> Tensor:
    """`pred°(X) + degree · share · (pred°(∅) − pred°(X))`."""
    return seen.conditional + degree * term.share * (seen.empty - seen.conditional)
'''

TEXT = """tracelang 1
erase "cat"
preserve "dog"
define method mine { steer { steps = 3 fade during late { share = 0.25 } keep {} } }
method mine
"""


def test_a_file_declares_a_term_and_a_file_carries_it_out(add: Add) -> None:
    digests = [compile(path).digest for path in RECIPES]
    assert codes(TEXT) == [("TL205", "`steer` has no term `fade`")]

    add(TERMS, "fade", DECLARED)
    assert codes(TEXT) == []
    assert codes(TEXT.replace("share = 0.25", "share = 2")) == [("TL213", "`share` is from 0 to 1")]
    assert codes(TEXT.replace("share", "shere")) == [("TL206", "the term `fade` has no setting `shere`")]

    made = compile(TEXT)
    assert "    fade during 20%..100% { weight = 1  share = 0.25 }\n" in explain(made)
    assert compile(explain(made)).digest == made.digest
    assert parsed(Source("x", made.to_json())) == made
    assert [compile(path).digest for path in RECIPES] == digests

    less = TEXT.replace("0.25", "0.125").replace("late", "30%..50%")
    assert [str(one) for one in changes(made, compile(less))] == [
        "~ method steer.fade.during 20%..100% -> 30%..50%",
        "~ method steer.fade.share 0.25 -> 0.125",
    ]
    here = located(less)
    assert here is not None
    found = breaking(Version(made, None), Version(compile(less), Places(here)))
    assert {one.code for one in found} == {"TL412", "TL419"}

    assert ("`fade`", "*not yet*: fading the prediction for erased prompts toward the one for the empty prompt") in (
        reference.terms()
    )
    row = ("`steer.fade.share`", "number", "`0.5`", "at least 0, at most 1", "–", "how far toward it")
    assert row in reference.rows()

    steps = plan((erasure("cat"),), steer(terms=(term("fade"), term("keep"))))
    with pytest.raises(BindError, match=r"steer.fade: `fade` \(fading .*\) is not carried out yet"):
        plans.bound(steps, Toy())

    add("tracelang.engine.terms", "fade", CARRIED_OUT)
    (adapter,) = plans.run(steps, Toy(), cache=None).adapters
    assert any(torch.any(change.up != 0) for change in adapter.factors.values())
