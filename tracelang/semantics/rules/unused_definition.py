"""A definition that nothing in the recipe leads to.

## What it does
Reports concepts, groups, templates, windows, layer sets, methods, params and imported names that no `erase`,
`preserve`, `method` or `expect` uses, not even through another definition. A file of definitions alone is a library
and is left in peace, and so is a protected concept, which holds wherever it is declared.

## Why
What is defined and not used is most often forgotten: a group that was to be preserved, a window that no setting names.
A reader of the policy takes it to be in force.

## Example
```erase
tracelang 1
group animals = "dog", "horse"
erase "cat"
preserve "statue"
```

## Use instead
```erase
tracelang 1
group animals = "dog", "horse"
erase "cat"
preserve animals, "statue"
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Label, Severity
from tracelang.semantics.rules.references import uses
from tracelang.semantics.scope import SORTS, WHAT, Definition, Sort
from tracelang.semantics.tables import DEFAULT_METHOD, KINDS
from tracelang.syntax import tree

if TYPE_CHECKING:
    from tracelang.semantics.rules.subject import Subject

CODE = "TL501"
SEVERITY: Severity = "warning"
TITLE = "a definition that nothing uses"

IN_FORCE = tree.Erase | tree.Preserve | tree.Method | tree.Expect


def check(subject: Subject) -> Iterator[Diagnostic]:
    statements = subject.file.statements
    if not any(isinstance(node, IN_FORCE) for node in statements):
        return
    definitions = subject.scope.definitions
    reached, heads = _reached(subject)
    for node in statements:
        if isinstance(node, tree.Import) and node.alias.text not in heads:
            yield _unused(f"the import `{node.alias.text}`", node.alias)
        elif isinstance(node, tree.FromImport):
            for one in node.names:
                if one.text not in heads:
                    yield _unused(f"the imported `{one.text}`", one)
        elif isinstance(node, tree.Concept) and isinstance(node.name, tree.Text):
            if f'"{node.name.value}"' not in subject.program.concepts:
                yield _unused(f'the concept "{node.name.value}"', node.name)
        elif isinstance(node, Definition) and isinstance(node.name, tree.Name):
            sort, name = SORTS[type(node)], node.name
            if definitions[sort].get(name.text) is node and (sort, name.text) not in reached:
                yield _unused(f"the {_what(node, sort)} `{name.text}`", name)


def _reached(subject: Subject) -> tuple[set[tuple[Sort, str]], set[str]]:
    """The definitions that the statements in force lead to, and the first words of all names on the way."""
    definitions = subject.scope.definitions
    reached: set[tuple[Sort, str]] = set()
    heads: set[str] = set()
    waiting: list[tree.Statement] = []
    for node in subject.file.statements:
        if isinstance(node, IN_FORCE):
            waiting.append(node)
        elif isinstance(node, tree.Concept) and node.kind and node.kind.text == "protected":
            waiting.append(node)
            if isinstance(node.name, tree.Name):
                reached.add(("concept", node.name.text))
    waiting += [node for text, node in subject.scope.texts.items() if f'"{text}"' in subject.program.concepts]

    def reach(sort: Sort, name: str) -> None:
        node = definitions[sort].get(name)
        if node is not None and (sort, name) not in reached:
            reached.add((sort, name))
            waiting.append(node)

    if not any(isinstance(node, tree.Method) for node in subject.file.statements):
        reach("method", DEFAULT_METHOD)
    if any(kind in definitions["templates"] for kind in KINDS):
        for concept in subject.program.concepts.values():
            reach("templates", concept.kind)  # what a concept without templates of its own takes
    while waiting:
        for sort, reference in uses(waiting.pop()):
            heads.add(reference.parts[0].text)
            reach(sort, reference.parts[0].text)
    return reached, heads


def _what(node: tree.Statement, sort: Sort) -> str:
    return "group" if isinstance(node, tree.Group) else "concept" if sort == "concept" else WHAT[sort][1]


def _unused(what: str, name: tree.Name | tree.Text) -> Diagnostic:
    return Diagnostic(CODE, SEVERITY, f"{what} is not used", Label(name.span), help="use it, or remove it")
