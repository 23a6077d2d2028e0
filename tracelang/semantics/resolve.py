"""From a tree to a program: names resolved, types checked, defaults filled in, every problem collected."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tracelang.diagnostics import Findings, Label, Span
from tracelang.diagnostics.diagnostic import gathered
from tracelang.records import dataclass
from tracelang.semantics.checks import check
from tracelang.semantics.concepts import declared, defined_templates, folded
from tracelang.semantics.context import Context
from tracelang.semantics.controls import controls
from tracelang.semantics.expectations import expectations
from tracelang.semantics.fields import Field
from tracelang.semantics.header import header, version
from tracelang.semantics.layers import sites
from tracelang.semantics.lists import Lists
from tracelang.semantics.merge import used
from tracelang.semantics.methods import defined, method
from tracelang.semantics.modules import Module, Modules
from tracelang.semantics.numbers import bounded, share
from tracelang.semantics.params import overrides, params
from tracelang.semantics.paths import Place
from tracelang.semantics.prior import PRIOR, Prior
from tracelang.semantics.program import Assertion, Erasure, Held, Member, Method, Preservation, Program
from tracelang.semantics.provenance import Came
from tracelang.semantics.scope import Scope
from tracelang.semantics.sets import members
from tracelang.semantics.tables import DEFAULT_METHOD
from tracelang.semantics.windows import window
from tracelang.syntax import tree
from tracelang.syntax.read import Texts
from tracelang.syntax.text import foreign
from tracelang.text import joined

if TYPE_CHECKING:
    from pathlib import Path

    from tracelang.semantics.probes import Leak

WEIGHT = Field("number", low=0, above=True)


@dataclass(frozen=True, slots=True)
class Resolution:
    """A recipe's tree, the names it can use, what it means, and every recipe file that took part, itself first.

    `inflected` are the probes of which the edit sees another form; `came` knows where from all that was read.
    """

    file: tree.File
    scope: Scope
    program: Program
    files: tuple[tree.File, ...]
    came: Came
    inflected: tuple[Leak, ...] = ()


def resolve(
    file: tree.File,
    report: Findings,
    *,
    folder: str | Path,
    root: str | Path,
    given: Mapping[str, str | float] | None = None,
    path: str | Path | None = None,
    unsaved: Texts | None = None,
) -> Resolution | None:
    """What a file means, or None with every error in `report`.

    Lists and other recipes are sought from `folder`, inside `root`. `path` is the file's own: it may not import itself.
    Of files that are `unsaved`, what the editor holds counts.
    """
    modules = Modules(report, unsaved)
    shown = os.fspath(folder).replace(os.sep, "/")
    top = modules.top(
        file, Place(folder, root, "" if shown == "." else shown), os.path.realpath(path) if path else None
    )
    context = Context(report, Lists(report, unsaved))
    info = header(context, file.statements)
    for module in modules.all:
        version(context, module.file.statements)
        params(context, module.scope)
        if module is not top:
            header(context, module.file.statements)
    overrides(context, top.scope, given or {})
    try:
        for module in [top, *(module for module in modules.all if module is not top)]:
            _definitions(context, module.scope)
    except RecursionError:
        if context.deepest is None:
            raise
        message = "definitions that lean on one another, and their brackets, are nested too deep together"
        report.error("TL215", message, context.deepest.span, help="name the parts directly, without brackets")
        return None
    statements = list(top.statements())
    erase: list[Erasure] = []
    kept: list[Preservation] = []
    priors: list[Held] = []
    expect: list[Assertion] = []
    failed: list[tuple[Module, tree.Erase]] = []
    for module, node in statements:
        match node:
            case tree.Erase():
                before = len(erase)
                erase += _erase(context, module.scope, node)
                if len(erase) == before:
                    failed.append((module, node))
            case tree.Preserve() if _is_prior(module.scope, node.set):
                priors += _prior(context, module.scope, node)
            case tree.Preserve():
                kept += _preserve(context, module.scope, node)
            case tree.Expect():
                expect += expectations(context, module.scope, node)
    beside = controls(context, [node for _, node in statements if isinstance(node, tree.Control)])
    chosen = _method(context, top.scope, file.statements)
    for module in modules.all:
        if module is not top and any(isinstance(node, tree.Method) for node in module.file.statements):
            _method(context, module.scope, module.file.statements)
    if not report.failed and not any(isinstance(node, tree.Erase) for _, node in statements):
        report.error("TL308", "this recipe erases nothing", _end(file), help='write what to erase: `erase "cat"`')
    unsure = None
    if report.failed:
        from tracelang.semantics.doubt import doubt

        unsure = doubt(modules.all, failed)
    erase, kept, expect = context.concepts.settle(erase, kept, expect)
    erase, kept = _merge(context, erase, kept)
    priors = _once(context, priors)
    inflected = check(context, erase, kept, expect, unsure)
    sources = [module.file.source for module in modules.all]
    if any(foreign(one.text) for one in (*sources, *(one for _, one in context.lists.used))):
        from tracelang.semantics.alike import across  # most recipes are all ASCII, or Chinese

        across(sources, context.lists.used, report)
    if len(report.findings) > 1:
        report.findings[:] = gathered(report.findings)
    came = Came(file.source, context.lists, modules.ways)
    report.findings[:] = map(came.shown, report.findings)
    if report.failed or chosen is None:
        return None
    priors = _implied(chosen, priors) + priors
    concepts = {key: context.concepts[key] for key in used(erase, kept, expect)}
    concepts |= {one.key: one for one in context.concepts.protected()}
    files = sorted(
        {*modules.files.values(), *context.lists.files.values()}, key=lambda one: (one.path, one.role, one.data)
    )
    program = Program(
        info,
        concepts,
        tuple(erase),
        tuple(kept),
        tuple(priors),
        chosen,
        tuple(beside),
        tuple(expect),
        tuple(files),
    )
    trees = (file, *(module.file for module in modules.all if module is not top))
    return Resolution(file, top.scope, program, trees, came, inflected)


def _definitions(context: Context, scope: Scope) -> None:
    """Look into every definition, used or not, so that all problems of a file come in one run."""
    for table in scope.definitions.values():
        for name, node in table.items():
            use = tree.Reference((tree.Name(name, span=node.name.span),), span=node.name.span)
            match node:
                case tree.Concept():
                    declared(context, scope, node)
                case tree.Group():
                    members(context, scope, use)
                case tree.Window():
                    window(context, scope, use)
                case tree.Layers():
                    sites(context, scope, use)
                case tree.Templates():
                    defined_templates(context, scope, node, use)
                case tree.Define():
                    defined(context, scope, node, use)
    for concept in scope.texts.values():
        declared(context, scope, concept)


def _erase(context: Context, scope: Scope, node: tree.Erase) -> list[Erasure]:
    seen: dict[type, tree.Toward | tree.Away | tree.Degree] = {}
    for modifier in node.modifiers:
        if type(modifier) in seen:
            also = [Label(seen[type(modifier)].span, "first given here")]
            context.report.error("TL211", "this is given twice", modifier.span, also=also, help="remove one")
        seen.setdefault(type(modifier), modifier)
    toward, away, degree = seen.get(tree.Toward), seen.get(tree.Away), seen.get(tree.Degree)
    if toward is not None and away is not None:
        also = [Label(toward.span, "the anchor")]
        note = "`away` removes the concept's component itself, so there is nothing to move toward"
        context.report.error("TL303", "`away` has no anchor", away.span, also=also, help="remove one", note=note)
    targets = members(context, scope, node.set)
    anchor = _anchor(context, scope, toward) if isinstance(toward, tree.Toward) else None
    part = share(context, scope, degree.value, "`degree`") if isinstance(degree, tree.Degree) else 1.0
    if targets is None or part is None:
        return []
    return [Erasure(target, anchor, away is not None, part, node.set.span) for target in targets]


def _anchor(context: Context, scope: Scope, node: tree.Toward) -> Member | None:
    found = members(context, scope, node.set)
    if found is not None and len(found) != 1:
        help = "write one `erase` for each anchor, or join them with `&`"
        context.report.error("TL212", f"an anchor is one concept, this is {len(found)}", node.set.span, help=help)
        return None
    return found[0] if found else None


def _is_prior(scope: Scope, node: tree.Set | tree.Prior) -> bool:
    """`prior` alone is the vocabulary's, unless the recipe calls a concept or a group so."""
    if isinstance(node, tree.Reference):
        return node.text == PRIOR and PRIOR not in scope.missing and scope.find("concept", PRIOR) is None
    return isinstance(node, tree.Prior)


