"""Which passes and terms an engine carries out."""

from __future__ import annotations

from tracelang.semantics.kinds import Pass, Term

ENGINES = {"refine", "steer", "fuse", "push", "hold", "blank", "keep"}


def carried_out(one: Pass | Term) -> bool:
    """Whether an engine carries this out; a recipe may name others too, which are refused where it meets a model."""
    return one.kind in ENGINES
