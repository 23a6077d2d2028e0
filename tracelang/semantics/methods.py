"""Methods: sequences of passes, written out or derived from another by changing settings."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from tracelang.diagnostics import Label, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.records import replace
from tracelang.semantics.context import Context
from tracelang.semantics.fields import attributes, settings
from tracelang.semantics.kinds import PASSES, TERMS, Pass, Term, declared, kinds, takes_terms
from tracelang.semantics.program import Method
from tracelang.semantics.scope import Scope, find
from tracelang.semantics.settings import Setting, Wrong, setting
from tracelang.semantics.standard import method_names, shipped_method
from tracelang.syntax import tree

Spans = dict[str, Span]


def method(context: Context, scope: Scope, reference: tree.Reference, body: tree.Body | None) -> Method | None:
    """The method that a name means, with the settings of a body changed; None where it cannot be had."""
    base = _named(context, scope, reference)
    if base is None:
        return None
    return _changed(context, scope, base, body) if body else base


def _named(context: Context, scope: Scope, reference: tree.Reference) -> Method | None:
    name = reference.parts[0].text
    shipped_method(name)
    found = find(scope, "method", reference, context.report, method_names)
    if found is None:
        return None
    definition, home = found
    assert isinstance(definition, tree.Define)
    if context.within(definition) and home.parent is not None:
        # `define method trace = trace { … }` derives from the prelude's.
        return _named(context, home.parent, reference)
    return defined(context, home, definition, reference)


def defined(context: Context, home: Scope, definition: tree.Define, use: tree.Node) -> Method | None:
    """The meaning of a definition."""
    return context.meaning(definition, use, lambda: _meaning(context, home, definition))


def _meaning(context: Context, home: Scope, definition: tree.Define) -> Method | None:
    name = definition.name.text
    if definition.base is not None:
        base = method(context, home, definition.base, definition.body)
        return None if base is None else replace(base, name=name)
    passes: list[Pass] = []
    spans: Spans = {}
    places: Spans = {}
    items = definition.body.items if definition.body else ()
    for item in items:
        if isinstance(item, tree.Setting):
            help = "write it inside its pass: `refine { … }`"
            context.report.error("TL206", "a setting stands inside a pass", item.span, help=help)
            continue
        one = _pass(context, home, item, spans)
        if one is not None and _unlabelled(context, places, one.label, item):
            passes.append(one)
    if all(isinstance(item, tree.Block) and item.name.text == "fuse" for item in items):
        help = "give it a pass that makes an edit: `refine {}`"
        context.report.error("TL313", f"the method `{name}` changes nothing", definition.name.span, help=help)
        return None
    return Method(name, tuple(passes), spans)


def _pass(context: Context, scope: Scope, block: tree.Block, spans: Spans) -> Pass | None:
    kind = block.name.text
    declaration = declared(PASSES, kind)
    if declaration is None:
        help = did_you_mean(kind, kinds(PASSES))
        context.report.error("TL205", f"no pass is called `{kind}`", block.name.span, help=help)
        return None
    label = (block.label or block.name).text
    values = _settings(context, scope, declaration, block, f"the pass `{kind}`", spans, label)
    terms: list[Term] = []
    places: Spans = {}
    for item in block.body.items:
        if isinstance(item, tree.Block):
            term = _term(context, scope, item, kind, takes_terms(declaration), spans, label)
            if term is not None and _unlabelled(context, places, term.label, item):
                terms.append(term)
    if not takes_terms(declaration):
        return cast(Pass, declaration(label=label, **attributes(values)))
    if not any(isinstance(item, tree.Block) for item in block.body.items):
        help = f"give it a term: {', '.join(kinds(TERMS))}"
        context.report.error("TL313", f"a `{kind}` pass without terms does nothing", block.span, help=help)
    return cast(Pass, declaration(label=label, terms=tuple(terms), **attributes(values)))


def _term(
    context: Context, scope: Scope, block: tree.Block, owner: str, takes: bool, spans: Spans, within: str
) -> Term | None:
    kind = block.name.text
    declaration = declared(TERMS, kind) if takes else None
    if declaration is None:
        help = did_you_mean(kind, kinds(TERMS)) if takes else f"`{owner}` has no terms"
        context.report.error("TL205", f"`{owner}` has no term `{kind}`", block.name.span, help=help)
        return None
    for item in block.body.items:
        if isinstance(item, tree.Block):
            context.report.error("TL206", "a term holds settings only", item.span)
    label = (block.label or block.name).text
    values = _settings(context, scope, declaration, block, f"the term `{kind}`", spans, f"{within}.{label}")
    return cast(Term, declaration(label=label, **attributes(values)))


def _settings(
    context: Context, scope: Scope, declaration: Any, block: tree.Block, owner: str, spans: Spans, address: str
) -> dict[str, Setting]:
    """What the head and the body of a block set; the rest keeps its default."""
    spans[address] = block.span
    fields = settings(declaration)
    written = _head(block) + [item for item in block.body.items if isinstance(item, tree.Setting)]
    found: dict[str, Setting] = {}
    places: Spans = {}
    for one in written:
        name = ".".join(part.text for part in one.address)
        if name not in fields:
            help = did_you_mean(name, fields)
            context.report.error("TL206", f"{owner} has no setting `{name}`", one.address[0].span, help=help)
        elif _once(context, places, name, one):
            value = setting(context, scope, fields[name], one)
            if not isinstance(value, Wrong):
                found[name] = value
                spans[f"{address}.{name}"] = one.values[0].span
    return found


def _head(block: tree.Block) -> list[tree.Setting]:
    """`on sites during window` of a block's head, as the settings that they stand for."""
    found = []
    if block.on is not None:
        span = block.on.span
        found.append(
            tree.Setting((tree.Name("on", span=span),), (tree.SitesParentheses(block.on, span=span),), span=span)
        )
    if block.during is not None:
        span = block.during.span
        found.append(tree.Setting((tree.Name("during", span=span),), (block.during,), span=span))
    return found


