"""Where the parts of a plan were written."""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.diagnostics import Span
from tracelang.plan.lower import concept_names
from tracelang.plan.types import Assertion, Member
from tracelang.semantics import program
from tracelang.semantics.resolve import Resolution
from tracelang.syntax import tree
from tracelang.text import joined


class Places:
    """Spans by what a plan calls a thing; None where a recipe does not write it out."""

    def __init__(self, resolution: Resolution) -> None:
        self._file = resolution.file
        self._program = resolution.program
        self._names = concept_names(resolution.program)

    @property
    def start(self) -> Span:
        """The first statement."""
        return self._file.statements[0].span if self._file.statements else Span(self._file.source, 0, 0)

    def last(self, kind: type[tree.Erase] | type[tree.Preserve]) -> Span:
        """The last statement of a kind, after which one that is missing would stand; else the first statement."""
        return next((node.span for node in reversed(self._file.statements) if isinstance(node, kind)), self.start)

    @property
    def expect(self) -> Span:
        """The first `expect`, else the first statement."""
        return next((node.span for node in self._file.statements if isinstance(node, tree.Expect)), self.start)

    def written(self, member: Member) -> str:
        """A member as this recipe refers to it: a text in quotes, where no concept is declared."""
        keys = {name: key for key, name in self._names.items()}
        return joined(keys[name] for name in member)

    def erased(self, targets: Member) -> Span | None:
        return next((one.span for one in self._program.erase if self._member(one.targets) == targets), None)

    def preserved(self, concepts: Member) -> Span | None:
        return next((one.span for one in self._program.preserve if self._member(one.concepts) == concepts), None)

    def prior(self, prompts: tuple[str, ...]) -> Span | None:
        """Where a prior is stated; one that a pass implies, where its method is taken or changed."""
        found = next((one for one in self._program.prior if one.prior.prompts == prompts), None)
        if found is None:
            return None
        if not found.implied:
            return found.span
        method = self._program.method
        address = next(address for address, span in method.spans.items() if span == found.span)
        return self.setting(method.name, address)

    def concept(self, name: str) -> Span | None:
        """Where a concept is declared, used or not; an implicit one, where it is first used."""
        used = (one.span for key, one in self._program.concepts.items() if self._names[key] == name)
        return next(used, None) or next((node.name.span for node in self._declared(name)), None)

    def control(self, kind: str) -> Span:
        """The control of a kind, else the first `expect`, else the first statement."""
        return next((one.span for one in self._program.controls if one.kind == kind), self.expect)

    def asserted(self, wanted: Assertion) -> Span | None:
        """The assertion of this sort, the same bound aside, that is about most of these concepts."""
        alike = [one for one in self._program.expect if _sort(one) == _sort(wanted)]
        concepts = set(wanted.concepts)
        shared = {id(one): len({self._member(names) for names in one.concepts} & concepts) for one in alike}
        best = max(alike, key=lambda one: shared[id(one)], default=None)
        return best.span if best is not None and shared[id(best)] else None

    def block(self, assertion: Span) -> Span:
        """The samples of the `expect` in which an assertion stands, else that assertion."""
        for node in self._file.statements:
            if isinstance(node, tree.Expect) and any(one.span == assertion for one in node.assertions):
                samples = (option.span for option in node.options if isinstance(option, tree.Samples))
                return next(samples, node.assertions[0].span)
        return assertion

    def header(self, field: str) -> Span:
        """A field of the recipe's header, else the header, else the first statement."""
        for node in self._file.statements:
            if isinstance(node, tree.Recipe):
                return _setting(node.body, [field]) or node.name.span
        return self.start

    def setting(self, method: str, address: str) -> Span:
        """The setting of that address, or the pass or term; else the method that a recipe takes or defines."""
        bodies: list[tree.Method | tree.Define] = [
            node
            for node in self._file.statements
            if isinstance(node, tree.Method) or (isinstance(node, tree.Define) and node.name.text == method)
        ]
        found = (_setting(node.body, address.split(".")) for node in bodies if node.body is not None)
        return next(filter(None, found), bodies[0].name.span if bodies else self.start)

    def _declared(self, name: str) -> Iterator[tree.Concept]:
        for node in self._file.statements:
            if isinstance(node, tree.Concept):
                written = node.name.text if isinstance(node.name, tree.Name) else node.name.value
                if written == name:
                    yield node

    def _member(self, member: program.Member) -> Member:
        return tuple(sorted(self._names[key] for key in member))


def _sort(one: program.Assertion | Assertion) -> tuple[object, ...]:
    after, suite = one.after, one.suite
    return one.metric, one.attack, suite and suite.reader, after and (after.how, after.to, after.share)


def _setting(body: tree.Body, address: list[str]) -> Span | None:
    """The setting of an address in a body, else the innermost pass or term on the way to it."""
    for item in body.items:
        if isinstance(item, tree.Setting) and [name.text for name in item.address] == address:
            return item.span
    for item in body.items:
        if isinstance(item, tree.Block) and [(item.label or item.name).text] == address[:1]:
            head = {"on": item.on, "during": item.during}.get(".".join(address[1:]))
            return head.span if head else _setting(item.body, address[1:]) or (item.label or item.name).span
    return None
