"""What a model's text encoders do not get of a plan's prompts, as findings with the place in the recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Findings, Source, Span
from tracelang.text import joined

if TYPE_CHECKING:
    from tracelang.api import Bound
    from tracelang.models.protocol import Lost, TextSide
    from tracelang.plan.prompts import Prompt
    from tracelang.plan.types import Member, Plan

MUST = ("erased", "anchors")
"""The roles of which something has to be read."""


def unread(
    plan: Plan, text: TextSide, inputs: set[str] | None, places: Mapping[str, Span], nowhere: Span
) -> list[Diagnostic]:
    """Findings in the recipe's order. `inputs` are those of the text that an edited matrix reads (None: all), `places`
    where a concept stands, by its first name.
    """
    report = Findings()
    for role, member, prompts in _prompts(plan):
        names = [plan.concept(name).names[0] for name in member]
        span = next((places[name] for name in names if name in places), nowhere)
        lost = text.lost(prompts)
        for reads in dict.fromkeys(one.reads for one in lost):
            if inputs is None or reads in inputs:
                _find(report, role, joined(member), [one for one in lost if one.reads == reads], len(prompts), span)
    return list(dict.fromkeys(report.in_order()))


def unread_of(
    bound: Bound, device: str, dtype: str | None, recipe: str, params: Mapping[str, str], root: Path | None
) -> list[Diagnostic]:
    """`unread` of a bound plan, as far as an edited matrix reads it, with the places of its recipe."""
    from tracelang.models import text_cache

    read = {site.reads for site in bound.sites}
    text = bound.family.text(bound.folder, device, dtype, text_cache.folder())
    inputs = None if None in read else {one for one in read if one}
    return unread(bound.plan, text, inputs, *written(recipe, params, root))


def _prompts(plan: Plan) -> Iterator[tuple[str, Member, Sequence[Prompt]]]:
    from tracelang.plan.prompts import anchor_prompts, edit_prompts

    for erasure in plan.active:
        yield "erased", erasure.targets, edit_prompts(plan, erasure.targets)
        if erasure.anchor is not None:
            yield "anchors", erasure.anchor, tuple(dict.fromkeys(anchor_prompts(plan, erasure.targets, erasure.anchor)))
    for entry in plan.preserve:
        yield "preserved", entry.concepts, edit_prompts(plan, entry.concepts)


def _find(report: Findings, role: str, name: str, lost: list[Lost], of: int, span: Span) -> None:
    where = f"the text input `{lost[0].reads}`"
    gone = [one for one in lost if one.nothing]
    if gone and role in MUST:
        why = "cut off" if gone[0].cut else "unknown to the tokenizer"
        report.error(
            "TL601",
            f"{where} gets nothing of {gone[0].prompt.phrase!r}: the words of `{name}` are {why} in {len(gone)} of "
            f"{of} prompts",
            span,
            help="give it a name in words that the model knows, or a shorter template",
        )
        return
    cut = [one for one in lost if one.tokens > one.length]
    if cut:
        words = list(dict.fromkeys(word for one in cut for word in one.cut))
        of_it = f"; of the name {listed(words)} is lost" if words else "; the name itself is whole"
        report.warning(
            "TL602",
            f"{len(cut)} of {of} prompts of `{name}` have up to {max(one.tokens for one in cut)} tokens, {where} reads "
            f"{cut[0].length}{of_it}",
            span,
            help="shorten the template or the name",
        )
    strange = list(dict.fromkeys(word for one in lost for word in one.unknown))
    if strange:
        report.warning(
            "TL603",
            f"{where} has no token for {listed(strange)} in `{name}`: all unknown words are one to it",
            span,
            help="give it a name in letters that the model knows",
        )


def listed(words: Sequence[str]) -> str:
    shown = ", ".join(f"{word[:40]!r}" for word in words[:5])
    return shown + (f" and {len(words) - 5} more" if len(words) > 5 else "")


def written(recipe: str, params: Mapping[str, str], root: Path | None) -> tuple[dict[str, Span], Span]:
    """Where a recipe's or a plan file's concepts stand, by their first names; and the place of all others."""
    if recipe == "-":  # read already, and gone
        return {}, Span(Source("<stdin>", ""), 0, 0)
    path = Path(recipe)
    if recipe.endswith(".json"):
        source = Source(recipe, path.read_text("utf-8"))
        held = json.loads(source.text)
        names = [one["names"][0] for one in held["concepts"]]
        quoted = ((name, json.dumps(name, ensure_ascii=False)) for name in names)
        found = ((name, source.text.find(text), len(text)) for name, text in quoted)
        return {name: Span(source, at, at + size) for name, at, size in found if at >= 0}, Span(source, 0, 0)
    from tracelang.plan.compile import located

    resolution = located(path, root=root, params=params, shown=recipe)
    assert resolution is not None
    nowhere = Span(Source(recipe, path.read_text("utf-8", "replace")), 0, 0)
    return {one.names[0]: one.span for one in resolution.program.concepts.values()}, nowhere
