"""Words of one file that look like words of another: `сор`, all Cyrillic, in a list beside `cop` in the recipe.

Inside one recipe its tokens tell; here what it brings in is looked at together with it, lists and other recipes alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracelang.diagnostics import Findings, Label, Source
from tracelang.records import replace
from tracelang.semantics.listed import texts_of
from tracelang.semantics.rows import MAX_FINDINGS, doubtful, line_of
from tracelang.syntax import tree
from tracelang.syntax.lookalikes import of_ascii, of_elsewhere
from tracelang.syntax.parser import tokens_of
from tracelang.syntax.text import foreign
from tracelang.syntax.unseen import literal, raw


def across(recipes: Iterable[Source], lists: Iterable[tuple[tree.ListFile, Source]], report: Findings) -> None:
    """Report the words, of another script as a whole, that look letter by letter like one of ASCII in another file.

    `lists`: each list that was read, with its file. Of a list its own words count too, of a recipe they were told.
    """
    read = {one: [token for token in tokens_of(one) if token.type == "STRING"] for one in recipes}
    taken = {(one, node.column, node.where): (node, list(texts_of(one, node))) for node, one in lists}
    words = {one: of_ascii(token.text for token in tokens) for one, tokens in read.items()}
    listed = of_ascii(text for _, texts in taken.values() for _, text in texts)
    for source, tokens in read.items():
        known = listed.union(*words.values()) - words[source]
        if foreign(source.text):
            pieces = (literal(token.text, token.start) for token in tokens if not token.text.isascii())
            found = [finding for piece in pieces for finding in of_elsewhere(piece, known, source)]
            report.findings += found[:MAX_FINDINGS]
    known = listed.union(*words.values())
    for (source, *_), (node, texts) in taken.items():
        if foreign(source.text):
            found = [
                replace(finding, primary=Label(line_of(source, start)), fix=None)
                for start, text in texts
                if not text.isascii()
                for finding in of_elsewhere(raw(text, start), known, source)
            ]
            doubtful(found[:MAX_FINDINGS], node, report)
