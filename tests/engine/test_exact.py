"""Float64 is the CPU's alone: held by a reading of the source, and by all of the engine on a device that has none."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.engine.apple import DEVICE, AppleToy, OnGpu, gpu
from tests.engine.plans import EARLY, erasure, fuse, plan, refine, run, steer
from tests.engine.toy import Toy
from tests.evidence.attacks.targets import SMALL
from tests.evidence.certified import certify
from tracelang.engine.edit import Edit, applied
from tracelang.engine.exact import exact
from tracelang.engine.text_map import collateral
from tracelang.evidence.attacks import ATTACKS, Target
from tracelang.evidence.units.drift import drift, levels
from tracelang.models.protocol import Model
from tracelang.plan.types import Plan, ReadsSites

ROOT = Path(__file__).parents[2]
SOURCES = sorted(file for folder in ("tracelang", "backends") for file in (ROOT / folder).rglob("*.py"))

CLOSED = plan((erasure("cat", anchor=("dog",)), erasure("fox", away=True)), refine(), preserve={"horse": 1.0})
TRAINED = plan(
    CLOSED.erase, refine(), steer(on=ReadsSites(reads="text"), steps=4, refresh=2), fuse(), preserve={"horse": 1.0}
)
GATED = plan((erasure("cat"),), refine(), steer(steps=3, gate=EARLY), preserve={"horse": 1.0})

FACTORIES = {"zeros", "ones", "full", "eye", "tensor", "arange", "empty"}
MAY = {
    ("tracelang/engine/exact.py", "tensor.detach().cpu().double"): "the one place",
    ("tracelang/engine/edit.py", "torch.float64"): "asks first whether it is an Apple GPU",
    ("tracelang/checkpoint/merge.py", "torch.float64"): "a table of the dtypes in files",
    ("tracelang/models/single/tensors.py", "torch.float64"): "a table of the dtypes in files",
    ("tracelang/models/loading.py", "'float64'"): "a word in a card",
}
"""The uses that are no factory of the CPU's, and why they may stand."""


def wide(source: str) -> Iterator[ast.expr]:
    """Where a piece of source names float64, but for what is the CPU's: numpy's, and what torch's factories make."""
    tree = ast.parse(source)
    spared = {
        id(word.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in FACTORIES
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "torch"
        and not {"device", "out"} & {word.arg for word in call.keywords}
        for word in call.keywords
        if word.arg == "dtype"
    }
    for node in ast.walk(tree):
        named = isinstance(node, ast.Attribute) and node.attr in ("float64", "double")
        named &= not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np")
        named |= isinstance(node, ast.Constant) and node.value == "float64"
        if named and id(node) not in spared:
            yield node  # type: ignore[misc]


def test_the_source_casts_to_float64_in_one_place() -> None:
    found = {(str(file.relative_to(ROOT)), ast.unparse(node)) for file in SOURCES for node in wide(file.read_text())}
    assert found == set(MAY)


@pytest.mark.parametrize(
    "source",
    [
        'x.to("cpu", torch.float64)',
        "x.to(device=d, dtype=torch.float64)",
        "x.double()",
        "x.cpu().to(torch.float64)",
        "torch.zeros(3, dtype=torch.float64, device=d)",
        "x.new_zeros(3, dtype=torch.float64)",
        "x.type(torch.double)",
        'getattr(torch, "float64")',
        "torch.zeros_like(x, dtype=torch.float64)",
        "x.to(KINDS[torch.float64])",
    ],
)
def test_what_the_reading_of_the_source_would_report(source: str) -> None:
    assert list(wide(source))


def test_what_it_would_not() -> None:
    assert not list(wide("torch.zeros(3, dtype=torch.float64); exact(x); x.to(device, torch.float32)"))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.to("cpu", torch.float64),
        lambda x: x.to(device="cpu", dtype=torch.float64),
        lambda x: x.double(),
        lambda x: x.to(torch.float64),
        lambda x: x.type(torch.double),
        lambda x: x.sum(dtype=torch.float64),
        lambda x: torch.zeros(2, dtype=torch.float64).copy_(x),
        lambda x: torch.zeros(2, dtype=torch.float64, device=x.device),
        lambda x: x.new_zeros(2, dtype=torch.float64),
        lambda x: torch.zeros(2, dtype=torch.float64).to(x.device),
    ],
)
def test_the_device_of_these_tests_refuses_float64_in_every_way(wrong: Callable[[Tensor], Tensor]) -> None:
    with gpu():
        x = torch.tensor([1.5, 2.5]).to(DEVICE)
        assert isinstance(x, OnGpu) and x.device.type == "mps"
        with pytest.raises(TypeError, match="float64"):
            wrong(x)
        with pytest.raises(RuntimeError, match="same device"):
            x + torch.ones(2)
        assert exact(x * 2).equal(torch.tensor([3.0, 5.0], dtype=torch.float64))
        assert torch.zeros(2, dtype=torch.float64).to(x).dtype == torch.float32  # towards it torch casts first


