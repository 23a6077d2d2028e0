"""The language's own words explained in a line or two, from what they declare."""

from __future__ import annotations

from typing import Any

from tracelang.plan.explain import written
from tracelang.semantics.fields import Field, range_words
from tracelang.semantics.prior import Prior
from tracelang.syntax import tree


def setting_text(owner: Any, name: str, field: Field) -> str:
    """What a setting means, what it may be, and what it is where a recipe does not say it.

    `owner` is the class that declares it, or one pass or term of a method, which then says its value.
    """
    declared = owner if isinstance(owner, type) else type(owner)
    lines = [meaning(field), _may_be(field)]
    default = _value(declared, name)
    if default:
        lines.append(f"Default: `{default}`.")
    if not isinstance(owner, type):
        value = written(owner).get(name, "")
        lines.append(f"Here: `{value}`." if value and value != default else "")
    return "\n\n".join(line for line in lines if line)


def meaning(field: Field) -> str:
    """What a setting means, as a sentence; what the page says further on is not there."""
    text = field.means.removesuffix(", see below")
    return f"{text[:1].upper()}{text[1:]}."


def _may_be(field: Field) -> str:
    match field.type:
        case "choice":
            text = f"One of {_code(field.choices)}"
        case "choices":
            text = f"One or more of {_code(field.choices)}"
        case "window":
            text = "A window"
        case "sites":
            text = "A layer set"
        case _:
            text = f"A {'whole ' if field.type == 'integer' else ''}number, {range_words(field)}"
    return f"{text}, or `{field.absent}`." if field.absent else f"{text}."


def _value(declared: type[Any], name: str) -> str:
    if declared is Prior:
        return f"{getattr(Prior(), name)}"
    return written(declared()).get(name, "")


def _code(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def where(statement: tree.Statement | None, offset: int) -> set[str]:
    """The settings that the innermost block around a place has already."""
    body = getattr(statement, "body", None)
    inner: tree.Body | None = body if isinstance(body, tree.Body) else None
    while inner is not None:
        blocks = (one for one in inner.items if isinstance(one, tree.Block))
        around = next((one for one in blocks if one.body.span.start < offset < one.body.span.end), None)
        if around is None:
            break
        inner = around.body
    items = inner.items if inner is not None else ()
    return {one.address[-1].text for one in items if isinstance(one, tree.Setting) and one.span.end <= offset}
