"""Methods: sequences of passes, written out or derived from another by changing settings."""

from __future__ import annotations

from typing import TypeVar

from tracelang.diagnostics import Label, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.records import replace
from tracelang.semantics.context import Context
from tracelang.semantics.program import Method, Pass, Setting, Term
from tracelang.semantics.scope import Scope, find
from tracelang.semantics.settings import Wrong, default, setting
from tracelang.semantics.standard import method_names, shipped_method
from tracelang.semantics.tables import PASSES, Field
from tracelang.syntax import tree

Fields = dict[str, Field]


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
    if not context.knows(definition, use):
        with context.entering(definition, use) as free:
            if not free:
                return None
            context.done[id(definition)] = _meaning(context, home, definition)
    meaning: Method | None = context.done[id(definition)]
    return meaning


def _meaning(context: Context, home: Scope, definition: tree.Define) -> Method | None:
    name = definition.name.text
    if definition.base is not None:
        base = method(context, home, definition.base, definition.body)
        return None if base is None else Method(name, base.passes)
    passes: list[Pass] = []
    places: dict[str, Span] = {}
    items = definition.body.items if definition.body else ()
    for item in items:
        if isinstance(item, tree.Setting):
            help = "write it inside its pass: `refine { … }`"
            context.report.error("TL206", "a setting stands inside a pass", item.span, help=help)
            continue
        one = _pass(context, home, item)
        if one is not None and _unlabelled(context, places, one.label, item):
            passes.append(one)
    if all(isinstance(item, tree.Block) and item.name.text == "fuse" for item in items):
        help = "give it a pass that makes an edit: `refine {}`"
        context.report.error("TL313", f"the method `{name}` changes nothing", definition.name.span, help=help)
        return None
    return Method(name, tuple(passes))


def _pass(context: Context, scope: Scope, block: tree.Block) -> Pass | None:
    kind = PASSES.get(block.name.text)
    if kind is None:
        help = did_you_mean(block.name.text, PASSES)
        context.report.error("TL205", f"no pass is called `{block.name.text}`", block.name.span, help=help)
        return None
    label = (block.label or block.name).text
    settings = _settings(context, scope, kind.settings, block, f"the pass `{block.name.text}`")
    terms: list[Term] = []
    places: dict[str, Span] = {}
    for item in block.body.items:
        if isinstance(item, tree.Block):
            term = _term(context, scope, kind.terms, item, block.name.text)
            if term is not None and _unlabelled(context, places, term.label, item):
                terms.append(term)
    if kind.terms and not any(isinstance(item, tree.Block) for item in block.body.items):
        help = f"give it a term: {', '.join(kind.terms)}"
        context.report.error("TL313", f"a `{block.name.text}` pass without terms does nothing", block.span, help=help)
    return Pass(block.name.text, label, settings, tuple(terms), block.span)


def _term(context: Context, scope: Scope, terms: dict[str, Fields], block: tree.Block, owner: str) -> Term | None:
    name = block.name.text
    fields = terms.get(name)
    if fields is None:
        help = did_you_mean(name, terms) or ("" if terms else f"`{owner}` has no terms")
        context.report.error("TL205", f"`{owner}` has no term `{name}`", block.name.span, help=help)
        return None
    for item in block.body.items:
        if isinstance(item, tree.Block):
            context.report.error("TL206", "a term holds settings only", item.span)
    settings = _settings(context, scope, fields, block, f"the term `{name}`")
    return Term(name, (block.label or block.name).text, settings, block.span)


def _settings(context: Context, scope: Scope, fields: Fields, block: tree.Block, owner: str) -> dict[str, Setting]:
    """Every field of a block: as its head or its body says, else the default."""
    written = _head(block) + [item for item in block.body.items if isinstance(item, tree.Setting)]
    found: dict[str, Setting] = {}
    places: dict[str, Span] = {}
    for one in written:
        name = ".".join(part.text for part in one.address)
        if name not in fields:
            help = did_you_mean(name, fields)
            context.report.error("TL206", f"{owner} has no setting `{name}`", one.address[0].span, help=help)
        elif _once(context, places, name, one):
            value = setting(context, scope, fields[name], one)
            if not isinstance(value, Wrong):
                found[name] = value
    return {name: found[name] if name in found else default(context, field) for name, field in fields.items()}


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
    places: dict[str, Span] = {}
    for item in body.items:
        if isinstance(item, tree.Block):
            help = "change settings by address, `steer.push.weight = 2`, or define a method with passes of its own"
            context.report.error("TL206", "passes and terms are not added here", item.name.span, help=help)
        elif _once(context, places, ".".join(part.text for part in item.address), item):
            base = _set(context, scope, base, item)
    return base


def _set(context: Context, scope: Scope, base: Method, item: tree.Setting) -> Method:
    labels = [part.text for part in item.address]
    one = next((p for p in base.passes if p.label == labels[0]), None)
    term = next((t for t in one.terms if t.label == labels[1]), None) if one and len(labels) == 3 else None
    owner: Pass | Term | None = term if len(labels) == 3 else one if len(labels) == 2 else None
    fields: Fields = {}
    if one is not None and owner is not None:
        kind = PASSES[one.kind]
        fields = kind.terms[owner.kind] if isinstance(owner, Term) else kind.settings
    if one is None or owner is None or labels[-1] not in fields:
        address = ".".join(labels)
        help = did_you_mean(address, _addresses(base))
        message = f"the method `{base.name}` has no setting `{address}`"
        context.report.error("TL206", message, _address_span(item), help=help)
        return base
    value = setting(context, scope, fields[labels[-1]], item)
    if isinstance(value, Wrong):
        return base
    owner = replace(owner, settings={**owner.settings, labels[-1]: value})
    changed = owner if isinstance(owner, Pass) else replace(one, terms=_swap(one.terms, term, owner))
    return replace(base, passes=_swap(base.passes, one, changed))


def _addresses(base: Method) -> list[str]:
    found = []
    for one in base.passes:
        found += [f"{one.label}.{name}" for name in one.settings]
        found += [f"{one.label}.{term.label}.{name}" for term in one.terms for name in term.settings]
    return found


Part = TypeVar("Part", Pass, Term)


def _swap(parts: tuple[Part, ...], old: object, new: Part) -> tuple[Part, ...]:
    return tuple(new if part is old else part for part in parts)


def _address_span(item: tree.Setting) -> Span:
    first, last = item.address[0].span, item.address[-1].span
    return Span(first.source, first.start, last.end)


def _once(context: Context, places: dict[str, Span], name: str, item: tree.Setting) -> bool:
    if name in places:
        also = [Label(places[name], "first set here")]
        context.report.error("TL211", f"`{name}` is set twice", item.span, also=also, help="remove one")
        return False
    places[name] = item.span
    return True


def _unlabelled(context: Context, places: dict[str, Span], label: str, block: tree.Block) -> bool:
    """Whether a block's address is still free; two of one kind need a label."""
    if label in places:
        also = [Label(places[label], "the other one")]
        help = f"give one a label of its own: `{block.name.text} as other {{ … }}`"
        context.report.error("TL220", f"two blocks are called `{label}`", block.name.span, also=also, help=help)
        return False
    places[label] = block.name.span
    return True
