"""The passes and terms that there are: one file each in `passes` and `terms`, and no list beside the folders.

A file is named after the kind that it declares, and holds one class of that name. It is imported when something names
the kind: a recipe, or a plan. Of itself a pass says what it asks of a model and what it costs there, so that nothing
that binds or counts knows one pass from another; what it does stands in the engine, in a file of the same name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tracelang.records import dataclass, field, replace
from tracelang.semantics.fields import number, window
from tracelang.semantics.values import WHOLE, Auto, Window

PASSES, TERMS = "tracelang.semantics.passes", "tracelang.semantics.terms"


class Step:
    """What has settings: under the name of one that is a word of Python's, its attribute is found as well."""

    __slots__ = ()
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), f"{name}_"):
                return getattr(self, f"{name}_")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


@dataclass(frozen=True, slots=True)
class Term(Step):
    """A windowed part of a pass's loss, on prompts of one kind: `"erased"`, `"preserved"`, or the `"empty"` one.

    `before`: it asks what the passes before its own left the model predicting. `attends`: its loss is of what a picture
    attends to while it is predicted, not of the prediction.
    """

    kind: str
    label: str
    during: Window | Auto = window(WHOLE, "where along the trajectory")
    weight: float = number(1.0, "weight in the loss", low=0, more=True)
    on = "erased"
    before = False
    attends = False

    @property
    def erases(self) -> bool:
        """Whether it moves predictions of erased prompts: another term on them keeps a prompt's own way, or looks at
        attention alone.
        """
        return self.on == "erased" and not self.before and not self.attends

    @property
    def asks(self) -> int:
        """How often it asks the unedited model what is attended to, at each place of a trajectory."""
        return 0

    def problem(self, met: Met) -> str | None:
        """Why it cannot act there, in one line."""
        return None


@dataclass(frozen=True, slots=True)
class Share:
    """A term's part of every batch: `rows` of them, at the sampler steps `steps`."""

    term: Term
    rows: int
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """Rows through the denoiser: `frozen` (sampling and the teacher, no gradient) and `trained` (with gradient). Of
    what grows with the weights that are trained themselves, bytes of `memory` beside the model's, and on `disk`
    meanwhile.
    """

    frozen: int = 0
    trained: int = 0
    memory: int = 0
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Left:
    """What some passes leave: whether the model is `changed`, one pass `trained`, the edit is `gated`; how many
    `adapters` there are, and how wide the inputs are of layers that have one and are `mixed` with image and time; and
    whether some matrices changed by no low rank, as a `whole`. `masked` are the tensors of which a mask leaves some
    numbers alone to passes that train weights. Some pass `searched` for what brings a concept back.
    """

    changed: bool = False
    trained: bool = False
    gated: bool = False
    adapters: int = 0
    mixed: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False
    masked: tuple[str, ...] = ()
    searched: bool = False


@dataclass(frozen=True, slots=True)
class Met:
    """What a pass meets where a plan is bound to a model.

    `anchored` says of each concept that takes part whether it has an anchor, `named` how many names there are for it,
    `degrees` how far it goes; `preserved` counts members. `visited` is how many steps its sampler takes, `inside` those
    in each window, by its label; `shares` are what the pass says they are. `mixed`: of its own layers that read more
    than prompt states, how wide their inputs are. `tensors` are all of them, of so many `numbers`, `outside` those
    outside of attention and feed-forward, which read no prompt.
    """

    anchored: tuple[bool, ...]
    preserved: int
    before: Left = Left()
    mixed: Mapping[str, int] = field(default_factory=dict)
    visited: int = 0
    inside: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    shares: tuple[Share, ...] = ()
    named: tuple[int, ...] = ()
    degrees: tuple[float, ...] = ()
    tensors: tuple[str, ...] = ()
    numbers: int = 0
    outside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pass(Step):
    """A step of a method, with its settings.

    `closed_form`: text states and weights decide it, it samples nothing. `maps_states`: it changes what layers make of
    prompt states, and so only layers that read these alone.
    """

    kind: str
    label: str
    closed_form = False
    maps_states = False

    @property
    def whole(self) -> bool:
        """Does it change matrices by no low rank? No LoRA holds that, and no adapter is fused with it."""
        return False

    @property
    def anew(self) -> bool:
        """Does it begin at the base's weights, whatever the passes before it made of them?"""
        return False

    @property
    def terms(self) -> tuple[Term, ...]:
        """What a pass of several parts adds up; most have none."""
        return ()

    @property
    def trained_against(self) -> tuple[str, ...]:
        """The attacks whose kind of input it searches for and erases: no such attack is held out any more."""
        return ()

    def shares(self, met: Met) -> tuple[Share, ...]:
        """The composition of its batches."""
        return ()

    def problem(self, met: Met) -> str | None:
        """Why it cannot be carried out there, in one line."""
        return None

    def cost(self, met: Met) -> Cost:
        """What it asks of the denoiser, when no trajectory is in a cache."""
        return Cost()

    def holds_prior(self, erased: int) -> bool:
        """Does it hold what `preserve prior` states, where so many concepts are erased?"""
        return False

    def leaves(self, met: Met) -> Left:
        """What there is after it."""
        return replace(met.before, changed=True, whole=met.before.whole or self.whole)


def begun(passes: Sequence[Pass]) -> int:
    """The place of the last pass that begins anew: nothing that those before it change is there in the end."""
    return max((i for i, one in enumerate(passes) if one.anew), default=0)


def kinds(package: str) -> list[str]:
    """What the folder of a package lists, by name."""
    names = (name for folder in import_module(package).__path__ for name in os.listdir(folder))
    return sorted(name[:-3] for name in names if name.endswith(".py") and not name.startswith("_"))


def declared(package: str, kind: str) -> Any | None:
    """The class that declares a kind; None where the folder has no file of that name."""
    if not any(os.path.isfile(os.path.join(folder, f"{kind}.py")) for folder in import_module(package).__path__):
        return None
    return getattr(import_module(f"{package}.{kind}"), "".join(part.title() for part in kind.split("_")))


def takes_terms(declaration: Any) -> bool:
    """Whether a pass is made of terms."""
    return "terms" in declaration.__options__


def does(declaration: Any) -> str:
    """What a pass or a term does, in the words of its declaration: the first sentence there."""
    first = " ".join(declaration.__doc__.partition("\n\n")[0].split())
    return first[0].lower() + first[1:].removesuffix(".")
