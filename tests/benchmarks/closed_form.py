"""The closed form at Stable Diffusion 1.4's 32 key and value shapes: `python -m tests.benchmarks.closed_form`.

Times, in one run on the same random states and weights, for 1, 10 and 100 targets with ten times as many preserved:
- ours: one solve in float64, then every weight touched once through the map's factors;
- the loop that released code runs: per layer, two outer products accumulated for every pair, one explicit inverse;
- a plain copy of the same weights, `[W.clone() for W in matrices]`, as any edit that keeps the original must make. The
  copy into memory that the process has written before is printed beside it as `warm`, and `ours/warm` with it; no bar
  is set on these;
- `products`: nothing but `(W @ left) @ rightᵀ` for every matrix, at the map's rank and in the weights' own precision.
  No edit by these factors can take less, so `products/copy` above the bar means that this machine cannot meet it.

`difference` is the largest relative difference of a matrix between ours and the loop. Then the solve and its figures
alone for many names of many states each, as a template's padded prompt has them, at 25 and at 100 targets: four times
the states may take five times as long. Fails past a bar, and where the two do not compute the same edit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tracelang.engine.text_map import Constraints, apply_, fit, solve

WIDTH = 768
OUT = (320,) * 5 + (640,) * 5 + (1280,) * 6
BARS = {1: (25, 4), 10: (50, 6), 100: (200, 10)}
"""Targets: at least so many times faster than the loop, at most so many times the copy."""
SAME = 1e-2
"""The loop adds and inverts in float32: past this relative difference it is another edit."""
ERASED, PRESERVED = 73, 76
"""States of one name in one template: 77 tokens, of an erased one those from the phrase on."""
NAMES, GROWTH = 25, 5.0
"""So many targets, ten times as many preserved; four times as many may take so many times as long."""


def many(targets: int) -> Constraints:
    """Every name with all its states, laid out as `statements` does: preserved rows in float32."""
    g = torch.Generator().manual_seed(targets)
    n, m = ERASED * targets, PRESERVED * 10 * targets
    F, G = (torch.randn(n, WIDTH, generator=g, dtype=torch.float64).T for _ in range(2))
    P = torch.randn(m, WIDTH, generator=g).T
    return Constraints(F, G, torch.ones(n, dtype=torch.float64), P, torch.ones(m, dtype=torch.float64))


def grows() -> bool:
    """Does the solve grow as its states do? In seconds of the processor, the fewest of three runs."""
    times = []
    for targets in (NAMES, 4 * NAMES):
        states, solved, whole = many(targets), [], []
        for _ in range(3):
            begin = time.process_time()
            solution = solve(states, 0.1)
            solved.append(time.process_time() - begin)
            fit(states, solution)
            whole.append(time.process_time() - begin)
        times.append(min(whole))
        print(
            f"{targets} targets of {ERASED} states, {10 * targets} preserved of {PRESERVED}: "
            f"solve {min(solved):.2f} s, with figures {times[-1]:.2f} s"
        )
    ratio = times[1] / times[0]
    print(f"four times the states: {ratio:.1f}x  {'met' if ratio <= GROWTH else 'MISSED'}: at most {GROWTH:g}x")
    return ratio <= GROWTH


def problem(targets: int) -> Constraints:
    g = torch.Generator().manual_seed(targets)
    n, m = targets, 10 * targets
    F, G, P = (torch.randn(WIDTH, k, generator=g, dtype=torch.float64) for k in (n, n, m))
    return Constraints(F, G, torch.ones(n, dtype=torch.float64), P, torch.ones(m, dtype=torch.float64))


def weights() -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    return [torch.randn(out, WIDTH, generator=g) / WIDTH**0.5 for out in OUT for _ in ("key", "value")]


def ours(matrices: Sequence[Tensor], states: Constraints) -> None:
    text_map = solve(states, 0.1).map.to(matrices[0])
    for W in matrices:
        apply_(W, text_map)


def per_layer_loop(matrices: Sequence[Tensor], states: Constraints, λ: float) -> None:
    """docs/methods.md §2.1 term by term, in float32: per pair a weighted outer product into each of two sums."""
    F, G, P = (part.float() for part in (states.F, states.G, states.P))
    pairs = [*zip(F.T, G.T, states.a.tolist(), strict=True), *zip(P.T, P.T, states.w.tolist(), strict=True)]
    for W in matrices:
        B, C = λ * W, λ * torch.eye(WIDTH)
        for x, z, weight in pairs:
            B += weight * torch.outer(W @ z, x)
            C += weight * torch.outer(x, x)
        W.copy_(B @ torch.inverse(C))


def products(matrices: Sequence[Tensor], out: Sequence[Tensor], states: Constraints) -> Callable[[], None]:
    """The two matrix products that `W T − W` needs, and nothing else."""
    found = solve(states, 0.1).map
    left, right = found.left.float(), found.right.float()

    def work() -> None:
        for W, into in zip(matrices, out, strict=True):
            torch.mm(W @ left, right.T, out=into)

    return work


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The median of `repeats` runs."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]


def main() -> int:
    base = weights()
    target = [torch.empty_like(W) for W in base]
    size = sum(W.numel() * W.element_size() for W in base) / 2**20
    print(f"{len(base)} matrices, {size:.0f} MiB in float32, {torch.get_num_threads()} threads; medians")
    heads = (
        "targets",
        "ours",
        "loop",
        "copy",
        "warm",
        "products",
        "loop/ours",
        "ours/copy",
        "ours/warm",
        "products/copy",
        "difference",
    )
    print(" ".join(f"{head:>13}" for head in heads))
    missed = False
    for targets, (faster, over) in BARS.items():
        states = problem(targets)
        λ = solve(states, 0.1).ridge
        first, second = ([W.clone() for W in base] for _ in range(2))
        ours(first, states)
        begin = time.perf_counter()
        per_layer_loop(second, states, λ)
        loop = time.perf_counter() - begin
        pairs = zip(first, second, strict=True)
        difference = max(float((a - b).norm() / b.norm()) for a, b in pairs)
        copy = seconds(lambda: [W.clone() for W in base], 21)
        warm = seconds(lambda: [a.copy_(b) for a, b in zip(target, base, strict=True)], 21)
        mine = seconds(lambda first=first, states=states: ours(first, states), 11)
        least = seconds(products(base, target, states), 11)
        good = loop / mine >= faster and mine / copy <= over and difference <= SAME
        missed |= not good
        cells = [f"{targets}", *(f"{time * 1e3:.1f}ms" for time in (mine, loop, copy, warm, least))]
        ratios = (loop / mine, mine / copy, mine / warm, least / copy)
        cells += [*(f"{ratio:.1f}x" for ratio in ratios), f"{difference:.0e}"]
        verdict = "met" if good else "MISSED"
        print(" ".join(f"{cell:>13}" for cell in cells), f" {verdict}: at least {faster}x, at most {over}x, {SAME:g}")
    return int(not grows() or missed)


if __name__ == "__main__":
    sys.exit(main())
