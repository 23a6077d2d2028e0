"""Controls: models that measurements are read against, one that never knew the concept and one that knows nothing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from tracelang.diagnostics import Label
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.context import Context
from tracelang.semantics.program import Control
from tracelang.semantics.tables import CONTROLS, MAX_CONTROLS, MAX_MODEL_NAME
from tracelang.syntax import tree


def controls(context: Context, statements: Iterable[tree.Control]) -> list[Control]:
    """The controls of a recipe and of what it includes, at most one of each kind, in the order of `CONTROLS`.

    A file states each kind once; models that several files state for one kind are all of them controls, each once.
    """
    seen: dict[tuple[str, str], tree.Control] = {}
    found: dict[str, list[Control]] = {kind: [] for kind in CONTROLS}
    for node in statements:
        kind = node.kind.text
        first = seen.setdefault((node.span.source.path, kind), node)
        if first is not node:
            also = [Label(first.span, "first given here")]
            help = "write the models into one, with commas between them" if kind == "never" else "remove one"
            context.report.error("TL211", f"`control {kind}` is given twice", node.span, also=also, help=help)
            continue
        one = _control(context, node)
        if one is not None:
            found[kind].append(one)
    return [_together(context, several) for several in found.values() if several]


def _control(context: Context, node: tree.Control) -> Control | None:
    kind = node.kind.text
    if kind not in CONTROLS:
        help = did_you_mean(kind, CONTROLS)
        context.report.error("TL209", f"no control is called `{kind}`", node.kind.span, help=help)
        return None
    if kind == "random" and node.models:
        note = "it is the base itself, its denoiser with random weights"
        message = "`control random` takes no model"
        context.report.error("TL212", message, node.models[0].span, help="write `control random`", note=note)
        return None
    if kind == "never" and not node.models:
        message = "`control never` needs a model that never knew what is erased"
        help = 'name it, or its folder: `control never = "micro-sd-never"`'
        context.report.error("TL220", message, node.span, help=help)
        return None
    models: dict[str, tree.Text] = {}
    for text in node.models:
        if not text.value.strip():
            context.report.error("TL213", "an empty text is no model", text.span, help="name it, or its folder")
        elif len(text.value) > MAX_MODEL_NAME:
            message = f"a model's name has at most {MAX_MODEL_NAME:,} characters"
            context.report.error("TL213", message, text.span, help="name it, or its folder")
        elif text.value in models:
            also = [Label(models[text.value].span, "first given here")]
            message = f'the model "{text.value}" is given twice'
            note = "a control counts as often as there are models: one twice would count as two"
            context.report.error("TL211", message, text.span, also=also, help="remove one", note=note)
        else:
            models[text.value] = text
    return Control(kind, tuple(models), node.span)


def _together(context: Context, several: list[Control]) -> Control:
    models = tuple(dict.fromkeys(chain.from_iterable(one.models for one in several)))
    first = several[0]
    if len(models) > MAX_CONTROLS:
        message = f"a recipe has at most {MAX_CONTROLS} models in `control {first.kind}`"
        context.report.error("TL213", message, several[-1].span, help="leave some out: a few show how much they differ")
    return Control(first.kind, models, first.span)
