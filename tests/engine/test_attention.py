"""Terms on attention: their columns, masks, losses, gradients, and training with them (docs/methods.md §3.7, §3.8)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine import toy
from tests.engine.plans import LATE, bound, erasure, plan, refine, run, steer, term
from tests.engine.test_steer import identical
from tests.engine.toy import Toy
from tracelang.engine import attention
from tracelang.engine.attention import columns, middle
from tracelang.engine.edit import Edit, applied
from tracelang.engine.errors import EngineError
from tracelang.engine.terms import contrast, suppress
from tracelang.models.protocol import Attended
from tracelang.plan.bind import BindError
from tracelang.plan.prompts import Prompt, edit_prompts
from tracelang.plan.types import Plan
from tracelang.semantics.terms.contrast import Contrast
from tracelang.semantics.terms.suppress import Suppress

KEPT = {"dog": 1.0, "horse": 0.5, "car": 1.0}
TERMS = (term("push", LATE), term("suppress", weight=2.0), term("contrast", weight=0.1), term("keep"))
BOTH = plan((erasure("cat"),), steer(terms=TERMS), preserve=KEPT)


def attended(n: int = 2, heads: int = 3, places: int = 16, keys: int = 20) -> Attended:
    random = torch.Generator().manual_seed(0)
    q, k = (3 * torch.randn(n, heads, many, 5, generator=random) for many in (places, keys))
    return Attended(q.requires_grad_(), k.requires_grad_(), 0.4, 4, places // 4)


def full(one: Attended, row: int) -> Tensor:
    return (one.scale * one.queries[row] @ one.keys[row].transpose(1, 2)).softmax(-1)


def test_columns_are_those_of_the_whole_softmax() -> None:
    one = attended()
    for row in (0, 1):
        assert torch.allclose(columns(one, row, (1, 4, 19)), full(one, row)[..., [1, 4, 19]], atol=1e-5)


def test_in_parts_they_and_their_gradients_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    one = attended()
    whole = columns(one, 1, (2, 3))
    gradients = torch.autograd.grad(whole.square().sum(), (one.queries, one.keys))
    monkeypatch.setattr(attention, "AT_ONCE", 3 * 20 * 5)
    parts = columns(one, 1, (2, 3))
    assert torch.allclose(whole, parts, atol=1e-6)
    for a, b in zip(gradients, torch.autograd.grad(parts.square().sum(), (one.queries, one.keys)), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def two_by_two() -> Attended:
    """Two places, two tokens, one head: the first place gives the second token 1/4, the other gives it 1/2."""
    q = torch.tensor([[1.0], [0.0]])
    k = torch.tensor([[math.log(3.0)], [0.0]])
    return Attended(q[None, None].requires_grad_(), k[None, None].requires_grad_(), 1.0, 2, 1)


EVERYWHERE, FIRST = torch.ones(1, 1), torch.tensor([[1.0], [0.0]])


@pytest.mark.parametrize(
    ("settings", "told", "expected"),
    [
        ({}, EVERYWHERE, (1 / 16 + 1 / 4) / 2),
        ({}, FIRST, 1 / 16),
        ({"reduce": "norm"}, EVERYWHERE, math.sqrt(1 / 16 + 1 / 4)),
        ({"reduce": "norm"}, FIRST, 1 / 4),
    ],
)
def test_the_attention_of_two_places_to_two_tokens(settings: dict[str, Any], told: Tensor, expected: float) -> None:
    one = two_by_two()
    assert columns(one, 0, (1,)).flatten().tolist() == pytest.approx([0.25, 0.5])
    assert float(suppress.error(Suppress(**settings), [one], 0, (1,), told)) == pytest.approx(expected)
    twice = suppress.error(Suppress(**settings), [one, one], 0, (1,), told)
    assert float(twice) == pytest.approx(expected * (2 if settings else 1))
    last = suppress.error(Suppress(blocks="last", **settings), [attended(1, 1, 4), one], 0, (1,), told)
    assert float(last) == pytest.approx(expected)


def test_its_gradient() -> None:
    """With `a = 1/4`, `a² = 1/16`: `d a/d q = −a (1 − a) ln 3`, so `d a²/d q = 2 a · that`."""
    one = two_by_two()
    suppress.error(Suppress(), [one], 0, (1,), FIRST).backward()  # type: ignore[no-untyped-call]
    wanted = 2 * 0.25 * -(0.25 * 0.75 * math.log(3.0))
    assert one.queries.grad is not None
    assert one.queries.grad.flatten().tolist() == pytest.approx([wanted, 0.0])


def test_a_mask_that_leaves_a_coarse_layer_nothing_leaves_the_others() -> None:
    fine, coarse = attended(1, 1, 16), attended(1, 1, 4)
    told = torch.zeros(4, 4)
    told[3, 3] = 1  # of a 4 by 1 grid, nearest takes the first column alone
    found = suppress.error(Suppress(), [fine, coarse], 0, (1,), told)
    assert float(found) == pytest.approx(float(full(fine, 0)[0, 15, 1]) ** 2 / 2)


def test_the_tokens_that_are_meant() -> None:
    layout = Toy().layout(Prompt("a small kitty here", "small kitty"))
    assert suppress.tokens(Suppress(), layout) == (2, 3)
    assert suppress.tokens(Suppress(tokens="padded"), layout) == (2, 3, *range(5, toy.LENGTH))


def test_the_middle_layers_are_those_at_a_quarter_of_the_latents_sides() -> None:
    sides = [64, 32, 16, 16, 8]
    layers = [Attended(torch.empty(0), torch.empty(0), 1.0, side, side) for side in sides]
    assert middle(layers, 64) == layers[2:4] and middle(layers[:1], 64) == layers[:1]


def test_contrast_worked_by_hand() -> None:
    """`f = (1, 2)/√5` of two places; a synonym just like it, three others that look at the first place alone."""
    f = torch.tensor([1.0, 2.0]) / math.sqrt(5)
    told = torch.stack([f, *[torch.tensor([1.0, 0.0])] * 3])
    same, other = math.exp(1 / 0.5), 3 * math.exp(1 / math.sqrt(5) / 0.5)
    one = two_by_two()
    found = contrast.error(Contrast(temperature=0.5), [one], 0, (1,), told)
    assert float(found) == pytest.approx(-math.log(other / (same + other)), rel=1e-5)
    found.backward()  # type: ignore[no-untyped-call]
    assert one.queries.grad is not None
    with torch.no_grad():  # down the gradient it looks more where the others look
        one.queries.sub_(0.1 * one.queries.grad)
    moved = contrast.feature(Contrast(), [one], 0, (1,))
    assert float(moved[0]) > float(f[0])


def test_contrast_may_take_the_first_head_alone() -> None:
    one = attended()
    mean, first = (contrast.feature(Contrast(heads=heads), [one], 0, (1, 2)) for heads in ("mean", "first"))
    whole = full(one, 0)[..., [1, 2]].mean(2)
    assert torch.allclose(first, whole[0] / whole[0].norm(), atol=1e-5)
    assert torch.allclose(mean, whole.mean(0) / whole.mean(0).norm(), atol=1e-5)


def trained(p: Plan, model: Toy | None = None, **options: object) -> Edit:
    return run(p, model or Toy(), **{"cache": None, "autocast": False, **options})  # type: ignore[arg-type]


def mass(model: Any, text: str, phrase: str) -> float:
    """The attention that a phrase gets on noise that training did not see."""
    x, t = Toy().noise(range(100, 132)), torch.full((32,), 400.0)
    with torch.no_grad(), model.attended() as layers:
        model.predict(x, t, model.encode([text] * 32))
    tokens = model.layout(Prompt(text, phrase)).phrase
    return float(torch.stack([columns(one, row, tokens).mean() for one in layers for row in range(32)]).mean())


@pytest.mark.parametrize("settings", [{}, {"mask": "none"}, {"reduce": "norm", "weight": 0.003}, {"tokens": "padded"}])
def test_suppressing_takes_attention_from_the_concept_and_leaves_the_others(settings: dict[str, Any]) -> None:
    model = Toy()
    before = {text: mass(model, f"a {text}", text) for text in ("cat", "dog")}
    step = steer(steps=80, rank=4, terms=(Suppress(**{"weight": 0.3, **settings}), term("keep", weight=9.0)))
    with applied(model, trained(plan((erasure("cat"),), step), model)) as edited:
        after = {text: mass(edited, f"a {text}", text) / before[text] for text in before}
    assert after["cat"] < 0.6 and after["dog"] > 0.85


def test_suppressing_with_a_gate_acts_where_the_gate_is_open() -> None:
    model = Toy()
    step = steer(steps=60, rank=4, gate=LATE, terms=(term("suppress", LATE), term("keep")))
    with applied(model, trained(plan((erasure("cat"),), step), model)) as edited:
        x, states = Toy().noise(range(8)), model.encode(["a cat"] * 8)
        with torch.no_grad():
            moved = [
                float((edited.predict(x, t, states) - Toy().predict(x, t, states)).norm())
                for t in (torch.full((8,), model.clock.time(at)) for at in (0.02, 0.8))
            ]
    assert moved[0] < 0.05 * moved[1]


def test_degree_weighs_what_is_suppressed() -> None:
    def after(degree: float) -> float:
        model = Toy()
        step = steer(steps=60, rank=4, terms=(term("suppress"), term("keep", weight=3.0)))
        with applied(model, trained(plan((erasure("cat", degree=degree),), step), model)) as edited:
            return mass(edited, "a cat", "cat")

    assert after(1.0) < after(0.02) < mass(Toy(), "a cat", "cat") * 1.02


@pytest.mark.parametrize(
    "p",
    [
        BOTH,
        plan((erasure("cat"),), refine(), steer(terms=TERMS, refresh=5), preserve=KEPT),
        plan((erasure("cat"), erasure("ship")), steer(terms=(Suppress(mask="none"), term("hold"))), preserve=KEPT),
        plan((erasure("cat"), erasure("ship")), steer(adapters="joint", terms=(term("suppress"), term("push")))),
        plan((erasure("cat"),), steer(terms=(*TERMS[:2], term("keep")), adversary=("states",), adversary_steps=2)),
    ],
    ids=["both", "refined, refreshed", "no mask", "joint", "adversary"],
)
def test_the_cost_is_what_applying_it_takes(p: Plan) -> None:
    model = Toy()
    edit = trained(p, model)
    (cost,) = [part.cost for part in bound(p, model).passes if part.kind == "steer"]
    assert cost.frozen + cost.trained == sum(model.evaluations)
    assert sum(one["evaluations"]["frozen"] for one in edit.figures["steer"]) == cost.frozen


def test_in_passes_it_learns_the_same() -> None:
    whole, parts = trained(BOTH), trained(BOTH, micro_batch=3)
    for site, change in whole.adapters[0].factors.items():
        other = parts.adapters[0].factors[site]
        assert torch.allclose(change.up @ change.down, other.up @ other.down, atol=1e-4)
    assert not identical(whole, trained(plan((erasure("cat"),), steer(terms=(TERMS[0], TERMS[3])), preserve=KEPT)))


@pytest.mark.parametrize("refresh", [0, 4])
def test_it_goes_on_where_it_was_interrupted_bit_for_bit(tmp_path: Path, refresh: int) -> None:
    p = plan((erasure("cat"),), steer(terms=TERMS, refresh=refresh), preserve=KEPT)
    whole = trained(p)

    def stop(what: str, done: int, of: int) -> None:
        if what.startswith("steering") and done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(p, state_dir=tmp_path, progress=stop, cache=tmp_path)
    model = Toy()
    again = trained(p, model, state_dir=tmp_path, cache=tmp_path)
    assert identical(whole, again) and whole.figures == again.figures
    if not refresh:  # all else came from the cache
        assert sum(model.evaluations) == 6 * whole.figures["steer"][0]["evaluations"]["trained"] // 12


def test_only_names_and_preserved_are_asked_for_and_never_a_probe() -> None:
    class Listening(Toy):
        heard: set[str] = set()

        def encode(self, prompts: Any) -> Any:
            self.heard.update(prompts)
            return super().encode(prompts)

    cat = BOTH.concept("cat").model_copy(update={"probes": ("feline",)})
    others = tuple(one for one in BOTH.concepts if one.name != "cat")
    trained(BOTH.model_copy(update={"concepts": (cat, *others)}), Listening())
    assert Listening.heard == {"", *(one.text for name in ("cat", *KEPT) for one in edit_prompts(BOTH, (name,)))}


def test_what_contrast_lacks_is_said_with_its_place() -> None:
    one = steer(terms=(term("push"), term("contrast", label="away")))
    for p, message in (
        (
            plan((erasure("cat"), erasure("ship")), one, preserve=KEPT),
            "it needs a synonym of every erased concept",
        ),
        (plan((erasure("cat"),), one), "it compares with 3 preserved members, and there are 2; `preserve` more"),
        (plan((erasure("cat"),), one, preserve={}), "it compares with 3 preserved members, and there are 0"),
    ):
        with pytest.raises(BindError, match=f"^steer.away: {message}") as error:
            bound(p, Toy())
        assert error.value.at == "steer.away"
    assert bound(plan((erasure("cat"),), one, preserve=KEPT), Toy()).passes


def test_a_phrase_that_is_cut_off_is_said() -> None:
    long = plan((erasure("cat"),), steer(terms=(term("suppress"),)))
    cat = long.concept("cat").model_copy(update={"templates": ("one two three four five six seven eight nine ten {}",)})
    others = tuple(one for one in long.concepts if one.name != "cat")

    class Short(Toy):
        def layout(self, prompt: Prompt) -> Any:
            found = super().layout(prompt)
            return type(found)(1, 11, 12, tuple(i for i in found.phrase if i < 11))

    with pytest.raises(EngineError, match="the phrase 'small kitty' has no token in 'one two"):
        trained(long.model_copy(update={"concepts": (cat, *others)}), Short())
