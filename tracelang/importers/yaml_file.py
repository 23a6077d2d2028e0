"""YAML with places: a mapping whose fields are asked for by name and type, and that knows which nobody asked for.

Only PyYAML's parser is used: no object is ever constructed from a tag. Texts stay as they were written, so that
`target: no` is the text "no", not a truth value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import nan
from typing import Any

from tracelang.diagnostics import Findings, Source, Span
from tracelang.diagnostics.diagnostic import did_you_mean

PLAIN = {f"tag:yaml.org,2002:{name}" for name in ["str", "null", "bool", "int", "float", "timestamp", "value"]}
NULL = "tag:yaml.org,2002:null"
MERGE = "tag:yaml.org,2002:merge"
TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def load(source: Source, report: Findings) -> Any:
    """The root node of a document, or None where it is no YAML. Raises ModuleNotFoundError without PyYAML."""
    import yaml

    try:
        root = yaml.compose(source.text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = min(mark.index if mark else 0, len(source.text))
        reason = ", ".join(filter(None, (error.context, error.problem)))
        report.error("TL131", f"not YAML: {reason}", Span(source, at, at))
        return None
    except yaml.YAMLError as error:
        at = min(getattr(error, "position", 0), len(source.text))
        report.error("TL131", f"not YAML: {getattr(error, 'reason', 'unreadable')}", Span(source, at, at))
        return None
    except RecursionError:
        report.error("TL131", "this YAML is nested too deep", Span(source, 0, 0), help="no tool writes such a file")
        return None
    if root is None:
        report.error("TL131", "the file is empty", Span(source, 0, 0))
    return root


def span_of(node: Any, source: Source) -> Span:
    """Where a node stands; of a block only its beginning, which is enough to find it."""
    start = min(node.start_mark.index, len(source.text))
    end = min(node.end_mark.index, len(source.text))
    line = source.text.find("\n", start, end)
    return Span(source, start, end if line < 0 else line)


def items(node: Any, source: Source, what: str, report: Findings) -> list[Any]:
    """The nodes of a sequence."""
    if node.id == "sequence":
        return list(node.value)
    report.error("TL131", f"{what} has to be a list", span_of(node, source))
    return []


def text_of(node: Any, source: Source, what: str, report: Findings) -> str:
    """The text of a scalar, as it was written; null is the empty text."""
    if node.id != "scalar" or node.tag not in PLAIN:
        report.error("TL131", f"{what} has to be a text", span_of(node, source))
        return ""
    text = str(node.value)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        report.error("TL131", f"{what} is not a text: half a character", span_of(node, source))
        return ""
    return "" if node.tag == NULL else text


@dataclass(slots=True)
class Fields:
    """A mapping. What is asked for is noted, so that the rest can be reported."""

    source: Source
    span: Span
    report: Findings
    nodes: dict[str, Any]
    asked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, node: Any, source: Source, what: str, report: Findings) -> Fields:
        nodes: dict[str, Any] = {}
        if node.id == "mapping":
            _collect(node, nodes, set())
        else:
            report.error("TL131", f"{what} has to be a block of `key: value`", span_of(node, source))
        return cls(source, span_of(node, source), report, nodes)

    def has(self, key: str) -> bool:
        return key in self.nodes and not (self.nodes[key].id == "scalar" and self.nodes[key].tag == NULL)

    def place(self, key: str) -> Span:
        """Where the value of `key` stands, else the mapping."""
        return span_of(self.nodes[key], self.source) if key in self.nodes else self.span

    def block(self, key: str) -> Fields:
        """A mapping inside this one; an empty one where it is not there."""
        self.asked.add(key)
        if not self.has(key):
            return Fields(self.source, self.span, self.report, {})
        return Fields.of(self.nodes[key], self.source, f"`{key}`", self.report)

    def items(self, key: str) -> list[Any]:
        self.asked.add(key)
        return items(self.nodes[key], self.source, f"`{key}`", self.report) if self.has(key) else []

    def text(self, key: str, default: str = "") -> str:
        self.asked.add(key)
        return text_of(self.nodes[key], self.source, f"`{key}`", self.report) if key in self.nodes else default

    def number(self, key: str, default: float | None = None) -> float | None:
        """A number, also one in quotes or in a form that YAML takes for a text (`1e-4`)."""
        self.asked.add(key)
        if not self.has(key):
            return default
        text = text_of(self.nodes[key], self.source, f"`{key}`", self.report)
        try:
            return float(text) if len(text) < 40 else nan
        except ValueError:
            self.report.error("TL131", f"`{key}` has to be a number", self.place(key))
            return default

    def truth(self, key: str, default: bool = False) -> bool:
        text = self.text(key).lower()
        if text and text not in TRUTH:
            self.report.error("TL131", f"`{key}` has to be true or false", self.place(key))
        return TRUTH.get(text, default)

    def known(self, keys: Iterable[str]) -> list[str]:
        """Those of `keys` that are there and were not asked for; they count as asked for now."""
        found = [key for key in keys if key in self.nodes and key not in self.asked]
        self.asked.update(found)
        return found

    def unknown(self) -> list[tuple[str, Span, str]]:
        """What nobody asked for: key, place, and what may have been meant."""
        rest = [key for key in self.nodes if key not in self.asked]
        return [(key, self.place(key), did_you_mean(key, self.asked) if self.asked else "") for key in rest]


def _collect(node: Any, into: dict[str, Any], seen: set[int]) -> None:
    """Keys and values, what `<<` merges in last; a part that is merged twice, or into itself, counts once."""
    seen.add(id(node))
    merged: list[Any] = []
    for key, value in node.value:
        if key.tag == MERGE:
            merged += value.value if value.id == "sequence" else [value]
        elif key.id == "scalar":
            into.setdefault(str(key.value), value)
    for other in merged:
        if other.id == "mapping" and id(other) not in seen:
            _collect(other, into, seen)
