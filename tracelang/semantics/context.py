"""What the resolving functions share: where to report, the lists that were read, and what is resolved already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tracelang.diagnostics import Findings, Label
from tracelang.records import dataclass, field
from tracelang.semantics.lists import Lists
from tracelang.semantics.merge import Concepts
from tracelang.semantics.tables import MAX_REFERENCES
from tracelang.syntax import tree

T = TypeVar("T")


@dataclass(slots=True)
class Context:
    """`done` holds the meaning of each definition once it is known; `open` those that are being worked out.

    A definition goes by its `id`, a quoted text by that of its file's scope and itself. `params` holds values. `depth`
    says how many definitions of its sort a definition leans on, itself included, one behind the other; `below` the same
    of what each open one leans on so far.
    """

    report: Findings
    lists: Lists
    params: dict[int, tree.Number] = field(default_factory=dict)
    concepts: Concepts = field(default_factory=Concepts)
    done: dict[int | tuple[int, str], Any] = field(default_factory=dict)
    open: list[Any] = field(default_factory=list)
    depth: dict[int, int] = field(default_factory=dict)
    below: list[int] = field(default_factory=list)
    deepest: tree.Node | None = None

    def within(self, definition: Any) -> bool:
        """Whether a name is looked up in its own definition, where it means what it means outside."""
        return bool(self.open) and self.open[-1] is definition

    def knows(self, definition: Any, use: tree.Node) -> bool:
        """Whether a definition's meaning is known. What uses it is as deep then as if it had been worked out for it:
        the order of a file decides nothing.
        """
        if id(definition) not in self.done:
            return False
        if self.open and type(self.open[-1]) is type(definition):
            depth = self.depth.get(id(definition), 0)
            if self._opened(definition) + depth > MAX_REFERENCES:
                self._too_deep(use)
            else:
                self.below[-1] = max(self.below[-1], depth)
        return True

    def meaning(self, definition: Any, use: tree.Node, work: Callable[[], T]) -> T | None:
        """What a definition means, worked out once; None, reported, where it leads back to itself or too deep."""
        if not self.knows(definition, use):
            with self.entering(definition, use) as free:
                if not free:
                    return None
                self.done[id(definition)] = work()
        known: T | None = self.done[id(definition)]
        return known

    @contextmanager
    def entering(self, definition: Any, use: tree.Node) -> Iterator[bool]:
        """Guard the work on a definition: yields False, and reports, where it leads back to itself or too deep."""
        if any(one is definition for one in self.open):
            also = [Label(definition.name.span, "defined here")]
            message = f"`{definition.name.text}` is defined by itself"
            self.report.error("TL215", message, use.span, also=also, help="break the circle")
            yield False
        elif self._opened(definition) >= MAX_REFERENCES:
            self._too_deep(use)
            yield False
        else:
            self.open.append(definition)
            self.below.append(0)
            try:
                yield True
            except RecursionError:
                self.deepest = self.deepest or use
                raise
            finally:
                self.open.pop()
                depth = self.depth[id(definition)] = 1 + self.below.pop()
                if self.open and type(self.open[-1]) is type(definition):
                    self.below[-1] = max(self.below[-1], depth)

    def _opened(self, definition: Any) -> int:
        return sum(type(one) is type(definition) for one in self.open)

    def _too_deep(self, use: tree.Node) -> None:
        message = f"definitions lean on one another more than {MAX_REFERENCES} deep"
        self.report.error("TL215", message, use.span, help="name the parts directly")
