"""What an editor shows about the word under the pointer: Markdown, from the words of the language's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

from tracelang.diagnostics import Diagnostic, Findings, Span
from tracelang.lsp.documents import Document, Documents
from tracelang.lsp.mentions import Address, Mention, at
from tracelang.lsp.methods import context, meant, parts
from tracelang.lsp.names import Defined, alias, file_at, looked_up
from tracelang.lsp.words import meaning, setting_text
from tracelang.semantics.concepts import declared as declared_concept
from tracelang.semantics.concepts import implicit
from tracelang.semantics.fields import Field, settings
from tracelang.semantics.kinds import PASSES, TERMS, declared, does
from tracelang.semantics.lists import Lists
from tracelang.semantics.prior import PRIOR
from tracelang.semantics.program import Concept
from tracelang.semantics.prompts import fill
from tracelang.semantics.rulebook import Rule, rules
from tracelang.semantics.rules.allowances import MARK
from tracelang.semantics.sets import Members, members
from tracelang.semantics.tables import AFTERS, ATTACKS, CONTROLS, FAMILIES, HEADER, KINDS, METRICS, ROUNDINGS, SUITES
from tracelang.semantics.values import PLACES, READS, ROLES
from tracelang.syntax import tree
from tracelang.text import joined

MAX_SHOWN = 12
"""So many prompts, members and lines are shown, and how many more there are."""
MAX_LINES = 40
CODE = re.compile(r"TL\d{3}")


def hover(
    documents: Documents, document: Document, offset: int, findings: Iterable[Diagnostic]
) -> tuple[str, Span] | None:
    """What is known about a place, and the stretch that it is about. `findings` are the document's, as last told."""
    allowance = _allowance(document, offset)
    if allowance is not None:
        return allowance
    mention = at(document.statement(offset), offset)
    blocks = [_about(documents, document, mention)] if mention is not None else []
    span = mention.span if mention is not None else None
    codes: dict[str, None] = {}
    for finding in findings:
        here = finding.primary.span
        if here.source.path == document.source.path and here.start <= offset <= max(here.end, here.start + 1):
            codes[finding.code] = None
            span = span or here
    blocks += [_rule(rules()[code]) for code in codes if code in rules()]
    text = "\n\n---\n\n".join(block for block in blocks if block)
    return (text, span) if text and span is not None else None


def _allowance(document: Document, offset: int) -> tuple[str, Span] | None:
    """The rule that an allowance names."""
    for comment in document.module.file.comments:
        span = comment.span
        if span.start <= offset <= span.end and comment.text.lstrip("#").strip().startswith(MARK):
            for match in CODE.finditer(comment.text):
                if match[0] in rules() and match.start() <= offset - span.start <= match.end():
                    place = Span(span.source, span.start + match.start(), span.start + match.end())
                    return _rule(rules()[match[0]]), place
    return None


def _rule(rule: Rule) -> str:
    """A rule's text."""
    head = f"**{rule.code}: {rule.title}** ({rule.severity})"
    return "\n\n".join(
        [head, *(f"*{heading}.* {text}" for heading, text in rule.sections.items() if "```" not in text)]
    )


def _about(documents: Documents, document: Document, mention: Mention) -> str:
    found = looked_up(document, mention)
    if found is not None:
        return _definition(documents, document, found)
    name = mention.name
    match mention.sort:
        case "text":
            return _text(documents, document, mention)
        case "concept" if name == PRIOR:
            return "`prior`: the words of the model's own vocabulary, as far as they are not near an erased name"
        case "layers" if name in READS or name in ROLES:
            return f"`{name}`: layers by {'what they read' if name in READS else 'their role'}"
        case "place" if name in PLACES:
            return f"`{name}`: a place in the model"
        case "metric" if name in METRICS:
            metric = METRICS[name]
            limit = {"<=": "at most", ">=": "at least"}.get(metric.comparison or "", "around")
            demand = metric.demand.format(limit=limit, bound="the bound", attack="that is named")
            return f"**metric `{name}`** ({metric.scale}, from {metric.source})\n\n{demand[:1].upper()}{demand[1:]}"
        case "attack" if name in ATTACKS:
            access, what = ATTACKS[name]
            return f"**attack `{name}`** ({access})\n\n{what}."
        case "suite" if name in SUITES:
            return f"**suite `{name}`**: {SUITES[name]}"
        case "control" if name in CONTROLS:
            return f"**control `{name}`**: {CONTROLS[name]}"
        case "after" if name in AFTERS:
            return f"`after {name}`: {AFTERS[name]}"
        case "rounding" if name in ROUNDINGS:
            return f"**number format `{name}`**: {ROUNDINGS[name]}"
        case "kind" if name in KINDS:
            return f"**kind `{name}`**: {_kind(name)}"
        case "header" if name in HEADER:
            return f"**header field `{name}`**: {'names' if HEADER[name] == 'names' else 'one ' + HEADER[name]}"
        case "header value" if name in FAMILIES:
            return f"`{name}`: {FAMILIES[name]}"
        case "pass" | "term" as sort:
            declaration = declared(PASSES if sort == "pass" else TERMS, name)
            return f"**{sort} `{name}`**: {does(declaration)}." if declaration is not None else ""
        case "setting":
            field = settings(mention.owner).get(name) if mention.owner is not None else None
            return f"**setting `{name}`**\n\n{setting_text(mention.owner, name, field)}" if field else ""
        case "choice":
            return _choice(mention.owner, name)
        case "address":
            return _address(document, mention.owner)
        case "import":
            one = alias(document, name)
            return f"**import `{name}`**: `{one.path.value}`" if one is not None else ""
        case "recipe" | "list" as sort:
            return _file(documents, document, mention, sort)
    return ""


