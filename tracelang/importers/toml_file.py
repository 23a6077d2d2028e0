"""TOML as the nodes that `yaml_file` reads: the standard library parses it, and the places are looked up by line.

A place only says where to look: that of a key in a table of its own is its line, any other that of the table around it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from tracelang.diagnostics import Findings, Source, Span

TABLE = re.compile(r"^[ \t]*\[\[?[ \t]*([\w.\"' \t-]+?)[ \t]*\]\]?", re.M)
KEY = re.compile(r"^[ \t]*[\"']?([\w-]+)[\"']?[ \t]*=[ \t]*", re.M)
WHERE = re.compile(r"\(at line (\d+), column (\d+)\)")
IS = re.compile(
    r"^[ \t]*(\[\[?[ \t]*(prompts|targets|slider)[ \t.\]]|(target|target_class|prompts_file|neutral)[ \t]*=)", re.M
)
"""What a file of LECO's prompts begins a line with, in TOML and in no YAML."""


@dataclass(frozen=True, slots=True)
class Mark:
    index: int


@dataclass(frozen=True, slots=True)
class Node:
    """As PyYAML has them: `value` is a text, a list of nodes, or a list of pairs of nodes."""

    id: str
    value: Any
    start_mark: Mark
    end_mark: Mark
    tag: str = "tag:yaml.org,2002:str"


def is_toml(source: Source) -> bool:
    """By its name; by its first lines where it comes from standard input."""
    return source.path.lower().endswith(".toml") or (source.path == "<stdin>" and IS.search(source.text) is not None)


def load(source: Source, report: Findings) -> Node | None:
    """The root of a document, or None, reported, where it is no TOML."""
    text = source.text
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = WHERE.search(str(error))
        start = len(text)
        if at:
            lines = text.split("\n")
            start = min(sum(len(line) + 1 for line in lines[: int(at[1]) - 1]) + int(at[2]) - 1, len(text))
        reason = WHERE.sub("", str(error)).removesuffix(" (at end of document)").strip()
        report.error("TL131", f"not TOML: {reason[:1].lower()}{reason[1:]}", Span(source, start, start))
        return None
    except RecursionError:
        report.error("TL131", "this TOML is nested too deep", Span(source, 0, 0), help="no tool writes such a file")
        return None
    if not found:
        report.error("TL131", "the file is empty", Span(source, 0, 0))
        return None
    heads = [(match.start(), match[1].replace('"', "").replace("'", "")) for match in TABLE.finditer(text)]
    heads.append((len(text), ""))
    return _table(found, "", 0, heads[0][0], text, heads)


def _table(table: dict[str, Any], name: str, start: int, end: int, text: str, heads: list[tuple[int, str]]) -> Node:
    keys = {match[1]: match.end() for match in KEY.finditer(text, start, end)}
    pairs = []
    for key, value in table.items():
        inner = f"{name}.{key}" if name else key
        places = [(at, heads[i + 1][0]) for i, (at, head) in enumerate(heads[:-1]) if head == inner]
        if isinstance(value, dict) and places:
            node = _table(value, inner, *places[0], text, heads)
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value) and places:
            spans = places if len(places) == len(value) else [places[0]] * len(value)
            items = [_table(one, inner, *span, text, heads) for one, span in zip(value, spans, strict=True)]
            node = Node("sequence", items, Mark(places[0][0]), Mark(places[0][1]))
        else:
            node = _plain(value, keys.get(key, start), end)
        pairs.append((Node("scalar", key, node.start_mark, node.end_mark), node))
    return Node("mapping", pairs, Mark(start), Mark(end))


def _plain(value: Any, start: int, end: int) -> Node:
    marks = Mark(start), Mark(end)
    if isinstance(value, dict):
        return Node(
            "mapping", [(Node("scalar", key, *marks), _plain(one, start, end)) for key, one in value.items()], *marks
        )
    if isinstance(value, list):
        return Node("sequence", [_plain(one, start, end) for one in value], *marks)
    return Node("scalar", str(value).lower() if isinstance(value, bool) else str(value), *marks)
