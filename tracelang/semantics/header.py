"""The recipe's header and the version of the language."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tracelang.diagnostics import Edit, Fix, Label, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.context import Context
from tracelang.semantics.tables import FAMILIES, HEADER, THREATS
from tracelang.syntax import tree
from tracelang.syntax.tree import LANGUAGE_VERSION

Header = dict[str, str | tuple[str, ...]]


def version(context: Context, statements: Sequence[tree.Statement]) -> None:
    """`tracelang 1` stands first if it stands anywhere, and names a version that this compiler knows."""
    for i, statement in enumerate(statements):
        if not isinstance(statement, tree.Version):
            continue
        if i:
            help = "move it to the top of the file"
            context.report.error("TL312", "`tracelang` is the first statement of a file", statement.span, help=help)
        elif statement.number.text != str(LANGUAGE_VERSION) or statement.number.percent:
            # a newer one was the only finding: see `parser.recover`
            span = statement.number.span
            message = "a version of the language is a whole number, and the first one is 1"
            fix = Fix(f"write `{LANGUAGE_VERSION}`", (Edit(span, str(LANGUAGE_VERSION)),))
            context.report.error("TL312", message, span, help=f"write `tracelang {LANGUAGE_VERSION}`", fix=fix)


def header(context: Context, statements: Sequence[tree.Statement]) -> Header:
    """The fields of the recipe's header; those that it does not state are left out."""
    found: Header = {}
    first: tree.Recipe | None = None
    for statement in statements:
        if not isinstance(statement, tree.Recipe):
            continue
        if first is not None:
            also = [Label(first.name.span, "the first one")]
            context.report.error("TL210", "a file has one `recipe` header", statement.name.span, also=also)
            continue
        first = statement
        found["name"] = statement.name.value
        places: dict[str, Span] = {}
        for item in statement.body.items:
            _field(context, found, places, item)
    return found


def _field(context: Context, found: Header, places: dict[str, Span], item: tree.Setting | tree.Block) -> None:
    name = item.name.text if isinstance(item, tree.Block) else ".".join(part.text for part in item.address)
    if isinstance(item, tree.Block) or name not in HEADER:
        help = did_you_mean(name, HEADER)
        context.report.error("TL209", f"a recipe's header has no field `{name}`", item.span, help=help)
        return
    if name in places:
        also = [Label(places[name], "first set here")]
        context.report.error("TL211", f"`{name}` is set twice", item.span, also=also, help="remove one")
        return
    places[name] = item.span
    kind = HEADER[name]
    first = item.values[0]
    if kind == "text" and len(item.values) == 1 and isinstance(first, tree.Text):
        if name == "review_by" and not _is_date(first.value):
            written = re.fullmatch(r"\d{4}-\d\d-\d\d", first.value)
            message = "there is no such day" if written else "a date is written like `2027-05-01`"
            context.report.error("TL212", message, first.span)
        found[name] = first.value
    elif kind == "name" and len(item.values) == 1 and isinstance(first, tree.Reference):
        if first.text not in THREATS:
            help = did_you_mean(first.text, THREATS)
            context.report.error("TL209", f"`{name}` is one of {', '.join(THREATS)}", first.span, help=help)
        found[name] = first.text
    elif kind == "names" and all(isinstance(value, tree.Reference) for value in item.values):
        known = [value for value in item.values if isinstance(value, tree.Reference)]
        for value in known:
            if value.text not in FAMILIES:
                help = did_you_mean(value.text, FAMILIES)
                context.report.error("TL209", f"no model family is called `{value.text}`", value.span, help=help)
        found[name] = tuple(sorted({value.text for value in known}))
    else:
        words = {"text": "one quoted text", "name": "one name", "names": "names, without quotes"}[kind]
        context.report.error("TL212", f"`{name}` is {words}", first.span)


def _is_date(text: str) -> bool:
    from datetime import date

    try:
        return len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False
