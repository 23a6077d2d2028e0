"""A training run on disk, so that it can stop at any step and go on as if it had not."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tracelang.engine.edit import Edit
from tracelang.engine.errors import EngineError
from tracelang.engine.exact import exact
from tracelang.engine.learner import Learner
from tracelang.engine.low_rank import LowRank
from tracelang.engine.weights import change
from tracelang.models import store
from tracelang.models.protocol import Model
from tracelang.plan.family import Site

LEARNT = "adapter"
"""What tensors of what is trained are called in a state, whatever it is."""


@dataclass(frozen=True, slots=True)
class State:
    """`step` steps of one concept are done. `tensors`: adapters or weights, the optimiser's moments, what was trained
    as it was at the last refresh, what an adversary found.

    `counts` and `curve` are the figures so far: what an interruption makes a run compute again is not counted again.
    `key` names the run (plan, model, concept, way of computing): a state goes on only as what it began as. It begins
    with the scheme of the model's fingerprint.
    """

    key: str
    step: int
    counts: Mapping[str, int]
    curve: Sequence[float]
    tensors: Mapping[str, Tensor]


def save(state: State, path: Path) -> None:
    """Write atomically: a reader sees the old state or the new one. Raises OSError."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
    header = {"key": state.key, "step": state.step, "counts": dict(state.counts), "curve": list(state.curve)}
    store.save(path, tensors, {"state": json.dumps(header)})


def load(path: Path, key: str) -> State | None:
    """The state at `path`, or None where there is none. Raises `EngineError` if it is damaged or of another run."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = State(header["key"], header["step"], header["counts"], header["curve"], tensors)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise EngineError(f"steer: the saved state {path} cannot be read; delete it to start again ({error})") from None
    if state.key.rpartition(":")[0] != key.rpartition(":")[0]:
        raise EngineError(
            f"steer: the saved state {path} names its model by an older fingerprint; delete it to start again"
        )
    if state.key != key:
        raise EngineError(f"steer: the saved state {path} belongs to another plan or model; delete it to start again")
    return state


def pack(
    key: str,
    step: int,
    counts: Mapping[str, int],
    curve: Sequence[float],
    learner: Learner,
    optimiser: torch.optim.Optimizer,
    visited: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
) -> State:
    """The state after `step` steps; `visited` is a copy of the learner from the last refresh, or empty, `found` an
    adversary's finds.
    """
    tensors = {f"{LEARNT} {name}": tensor for name, tensor in learner.copy().items()}
    tensors |= {f"visited {name}": tensor for name, tensor in visited.items()}
    tensors |= {f"found {name}": tensor for name, tensor in found.items()}
    for i, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"moment {i} {name}": torch.as_tensor(value) for name, value in moments.items()}
    return State(key, step, dict(counts), tuple(curve), tensors)


def unpack(state: State, learner: Learner, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Put what was learnt and the moments back; returns `visited`."""
    learner.put(_part(state, LEARNT))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _part(state, "moment").items():
        index, _, moment = name.partition(" ")
        moments.setdefault(int(index), {})[moment] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    return _part(state, "visited")


def finds(state: State) -> dict[str, Tensor]:
    """What an adversary had found."""
    return _part(state, "found")


def weights(state: State, edit: Edit, model: Model, sites: Sequence[Site]) -> dict[Site, Tensor]:
    """The changes of weights in a state whose steps are all done, on top of an edit."""
    trained = _part(state, LEARNT)
    return {site: change(trained[site.tensor], edit.patched(site, model.weight(site).detach())) for site in sites}


def adapters(state: State, sites: Sequence[Site]) -> dict[Site, LowRank]:
    """The adapters of a state whose steps are all done."""
    factors = {name: exact(tensor) for name, tensor in _part(state, LEARNT).items()}
    return {site: LowRank(factors[f"{site.tensor} up"], factors[f"{site.tensor} down"]) for site in sites}


def _part(state: State, kind: str) -> dict[str, Tensor]:
    prefix = kind + " "
    return {name[len(prefix) :]: tensor for name, tensor in state.tensors.items() if name.startswith(prefix)}


@contextmanager
def between_steps() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the yielded function is called, so that no step is cut in two. A second one acts at once.

    Outside the main thread, where Python delivers no signals, nothing changes.
    """
    pending = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pending
        if pending:
            raise KeyboardInterrupt
        pending = True

    def check() -> None:
        if pending:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
