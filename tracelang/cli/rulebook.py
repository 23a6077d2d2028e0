"""Every code with its explanation: the compiler's from `diagnostics`, the lint rules' from their own docstrings.

`python -m tracelang.cli.rulebook` writes docs/rules.md again; `--check` only compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from tracelang.diagnostics.codes import CODES
from tracelang.diagnostics.explanations import explanations

LINT = "tracelang.semantics.rules"
PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
SECTIONS = ("What it does", "Why", "Example", "Use instead")
GROUPS = {
    "TL1": "Reading and syntax",
    "TL2": "Names and types",
    "TL3": "Meaning",
    "TL4": "Policy",
    "TL5": "Style",
    "TL6": "What a model reads",
}
INTRODUCTION = """# Rules

Every finding has a code, and a code keeps its meaning for ever. `tracec rule CODE` prints the part of this page about
one. Errors stop `compile`, `plan` and `apply`; warnings make `tracec lint` exit with 1; notes are only printed.

This page is generated: `python -m tracelang.cli.rulebook`.
"""


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


def page() -> str:
    """docs/rules.md."""
    parts = [INTRODUCTION]
    group = ""
    for code, rule in rules().items():
        if code[:3] != group:
            group = code[:3]
            parts.append(f"## {GROUPS[group]}\n")
        parts.append(f"### {code}: {rule.title}\n\nSeverity: {rule.severity}.\n")
        parts += [f"**{heading}.**\n\n{text}\n" for heading, text in rule.sections.items()]
    return "\n".join(parts)


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
    if find_spec(LINT) is None:
        return []
    known = []
    for module in import_module(LINT).RULES:
        parts = re.split(r"^## (.+)\n", module.__doc__ or "", flags=re.M)[1:]
        sections = {heading: text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)}
        known.append(Rule(module.CODE, module.SEVERITY, module.TITLE, sections))
    return known


def main(arguments: list[str]) -> int:
    text = page()
    if "--check" in arguments:
        current = PAGE.read_text("utf-8") if PAGE.exists() else ""
        stale = "docs/rules.md is stale: run python -m tracelang.cli.rulebook"
        print("docs/rules.md is current" if text == current else stale)
        return int(text != current)
    PAGE.write_text(text, "utf-8")
    print(f"wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
