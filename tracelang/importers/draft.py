"""A recipe on its way from another tool's file: what it erases and preserves, and what was lost on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import groupby

from tracelang.diagnostics import Diagnostic, Findings, Label, Source, Span
from tracelang.diagnostics.diagnostic import Severity
from tracelang.importers.names import name_of
from tracelang.semantics.concepts import folded
from tracelang.semantics.fields import settings
from tracelang.semantics.kinds import PASSES, TERMS, declared
from tracelang.semantics.phrases import Phrases, forms, stems_by
from tracelang.syntax.text import normal, plain, quote
from tracelang.text import safe

WIDTH = 100
TEXT_ALONE = ' templates "{}"'
NAMELESS = {
    "",
    "stdin",
    "config",
    "prompt",
    "prompts",
    "train",
    "run",
    "script",
    "flags",
    "readme",
    "phrase",
    "concepts",
}
"""Names of files that say nothing of what is in them."""


@dataclass(frozen=True, slots=True)
class Target:
    kind: str
    anchor: str
    span: Span = field(compare=False)


@dataclass(slots=True)
class Said:
    """A finding of some kind, where it was met first, and how often."""

    severity: Severity
    message: str
    span: Span
    help: str
    times: int = 1


@dataclass(slots=True)
class Draft:
    """Filled by one of the tools' modules, then rendered.

    `templates` are the wordings of a kind where they are not the usual ones, of the preserved too unless they are
    `bare`; `origin` is whose file it is, where not the tool's; `method` is text, whole lines.
    """

    tool: str
    source: Source
    report: Findings
    remarks: list[str] = field(default_factory=list)
    said: dict[str, Said] = field(default_factory=dict)
    comments: list[tuple[Span, str]] = field(default_factory=list)
    templates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)  # the targets, case and spacing aside
    kept: dict[str, tuple[str, Span]] = field(default_factory=dict)  # the preserved, by the same
    preserved: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    weight: float = 1.0
    bare: bool = False
    method: str = ""

    def changed(self, message: str, span: Span, help: str = "", *, of: str = "") -> None:
        """Something that the recipe does not do, or does in another way. Those `of` a kind are said once."""
        self._say(Said("warning", message, span, help), of or message)

    def left_out(self, message: str, span: Span, *, of: str = "") -> None:
        """Something that a recipe has no use for."""
        self._say(Said("note", message, span, ""), of or message)

    def _say(self, one: Said, of: str) -> None:
        if self.said.setdefault(of, one) is not one:
            self.said[of].times += 1

    def erase(self, text: str, span: Span, *, kind: str = "object", anchor: str = "") -> None:
        """Erase `text` toward `anchor`; what the language would refuse is reported and left out."""
        text, anchor = normal(text.strip()), normal(anchor.strip())
        if not text:
            self.changed("the empty prompt cannot be erased; this entry is left out", span)
            return
        if self._hidden(text, span):
            return
        anchor = "" if self._hidden(anchor, span) else anchor
        if anchor and re.search(rf"(?<!\w){re.escape(folded(text))}(?!\w)", folded(anchor)):
            help = "name an anchor without the target's words"
            message = f"the anchor {shown(anchor)} contains its target {shown(text)}: left out"
            self.changed(message, span, help, of="an anchor with its target")
            anchor = ""
        self.gone.add(folded(text))
        earlier = self.targets.setdefault(text, Target(kind, anchor, span))
        if earlier.anchor != anchor:
            message = f"{shown(text)} is erased twice; its first anchor is the one that counts"
            self.changed(message, span, of="erased twice")

    def preserve(self, text: str, span: Span, *, kind: str = "object") -> None:
        """Preserve `text`. What a file keeps is never erased: where it also says to erase it, the import fails."""
        text = normal(text.strip())
        if text and not self._hidden(text, span):  # the empty prompt is always preserved
            self.kept.setdefault(folded(text), (text, span))
            self.preserved.setdefault(text, kind)

    def decide(self) -> None:
        """Say what was lost, and report what the file both erases and keeps: a recipe that chose between the two would
        not be the file's.
        """
        self._settle()
        for one in self.said.values():
            more = f" (and {one.times - 1:,} more)" if one.times > 1 else ""
            place = Label(one.span)
            message = one.message + more
            code = "TL132" if one.severity == "warning" else "TL133"
            self.report.findings.append(Diagnostic(code, one.severity, message, place, help=one.help))
            self.comments.append((one.span, message))
        both = [self.kept[one] for one in self.kept if one in self.gone]
        for span, texts in groupby(both, key=lambda one: one[1]):
            names = [shown(text) for text, _ in texts]
            more = f" (and {len(names) - 3} more)" if len(names) > 3 else ""
            message = f"both erased and preserved: {', '.join(names[:3])}{more}"
            self.report.error("TL131", message, span, help="take it out of one of the two")

    def _hidden(self, text: str, span: Span) -> bool:
        """Whether a text holds what the language refuses because nobody sees it: reported, to be left out."""
        if plain(text):
            return False
        from tracelang.syntax.unseen import refused

        what = refused(text)
        if what:
            message = f"{shown(text)} holds {what}: left out"
            self.changed(message, span, "write the text anew, without it", of="cannot be seen")
        return what != ""

    def setting(self, step: str, name: str, value: float | None, span: Span, *, term: str = "push") -> str:
        """`name = value`, or nothing where there is no value or the language has other bounds."""
        if value is None:
            return ""
        field = settings(declared(PASSES, step)).get(name) or settings(declared(TERMS, term))[name]
        if not field.fits(value):
            self.changed(f"`{step}` takes no {name} of {value:.12g}: left at its default", span)
            return ""
        return f"{name} = {value:.12g}"

    def render(self) -> str:
        """The recipe, with a final line end."""
        kinds = {text: target.kind for text, target in self.targets.items()} | self.preserved
        taken: dict[str, int] = {}
        apart = {text for text in self.preserved if self.bare and len(self.templates.get(kinds[text], ())) > 1}
        names = {text: name_of(text, taken) for text, kind in kinds.items() if kind != "object" or text in apart}
        references = {text: names.get(text) or quote(text) for text in kinds}
        blocks = ["\n".join(self._head()), f"tracelang 1\n\nrecipe {quote(self._title())} {{\n"]
        blocks[1] += f"  summary = {quote(f'Imported from {self.origin or self.tool}.')}\n}}"
        blocks.append(
            "\n".join(
                _wrapped(f"templates {kind} =", [quote(text) for text in texts])
                for kind, texts in self.templates.items()
            )
        )
        declared = [
            f"concept {name} kind {kinds[text]} {{ names {quote(text)}{TEXT_ALONE if text in apart else ''} }}"
            for text, name in names.items()
        ]
        blocks.append("\n".join(declared))
        erased = []
        for anchor, group in groupby(self.targets, key=lambda text: self.targets[text].anchor):
            toward = f" toward {references.get(anchor) or quote(anchor)}" if anchor else ""
            erased.append(_wrapped("erase", [references[text] for text in group]) + toward)
        blocks.append("\n".join(erased))
        if self.preserved:
            weight = "" if self.weight == 1 else f" weight {self.weight:.12g}"
            blocks.append(_wrapped("preserve", [references[text] for text in self.preserved]) + weight)
        blocks.append(self.method.rstrip("\n"))
        return "\n\n".join(filter(None, blocks)) + "\n"

    def _settle(self) -> None:
        """An anchor that is erased itself, or speaks of what is, the language refuses: report it and leave it out."""
        anchors = {target.anchor for target in self.targets.values() if target.anchor}
        erased = (
            Phrases([(text, text) for text in self.targets], stems_by(forms(self.targets, anchors)))
            if anchors
            else None
        )
        for text, target in self.targets.items():
            if erased is None or not target.anchor:
                continue
            inside = next((name for name, _ in erased.inside(target.anchor) if name != text), None)
            if folded(target.anchor) in self.gone or inside is not None:
                itself = inside is None or folded(inside) == folded(target.anchor)
                what = "is erased itself" if itself else f"holds {shown(inside or '')}, which is erased"
                message = f"the anchor {shown(target.anchor)} of {shown(text)} {what}: left out"
                self.changed(message, target.span, "name an anchor that stays", of="an anchor that is erased")
                self.targets[text] = replace(target, anchor="")

    def _title(self) -> str:
        """The file's name, and where that says nothing, the first thing that is erased."""
        stem = normal(safe(name_of_file(self.source.path)).partition(".")[0].strip("<>"))
        if stem.lower() not in NAMELESS:
            return stem
        first, *more = self.targets
        return f"{first} and {len(more)} more" if more else first

    def _head(self) -> list[str]:
        lines = [f"Written by `tracec import {self.tool.lower()}`. Read it before you rely on it.", *self.remarks]
        if self.comments:
            lines += ["", "Not carried over as it was:"]
            several = len({span.source.path for span, _ in self.comments}) > 1
            for span, text in sorted(self.comments, key=lambda one: (one[0].source.path, one[0].start)):
                file = f"{name_of_file(span.source.path)}, " if several else ""
                lines.append(f"  {file}line {span.source.position(span.start)[0]}: {text}")
        return [f"# {_harmless(line)}".rstrip() for line in lines]


def shown(text: str) -> str:
    """A text in quotes for a message, cut where it is long."""
    return quote(text if len(text) <= 60 else f"{text[:57]}...")


def _harmless(text: str) -> str:
    """Foreign text inside a comment: on one line, and no directive to the linter."""
    return safe(text).replace("tracec:", "tracec :")


def name_of_file(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _wrapped(word: str, members: list[str]) -> str:
    """`word` and its members, in lines of at most `WIDTH` where a member is not longer itself."""
    if len(whole := f"{word} {', '.join(members)}") <= WIDTH:
        return whole
    lines, line = [f"{word}"], " "
    for number, member in enumerate(members):
        item = member + ("," if number + 1 < len(members) else "")
        if len(line) > 1 and len(line) + 1 + len(item) > WIDTH:
            lines.append(line)
            line = " "
        line += f" {item}"
    return "\n".join([*lines, line])
