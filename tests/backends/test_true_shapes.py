"""The benchmark of a training step makes the models that it says, and takes the engine's own step."""

import pytest
import torch

from tests.benchmarks import true_shapes


def test_small_shapes_train_on_a_cpu_and_true_ones_are_refused_there(capsys):
    assert true_shapes.main(true_shapes.SMALL, torch.device("cpu"), True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:]] == list(true_shapes.SMALL)
    assert all("yes" in line for line in lines[3:])
    assert true_shapes.main(["flux-dev"], torch.device("cpu"), True) == 2
    assert "need a GPU" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "numbers", "sites"), [("sd14", 859_520_964, 160), ("flux-dev", 11_901_408_320, 418)])
def test_the_true_shapes_are_the_published_ones(name, numbers, sites):
    model = true_shapes.model_of(true_shapes.SHAPES[name], torch.device("meta"))
    parameters = list(model.denoiser.parameters())
    assert sum(parameter.numel() for parameter in parameters) == numbers
    assert {parameter.dtype for parameter in parameters} == {true_shapes.SHAPES[name].dtype}
    plan, part = true_shapes.part_of(model)
    assert len(part.sites) == sites and plan.active
    assert all(tuple(model.weight(site).shape) == site.shape for site in part.sites)