def _prior(context: Context, scope: Scope, node: tree.Preserve) -> list[Held]:
    from tracelang.semantics.preserving import prior

    found = prior(context, scope, node)
    return [] if found is None else [found]


def _once(context: Context, found: list[Held]) -> list[Held]:
    if not found:
        return found
    from tracelang.semantics.preserving import once

    return once(context, found)


def _implied(chosen: Method, stated: list[Held]) -> list[Held]:
    """The vocabulary, where a pass of the method wants it and no statement holds it: at the largest weight wanted."""
    step = max(chosen.passes, key=lambda one: getattr(one, PRIOR, 0.0))
    wanted = getattr(step, PRIOR, 0.0)
    if not wanted or any(one.prior.kind == "vocabulary" for one in stated):
        return []
    span = chosen.spans.get(f"{step.label}.{PRIOR}", chosen.spans[step.label])
    return [Held(Prior(weight=wanted), span, implied=True)]


def _preserve(context: Context, scope: Scope, node: tree.Preserve) -> list[Preservation]:
    assert not isinstance(node.set, tree.Prior)
    if node.body is not None:
        help = "settings stand in `method`; a block belongs to `preserve prior`"
        context.report.error("TL206", "`preserve` has no block", node.body.span, help=help)
    found = members(context, scope, node.set)
    weight = bounded(context, scope, node.weight.value, WEIGHT, "`weight`") if node.weight else 1.0
    if found is None or weight is None:
        return []
    return [Preservation(member, weight, node.set.span) for member in found]


