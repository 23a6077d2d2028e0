"""Every code with its explanation: the compiler's from `diagnostics`, the lint rules' from their own docstrings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tracelang.diagnostics.codes import CODES
from tracelang.diagnostics.explanations import explanations
from tracelang.semantics.rules import RULES

SECTIONS = ("What it does", "Why", "Example", "Use instead")


@dataclass(frozen=True, slots=True)
class Rule:
    """A code's severity and title, and its sections as Markdown by their headings in `SECTIONS`."""

    code: str
    severity: str
    title: str
    sections: dict[str, str]


def rules() -> dict[str, Rule]:
    """Every rule by its code, in the order of the codes."""
    found = {rule.code: rule for rule in (*_compiler(), *_lint())}
    return {code: found[code] for code in CODES if code in found}


def _compiler() -> list[Rule]:
    known = []
    for code, one in explanations().items():
        word = "erase-bad" if one.severity == "error" else "erase"
        fence = f"```{word} {code}\n{one.example.strip()}\n```" if one.example else ""
        texts = dict(zip(SECTIONS, (one.what, one.why, fence, one.instead), strict=True))
        sections = {heading: text for heading, text in texts.items() if text}
        known.append(Rule(code, one.severity, CODES.get(code, code), sections))
    return known


def _lint() -> list[Rule]:
    known = []
    for module in RULES:
        parts = re.split(r"^## (.+)\n", module.__doc__ or "", flags=re.M)[1:]
        sections = {heading: text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)}
        known.append(Rule(module.CODE, module.SEVERITY, module.TITLE, sections))
    return known
