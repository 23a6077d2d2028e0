"""What the controls promise: figures beside those of models that never knew, and of one that knows nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic
from tracelang.plan.breaking.version import Version, less
from tracelang.plan.explain import control


def controls(before: Version, after: Version) -> Iterator[Diagnostic]:
    """A control that is gone, or rests on fewer models; other models of the same number are others, not fewer."""
    now = {one.kind: one for one in after.plan.controls}
    for old in before.plan.controls:
        new = now.get(old.kind)
        if new is not None and len(new.models) >= len(old.models):
            continue
        here = after.here.control(old.kind)
        there = before.places.control(old.kind) if before.places else None
        if new is None:
            message = f"nothing is measured against a control `{old.kind}` any more"
            shown = f"no control `{old.kind}`"
        else:
            message = f"the control `{old.kind}` rests on fewer models: {len(new.models)} instead of {len(old.models)}"
            shown = control(new)
        yield less("TL434", message, f"write `{control(old)}`", here, there, control(old), shown)