def same(a: Edit, b: Edit, tolerance: float) -> bool:
    factors = [(x.left, y.left) for x, y in zip(a.maps.values(), b.maps.values(), strict=True)]
    for one, other in zip(a.adapters, b.adapters, strict=True):
        factors += [(one.factors[site].dense(), other.factors[site].dense()) for site in one.factors]
    return all(float((x - y).norm()) <= tolerance * float(y.norm()) for x, y in factors)


@pytest.mark.parametrize("asked", [CLOSED, TRAINED, GATED], ids=["closed form", "trained and fused", "gated"])
def test_an_edit_is_computed_there_as_here(asked: Plan, tmp_path: Path) -> None:
    with gpu():
        model = AppleToy()
        found = run(asked, model, state_dir=tmp_path, cache=tmp_path / "paths", autocast=False)
        deltas = dict(found.deltas(model))
        with applied(model, found) as edited:
            time = torch.tensor([500.0], device=DEVICE)
            moved = edited.predict(model.noise([1]), time, model.encode(["a cat"])).cpu()
        again = run(asked, model, state_dir=tmp_path, cache=tmp_path / "paths", autocast=False)
    assert all(
        part.device.type == "cpu" and part.dtype == torch.float64
        for delta in deltas.values()
        for part in (delta.up, delta.down)
    )
    here = run(asked, Toy(), cache=None, autocast=False)
    assert same(found, here, 1e-5) and same(again, found, 0)
    with applied(Toy(), here) as edited:
        expected = edited.predict(Toy().noise([1]), torch.tensor([500.0]), Toy().encode(["a cat"]))
    assert torch.allclose(moved, expected, atol=1e-4)


def edited_there() -> tuple[Model, Model]:
    base, after = AppleToy(), AppleToy()
    run(CLOSED, base, cache=None).to(after)
    return base, after


def test_an_edit_is_measured_there_as_here() -> None:
    with gpu():
        base, after = edited_there()
        found = certify(CLOSED, base, after)
        moved = drift(CLOSED, [("cat",), ("horse",)], base, after, 4, 0)
        noise = levels(CLOSED, base, after, 0, 4)
        change = collateral(run(CLOSED, base, cache=None).text_maps, base.encode(["a cat"]))
    here, edited = Toy(), Toy()
    run(CLOSED, here, cache=None).to(edited)
    expected = certify(CLOSED, here, edited)
    assert found.map_share == pytest.approx(expected.map_share, abs=1e-5)
    assert [one.change for one in found.layers] == pytest.approx([one.change for one in expected.layers], rel=1e-4)
    for one, other in zip(moved, drift(CLOSED, [("cat",), ("horse",)], here, edited, 4, 0), strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert noise.erased == pytest.approx(levels(CLOSED, here, edited, 0, 4).erased, rel=1e-3)
    assert change.equal(collateral(run(CLOSED, here, cache=None).text_maps, here.encode(["a cat"])))


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_run_there(attack: str) -> None:
    with gpu():
        base, after = edited_there()
        clean = torch.zeros(2, 4, 4, 4).to(DEVICE)
        aim = Target(CLOSED, ("cat",), 0, clean, ("a cat", "the cat here"), base, 2)
        found = ATTACKS[attack].run(aim, after, SMALL)
    assert found.prompts or (found.latents if found.states is None else found.states) is not None
