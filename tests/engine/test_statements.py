"""What each statement asks of the closed form (docs/language.md), on a model with two text inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from tests.engine.counting import allocated, calls
from tests.engine.plans import constraints, erasure, plan, refine
from tests.engine.toy import Toy
from tracelang.engine.errors import EngineError
from tracelang.engine.text_map import Constraints, collateral, fit, solve
from tracelang.models.protocol import TokenLayout
from tracelang.plan.prompts import Prompt
from tracelang.plan.types import Plan


def built(p: Plan, **settings: object) -> dict[str, Constraints]:
    return constraints(p, refine(**settings), Toy(), ["tokens", "pooled"])


def state(text: str, row: int) -> torch.Tensor:
    return Toy().encode([text]).inputs["tokens"][0, row].double()


def test_without_anchor_the_target_is_the_neutral_state_in_the_same_place() -> None:
    found = built(plan((erasure("cat"),)))["tokens"]
    assert found.F.shape == (
        32,
        38,
    )  # tails of "a cat", "a small kitty", "the cat here", "the small kitty here": 10 + 9 + 10 + 9
    assert torch.equal(found.F[:, 0], state("a cat", 2)) and torch.equal(found.G[:, 0], state("", 2))
    assert torch.equal(found.F[:, 1], state("a cat", 3)) and torch.equal(found.G[:, 1], state("", 3))


def test_a_pooled_input_has_one_state_a_prompt() -> None:
    found = built(plan((erasure("cat"),)))["pooled"]
    assert found.F.shape == (16, 4)
    assert torch.equal(found.G[:, 0], Toy().encode([""]).inputs["pooled"][0, 0].double())


def test_toward_takes_the_anchor_in_the_same_template() -> None:
    found = built(plan((erasure("cat", anchor=("dog",)),), preserve={"horse": 1.0}))["tokens"]
    assert torch.equal(found.G[:, 0], state("a dog", 2))
    assert torch.equal(found.G[:, 10], state("a dog", 2)) and torch.equal(found.F[:, 10], state("a small kitty", 3))


def test_away_takes_out_the_mean_direction_against_nothing_and_leaves_the_rest() -> None:
    found = built(plan((erasure("cat", away=True),)), tokens="last")["tokens"]
    prompts = [("a cat", 2), ("a small kitty", 3), ("the cat here", 2), ("the small kitty here", 3)]
    neutral = torch.stack([state("", row) for _, row in prompts], 1)
    u = (found.F - neutral).mean(1)
    u /= u.norm()
    assert torch.allclose(u @ (found.G - neutral), torch.zeros(4, dtype=torch.float64), atol=1e-10)
    assert (u @ (found.F - neutral)).min() > 0.1  # control: the component was there
    orthogonal = torch.eye(32, dtype=torch.float64) - torch.outer(u, u)
    assert torch.allclose(orthogonal @ found.G, orthogonal @ found.F, atol=1e-10)


def test_away_has_a_direction_for_the_phrase_and_one_for_what_is_around_it() -> None:
    found = built(plan((erasure("cat", away=True),)), tokens="all")["tokens"]
    spans = {"a cat": (2,), "a small kitty": (2, 3), "the cat here": (2,), "the small kitty here": (2, 3)}
    phrase = torch.stack([state(prompt, row) for prompt, rows in spans.items() for row in rows])
    inside = torch.tensor([any(torch.equal(f, own) for own in phrase) for f in found.F.T])
    moved = found.F - found.G
    ranks = [int(torch.linalg.matrix_rank(group, rtol=1e-9)) for group in (moved[:, inside], moved[:, ~inside], moved)]
    assert ranks == [1, 1, 2]


def test_away_has_one_direction_for_pooled_states_wherever_the_phrase_stands() -> None:
    """A pooled state's only row is 0, which in a prompt without a start token may be the phrase's too."""

    class Bare(Toy):
        def layout(self, prompt: Prompt) -> TokenLayout:
            found = super().layout(prompt)
            return replace(found, phrase=(0,)) if prompt.text.startswith("the") else found

    found = constraints(plan((erasure("cat", away=True),)), refine(tokens="last"), Bare(), ["pooled"])["pooled"]
    assert found.F.shape[1] == 4 and int(torch.linalg.matrix_rank(found.F - found.G, rtol=1e-9)) == 1


def test_degree_is_linear_in_the_map_and_per_concept() -> None:
    """`T(p) = I + a (G − F) D K⁻¹ Uᵀ` with `D = diag(p)` per concept."""
    whole = built(plan((erasure("cat"), erasure("ship"))))["tokens"]
    part = built(plan((erasure("cat", degree=0.25), erasure("ship", degree=0.5))))["tokens"]
    n = 38
    D = torch.cat([torch.full((n,), 0.25), torch.full((whole.F.shape[1] - n,), 0.5)]).double()
    λ = 0.1
    C0 = λ * torch.eye(32, dtype=D.dtype) + (whole.P * whole.w) @ whole.P.double().T
    U = torch.linalg.solve(C0, whole.F)
    K = torch.eye(len(D), dtype=D.dtype) + whole.F.T @ U
    expected = torch.eye(32, dtype=D.dtype) + (whole.G - whole.F) * D @ torch.linalg.solve(K, U.T)
    assert torch.allclose(solve(part, λ, True).map.dense(), expected, atol=1e-9)


def test_a_concept_at_degree_zero_takes_no_part() -> None:
    alone, with_zero = (
        built(plan(erased)) for erased in ((erasure("cat"),), (erasure("cat"), erasure("ship", degree=0)))
    )
    assert torch.equal(alone["tokens"].F, with_zero["tokens"].F)
    assert torch.equal(alone["tokens"].P, with_zero["tokens"].P)


def test_a_conjunction_is_erased_in_the_prompts_that_name_both() -> None:
    found = built(plan((erasure("beer", "child"),)), tokens="last")["tokens"]
    assert torch.equal(found.F[:, 0], state("a beer and child", 4))


def test_preserved_states_carry_their_weight_and_nothing_is_always_preserved() -> None:
    found = built(plan((erasure("cat"),), preserve={"dog": 0.5}))["tokens"]
    assert found.P.shape == (32, 12 + 2 * 11)
    assert torch.equal(found.P[:, :12], Toy().encode([""]).inputs["tokens"][0].double().T)
    assert found.w.tolist() == [1.0] * 12 + [0.5] * 22


def test_the_order_of_statements_does_not_matter() -> None:
    one = plan((erasure("cat"), erasure("ship", anchor=("truck",))))
    other = plan((erasure("ship", anchor=("truck",)), erasure("cat")))
    maps = [solve(built(p)["tokens"], 0.01).map.dense() for p in (one, other)]
    assert torch.equal(*maps)


def test_predicted_collateral_is_small_where_preserved_and_large_where_erased() -> None:
    found = built(plan((erasure("cat"),), preserve={"dog": 1.0, "horse": 1.0}))
    maps = {name: solve(problem, 0.01).map for name, problem in found.items()}
    cat, dog, nothing = collateral(maps, Toy().encode(["a cat", "a dog", ""]))
    assert dog < cat / 2 and nothing < cat / 2
    assert torch.equal(collateral({}, Toy().encode(["a cat"])), torch.zeros(1, dtype=torch.float64))
    assert fit(found["tokens"], solve(found["tokens"], 0.01))["residual"] < 1


class Cut(Toy):
    """A model whose prompts lose their tail, and a phrase its tokens with it."""

    def layout(self, prompt: Prompt) -> TokenLayout:
        found = super().layout(prompt)
        cut = found.phrase if all(row < found.length - 1 for row in found.phrase) else ()
        return TokenLayout(found.start, found.end, found.length, cut)


def test_a_phrase_without_tokens_and_a_state_that_is_no_number_are_located_errors() -> None:
    model = Toy()
    model.layout = lambda prompt: Toy().layout(type(prompt)(prompt.text, ""))  # type: ignore[method-assign]
    with pytest.raises(EngineError, match=r"'cat' have no tokens in the prompt 'a cat'"):
        constraints(plan((erasure("cat"),)), refine(), model, ["tokens"])
    long = plan((erasure("cat", anchor=("a very very very very very very very very very very long word",)),))
    with pytest.raises(EngineError, match=r"'a very .* long word' have no tokens"):
        constraints(long, refine(), Cut(), ["tokens"])
    broken = Toy()
    broken.embedding[broken._ids("dog")[1]] = float("nan")
    with pytest.raises(EngineError, match="preserved 'dog'"):
        constraints(plan((erasure("cat"),)), refine(), broken, ["tokens"])


@pytest.mark.parametrize("count", [allocated, calls])
def test_what_is_asked_grows_with_the_names_not_with_their_square(count: Callable[[Callable[[], object]], int]) -> None:
    """From the plan to the solved map, for a hundred preserved names and for four hundred."""

    def work(names: int) -> Callable[[], object]:
        erased = tuple(erasure(f"x{i}") for i in range(names // 10))
        asked = plan(erased, preserve={f"w{i}": 1.0 for i in range(names)})
        model = Toy()

        def run() -> None:
            for problem in constraints(asked, refine(), model, ["tokens", "pooled"]).values():
                fit(problem, solve(problem, 0.1))

        return run

    work(10)()
    assert count(work(400)) < 4.5 * count(work(100))
