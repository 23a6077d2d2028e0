"""The page of all rules.

`python -m tracelang.cli.rulebook` writes docs/rules.md again; `--check` only compares.
"""

from __future__ import annotations

from pathlib import Path

from tracelang.semantics.rulebook import rules

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
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