def _changed(context: Context, scope: Scope, base: Method, body: tree.Body) -> Method:
    """The method with settings changed by address: `pass.setting` or `pass.term.setting`."""
    places: Spans = {}
    for item in body.items:
        if isinstance(item, tree.Block):
            help = "change settings by address, `steer.push.weight = 2`, or define a method with passes of its own"
            context.report.error("TL206", "passes and terms are not added here", item.name.span, help=help)
        elif _once(context, places, ".".join(part.text for part in item.address), item):
            base = _set(context, scope, base, item)
    return base


def _set(context: Context, scope: Scope, base: Method, item: tree.Setting) -> Method:
    labels = [part.text for part in item.address]
    address = ".".join(labels)
    step = next((one for one in base.passes if one.label == labels[0]), None)
    term = next((one for one in step.terms if one.label == labels[1]), None) if step and len(labels) == 3 else None
    owner: Any = term if len(labels) == 3 else step if len(labels) == 2 else None
    fields = settings(owner) if owner is not None else {}
    if labels[-1] not in fields:
        help = did_you_mean(address, _addresses(base))
        message = f"the method `{base.name}` has no setting `{address}`"
        context.report.error("TL206", message, _address_span(item), help=help)
        return base
    value = setting(context, scope, fields[labels[-1]], item)
    if isinstance(value, Wrong):
        return base
    changed: Any = replace(owner, **attributes({labels[-1]: value}))
    if step is not None and term is not None:
        changed = replace(cast(Any, step), terms=_swap(step.terms, term, changed))
    spans = {**base.spans, address: item.values[0].span}
    return replace(base, passes=_swap(base.passes, step, changed), spans=spans)


def _addresses(base: Method) -> list[str]:
    found = []
    for one in base.passes:
        found += [f"{one.label}.{name}" for name in settings(one)]
        found += [f"{one.label}.{term.label}.{name}" for term in one.terms for name in settings(term)]
    return found


Part = TypeVar("Part", Pass, Term)


def _swap(parts: tuple[Part, ...], old: object, new: Part) -> tuple[Part, ...]:
    return tuple(new if part is old else part for part in parts)


def _address_span(item: tree.Setting) -> Span:
    first, last = item.address[0].span, item.address[-1].span
    return Span(first.source, first.start, last.end)


def _once(context: Context, places: Spans, name: str, item: tree.Setting) -> bool:
    if name in places:
        also = [Label(places[name], "first set here")]
        context.report.error("TL211", f"`{name}` is set twice", item.span, also=also, help="remove one")
        return False
    places[name] = item.span
    return True


def _unlabelled(context: Context, places: Spans, label: str, block: tree.Block) -> bool:
    """Whether a block's address is still free; two of one kind need a label."""
    if label in places:
        also = [Label(places[label], "the other one")]
        help = f"give one a label of its own: `{block.name.text} as other {{ … }}`"
        context.report.error("TL220", f"two blocks are called `{label}`", block.name.span, also=also, help=help)
        return False
    places[label] = block.name.span
    return True