def _method(context: Context, scope: Scope, statements: tuple[tree.Statement, ...]) -> Method | None:
    chosen = [node for node in statements if isinstance(node, tree.Method)]
    if not chosen:
        name = tree.Name(DEFAULT_METHOD, span=statements[0].span) if statements else None
        return method(context, scope, tree.Reference((name,), span=name.span), None) if name else None
    for node in chosen[1:]:
        also = [Label(chosen[0].name.span, "the first one")]
        context.report.error("TL211", "a recipe uses one method", node.name.span, also=also, help="remove one")
    return method(context, scope, chosen[0].name, chosen[0].body)


def _merge(
    context: Context, erase: list[Erasure], kept: list[Preservation]
) -> tuple[list[Erasure], list[Preservation]]:
    """Each member once; what `A & B` leaves alone, A and B, joins the preserved.

    Not where a statement erases one of its names, nor at a degree of 0, which takes nothing away.
    """
    erased: dict[Member, Erasure] = {}
    for erasure in erase:
        first = erased.setdefault(erasure.targets, erasure)
        if first.way != erasure.way:
            also = [Label(first.span, "first erased here")]
            message = f"{joined(erasure.targets)} is erased twice, in two ways"
            context.report.error("TL309", message, erasure.span, also=also, help="keep one of the two")
    preserved: dict[Member, Preservation] = {}
    for one in kept:
        before = preserved.setdefault(one.concepts, one)
        if before.weight != one.weight:
            also = [Label(before.span, "first preserved here")]
            message = f"{joined(one.concepts)} is preserved twice, with two weights"
            help = "take it out of one of the sets with `except`"
            context.report.error("TL309", message, one.span, also=also, help=help)
    gone = {folded(name) for targets in erased if len(targets) == 1 for name in context.concepts[targets[0]].names}
    for erasure in erased.values():
        for key in erasure.targets if len(erasure.targets) > 1 and erasure.degree > 0 else ():
            if (key,) not in erased and not any(folded(name) in gone for name in context.concepts[key].names):
                preserved.setdefault((key,), Preservation((key,), 1.0, erasure.span))
    return list(erased.values()), list(preserved.values())


def _end(file: tree.File) -> Span:
    last = len(file.source.text.rstrip())
    return Span(file.source, last, last)