def _definition(documents: Documents, document: Document, found: Defined) -> str:
    node = found.node
    where = "" if found.home is document.module.scope else f"\n\nDefined in `{_shown(document, found)}`."
    unsaved = documents.unsaved()
    if isinstance(node, tree.Concept):
        made = context(found.home, unsaved)
        key = declared_concept(made, found.home, node)
        return _concept(made.concepts[key], key.removesuffix(f" ({found.home.name})")) + where
    if isinstance(node, tree.Group):
        made = context(found.home, unsaved)
        use = tree.Reference((tree.Name(node.name.text, span=node.name.span),), span=node.name.span)
        known = members(made, found.home, use)
        return f"**group `{node.name.text}`**\n\n{_members(known, found.home.name)}{where}"
    return f"{_source(node.span.text)}{where}"


def _shown(document: Document, found: Defined) -> str:
    path = found.span.source.path
    wall = Path(document.place.wall).as_posix()
    return path.removeprefix(f"{wall}/")


def _text(documents: Documents, document: Document, mention: Mention) -> str:
    """The concept that a quoted text stands for."""
    made = context(document.module.scope, documents.unsaved())
    node = tree.Text(mention.name, span=mention.span)
    key = implicit(made, document.module.scope, mention.name, node)
    return _concept(made.concepts[key], key) if key is not None else ""


def _concept(one: Concept, name: str) -> str:
    prompts = list(dict.fromkeys(fill(template, name) for name in one.names for template in one.templates))
    lines = [f"**concept {_code(name)}**, {one.kind}: {_kind(one.kind)}"]
    lines.append(f"Names: {_some([_code(name) for name in one.names])}")
    if one.probes:
        lines.append(f"Probes, held out: {_some([_code(probe) for probe in one.probes])}")
    lines.append(f"Prompts ({len(prompts):,}):\n\n" + "\n".join(f"- {text}" for text in _few(prompts)))
    return "\n\n".join(lines)


def _kind(name: str) -> str:
    return next(what for kind, what in KINDS.items() if kind == name)


def _members(known: Members | None, file: str) -> str:
    if known is None:
        return "Its members cannot be told: see the findings."
    rows = "\n".join(
        f"- {text}" for text in _few([joined(key.removesuffix(f" ({file})") for key in member) for member in known])
    )
    return f"{len(known):,} member{'s' if len(known) != 1 else ''}:\n\n{rows}"


def _few(texts: Sequence[str]) -> Iterator[str]:
    yield from map(_code, texts[:MAX_SHOWN])
    if len(texts) > MAX_SHOWN:
        yield f"and {len(texts) - MAX_SHOWN:,} more"


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - MAX_SHOWN:,} more" if len(texts) > MAX_SHOWN else ""
    return ", ".join(texts[:MAX_SHOWN]) + more


def _choice(field: Field, name: str) -> str:
    known = ", ".join(f"`{word}`" for word in (*field.choices, *filter(None, [field.absent])))
    return f"`{name}`: one of {known}\n\n{meaning(field)}"


def _address(document: Document, address: Address) -> str:
    """The pass, the term or the setting that an address leads to."""
    found = meant(document, address.method)
    if found is None:
        return ""
    labels = address.labels[: address.at + 1]
    for one in parts(found, labels):
        return f"**`{'.'.join(labels)}`** in `{found.name}`: {does(type(one))}."
    for one in parts(found, labels[:-1]) if len(labels) > 1 else ():
        field = settings(one).get(labels[-1])
        if field is not None:
            return f"**setting `{'.'.join(labels)}`** of `{found.name}`\n\n{setting_text(one, labels[-1], field)}"
    return ""


def _file(documents: Documents, document: Document, mention: Mention, sort: str) -> str:
    path = tree.Text(mention.name, span=mention.span)
    located = file_at(document, path, "recipe" if sort == "recipe" else "list")
    if located is None:
        return ""
    if sort == "recipe":
        return f"**recipe `{located.name}`**"
    statement = document.statement(mention.span.start)
    node = next((one for one in _lists(statement) if one.path.span == mention.span), None)
    texts = Lists(Findings(), documents.unsaved()).texts(document.place, node) if node is not None else None
    if texts is None:
        return f"**list `{located.name}`**"
    rows = "\n".join(f"- {text}" for text in _few(texts))
    return f"**list `{located.name}`**, {len(texts):,} texts\n\n{rows}"


def _lists(statement: tree.Statement | None) -> Iterator[tree.ListFile]:
    """Every list of a statement."""
    waiting: list[object] = [statement]
    while waiting:
        one = waiting.pop()
        if isinstance(one, tree.ListFile):
            yield one
        elif isinstance(one, tuple):
            waiting += cast("tuple[object, ...]", one)
        elif isinstance(one, tree.Node):
            fields: tuple[str, ...] = type(one).__match_args__
            waiting += [getattr(one, name) for name in fields]


def _source(text: str) -> str:
    """A definition as it is written."""
    rows = text.splitlines()
    more = [f"# and {len(rows) - MAX_LINES} lines more"] if len(rows) > MAX_LINES else []
    return "\n".join(["```erase", *rows[:MAX_LINES], *more, "```"])


def _code(text: str) -> str:
    """A text as Markdown's code, whatever is in it."""
    shown = " ".join(text.split())
    marks = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    space = " " if shown[:1] == "`" or shown[-1:] == "`" else ""
    return f"{marks}{space}{shown}{space}{marks}" if shown else ""
