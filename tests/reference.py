"""The tables of docs/language.md that are read from what passes and terms declare.

`python -m tests.reference` writes them into the page again; `tests/test_docs.py` compares.
"""

from __future__ import annotations

import re
from pathlib import Path

from tracelang.plan.bind import ENGINE
from tracelang.plan.compile import compile
from tracelang.plan.explain import written
from tracelang.semantics.fields import Field, settings
from tracelang.semantics.kinds import PASSES, TERMS, Pass, Term, declared, does, kinds, takes_terms
from tracelang.semantics.prior import Prior
from tracelang.semantics.tables import MAX_SEED

PAGE = Path(__file__).parents[1] / "docs" / "language.md"
HEAD = r"^(<!-- table: {} -->\n\|.*\n\|[-|]+\n)((?:\|.*\n)+)"

Row = tuple[str, ...]


def code(*words: str) -> str:
    return ", ".join(f"`{word}`" for word in words)


def passes() -> list[Row]:
    """What each pass does, and which have no engine yet."""
    return _does(PASSES, f"{ENGINE}.passes")


def terms() -> list[Row]:
    """The same of terms."""
    return _does(TERMS, f"{ENGINE}.terms")


def _does(package: str, engine: str) -> list[Row]:
    carried_out = kinds(engine)
    marks = ((kind, "" if kind in carried_out else "*not yet*: ") for kind in kinds(package))
    return [(code(kind), f"{mark}{does(declared(package, kind))}") for kind, mark in marks]


def rows() -> list[Row]:
    """Every setting: address, type, default, values, what the shipped method `trace` says, and the meaning."""
    shipped = compile('erase "x"').method
    found = []
    for kind in kinds(PASSES):
        declaration = declared(PASSES, kind)
        step = next((one for one in shipped.passes if one.kind == kind), None)
        found += _settings(kind, declaration, step)
        parts = {term.kind: term for term in step.terms} if step is not None else {}
        for term in kinds(TERMS) if takes_terms(declaration) else ():
            found += _settings(f"{kind}.{term}", declared(TERMS, term), parts.get(term))
    return found


def _settings(address: str, declaration: type[Pass] | type[Term], shipped: Pass | Term | None) -> list[Row]:
    defaults = written(declaration(**{}))
    actual = written(shipped) if shipped is not None else {}
    return [
        (
            code(f"{address}.{name}"),
            field.type,
            code(defaults[name]),
            _values(field),
            code(actual[name]) if actual else "–",
            field.means,
        )
        for name, field in settings(declaration).items()
    ]


def _values(field: Field) -> str:
    match field.type:
        case "window" | "sites":
            text = "a window" if field.type == "window" else "a layer set"
        case "choice":
            text = code(*field.choices)
        case _:
            low = f"above {field.low:g}" if field.above else f"at least {field.low:g}"
            text = low if field.high is None else f"{low}, at most {_exact(field.high)}"
    return f"{text}, or {code(field.absent)}" if field.absent else text


def _exact(value: float) -> str:
    return "2⁶³ − 1" if value == MAX_SEED else f"{value:,.12g}"


def prior() -> list[Row]:
    """The settings of `preserve prior`."""
    defaults = written(Prior())
    return [
        (code(name), field.type, code(defaults[name]), _values(field), field.means)
        for name, field in settings(Prior).items()
    ]


TABLES = {"prior": prior, "passes": passes, "terms": terms, "settings": rows}


def page(text: str) -> str:
    """The page with these tables as they are declared."""
    for name, made in TABLES.items():
        body = "".join(f"| {' | '.join(row)} |\n" for row in made())
        text = re.sub(HEAD.format(name), lambda match, body=body: match[1] + body, text, flags=re.M)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
