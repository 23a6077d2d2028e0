"""What the resolving functions share: where to report, the lists that were read, and what is resolved already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tracelang.diagnostics import Label, Report
from tracelang.records import dataclass, field
from tracelang.semantics.lists import Lists
from tracelang.semantics.merge import Concepts
from tracelang.semantics.tables import MAX_REFERENCES
from tracelang.syntax import tree


@dataclass(slots=True)
class Context:
    """`done` holds the meaning of each definition once it is known; `open` those that are being worked out.

    A definition goes by its `id`, a quoted text by that of its file's scope and itself. `params` holds values.
    """

    report: Report
    lists: Lists
    params: dict[int, tree.Number] = field(default_factory=dict)
    concepts: Concepts = field(default_factory=Concepts)
    done: dict[int | tuple[int, str], Any] = field(default_factory=dict)
    open: list[Any] = field(default_factory=list)

    def within(self, definition: Any) -> bool:
        """Whether a name is looked up in its own definition, where it means what it means outside."""
        return bool(self.open) and self.open[-1] is definition

    @contextmanager
    def entering(self, definition: Any, use: tree.Node) -> Iterator[bool]:
        """Guard the work on a definition: yields False, and reports, where it leads back to itself or too deep."""
        if any(one is definition for one in self.open):
            also = [Label(definition.name.span, "defined here")]
            message = f"`{definition.name.text}` is defined by itself"
            self.report.error("TL215", message, use.span, also=also, help="break the circle")
            yield False
        elif len(self.open) >= MAX_REFERENCES:
            message = f"definitions lean on one another more than {MAX_REFERENCES} deep"
            self.report.error("TL215", message, use.span, help="name the parts directly")
            yield False
        else:
            self.open.append(definition)
            try:
                yield True
            finally:
                self.open.pop()
