"""What may be erased by statements that are not understood: nothing is said about its not being erased.

Only a recipe with an error comes here.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracelang.diagnostics.diagnostic import nearest
from tracelang.records import dataclass, field
from tracelang.semantics.modules import Module
from tracelang.semantics.program import Concept
from tracelang.semantics.rules.references import leaves
from tracelang.semantics.scope import Scope
from tracelang.syntax import tree


@dataclass(slots=True)
class Doubt:
    """`words` are the names and texts that such statements speak of; `all`: nobody can tell what they speak of."""

    words: set[str] = field(default_factory=set)
    all: bool = False

    def covers(self, concepts: Iterable[Concept]) -> bool:
        """Whether they may erase these together."""
        return self.all or any(not self.words.isdisjoint((one.key, one.key.strip('"'), *one.names)) for one in concepts)


def doubt(modules: Iterable[Module], failed: Iterable[tuple[Module, tree.Erase]]) -> Doubt:
    """What the broken statements of some files may erase, and those that were read but not understood."""
    found = Doubt()
    for module in modules:
        for statement in module.file.statements:
            if isinstance(statement, tree.Include) and id(statement) not in module.includes:
                found.all = True
        for one in module.file.broken:
            if not one.starts or not one.starts.isdisjoint(("erase", "include")):
                found.all = found.all or one.lost or "include" in one.starts
                for word in one.words:
                    _add(found, module, word)
    for module, node in failed:
        for leaf in leaves(node.set):
            if isinstance(leaf, tree.ListFile):
                found.all = True
            else:
                _add(found, module, leaf.value if isinstance(leaf, tree.Text) else leaf.text)
    return found


def _add(found: Doubt, module: Module, word: str) -> None:
    """A word, and what stands behind it where it is a name: names of names, however long the chain."""
    waiting = [word]
    while waiting:
        word = waiting.pop()
        if word not in found.words:
            found.words.add(word)
            waiting += _behind(found, module, word)


def _behind(found: Doubt, module: Module, word: str) -> list[str]:
    first, _, last = word.rpartition(".")
    found.words.add(last)
    imports = module.scope.imports
    scope = imports.get(first, imports.get(nearest(first, imports))) if first else module.scope
    if scope is None:
        found.all = found.all or first in module.scope.imports
        return []
    if last in scope.missing:
        broken = [one for one in module.file.broken if last in one.defines]
        found.all = found.all or any(one.lost for one in broken)
        return [other for one in broken for other in one.words]
    named = scope.find("concept", last) or scope.find("concept", nearest(last, scope.known("concept")))
    return [] if named is None else _of(found, module, *named)


def _of(found: Doubt, module: Module, definition: object, home: Scope) -> list[str]:
    words = []
    if isinstance(definition, tree.Concept):
        found.words.add(definition.name.text if isinstance(definition.name, tree.Name) else definition.name.value)
    elif isinstance(definition, tree.Group):
        for leaf in leaves(definition.set):
            if isinstance(leaf, tree.ListFile) or home is not module.scope:
                found.all = True
            elif isinstance(leaf, tree.Text):
                found.words.add(leaf.value)
            else:
                words.append(leaf.text)
    return words
