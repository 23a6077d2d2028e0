"""Texts found inside others: all words of one side by side in another, whole, in their order, inflected or not.

What a recipe says of its words holds of the prompts made of them too, so whole prompts are looked at. Only where a
concept's words and its templates together have every word of some text are its prompts made: that keeps the look linear
in what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

from tracelang.semantics.morphology import REGULAR, UNPARTED, lemmas, likely, tokens
from tracelang.semantics.program import Concept
from tracelang.semantics.prompts import JOINING, fill, phrases, templates

T = TypeVar("T")
NOTHING: frozenset[str] = frozenset()
Stems = Callable[[str], tuple[str, ...]]


def forms(one: Iterable[str], other: Iterable[str]) -> Mapping[str, str]:
    """The table of irregular forms where it may matter for two sides of texts; elsewhere it is not read."""
    if not likely([word for text in one for word in tokens(text)], [word for text in other for word in tokens(text)]):
        return REGULAR
    from tracelang.semantics.irregular import TABLE

    return TABLE


def stems_by(table: Mapping[str, str]) -> Stems:
    """How to take the words of a text: by rule, and by a table of irregular forms."""
    if not table:
        return lemmas
    from tracelang.semantics.irregular import stems

    return stems


class Phrases(Generic[T]):
    """Texts by their words, each with what it stands for."""

    def __init__(self, entries: Iterable[tuple[str, T]], stems: Stems = lemmas) -> None:
        self._stems = stems
        self._trie: dict[str, Any] = {}
        whole: dict[tuple[str, ...], None] = {}
        for text, entry in entries:
            words = stems(text)
            node = self._trie
            for word in words:
                node = node.setdefault(word, {})
            if words:
                node.setdefault("", []).append((text, entry))  # no text has the empty word
                whole[words] = None
        common: dict[str, int] = {}
        for words in whole:
            for word in set(words):
                common[word] = common.get(word, 0) + 1
        self._by_rarest: dict[str, list[frozenset[str]]] = {}
        for words in whole:
            self._by_rarest.setdefault(min(words, key=lambda word: (common[word], word)), []).append(frozenset(words))
        self._vocabulary = frozenset(common)
        self._known: dict[tuple[str, ...], frozenset[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._trie)

    def inside(self, text: str, amid: int = 0) -> list[tuple[str, T]]:
        """The texts that stand in this one, with what they stand for, from left to right.

        Between two words of a text, up to `amid` others may stand. Letters of scripts that part no words are none.
        """
        words = self._stems(text)
        found: list[tuple[str, T]] = []
        for start, first in enumerate(words):
            node: dict[str, Any] | None = self._trie.get(first)
            end = start
            if node is not None and amid and first < UNPARTED[0][0]:
                self._amid(node, words, start, amid, found)
                continue
            while node is not None:
                found += node.get("", ())
                end += 1
                node = node.get(words[end]) if end < len(words) else None
        return found

    def _amid(
        self, node: dict[str, Any], words: tuple[str, ...], at: int, amid: int, found: list[tuple[str, T]]
    ) -> None:
        found += node.get("", ())
        for there in range(at + 1, min(at + 2 + amid, len(words))):
            if words[there] in node:
                self._amid(node[words[there]], words, there, amid, found)

    def words(self, text: str) -> frozenset[str]:
        """The words of a text that any of the texts has."""
        found = self._vocabulary.intersection(self._stems(text))
        return found or NOTHING

    def possible(self, words: frozenset[str]) -> bool:
        """Whether some text has no other words than these."""
        return any(needed <= words for word in words for needed in self._by_rarest.get(word, ()))

    def prompts(
        self,
        concepts: Sequence[Concept],
        texts: Sequence[tuple[str, ...]] | None = None,
        around: Sequence[Concept] | None = None,
    ) -> Iterator[str]:
        """The prompts made of one concept, or of several together, in which some of the texts may stand.

        `texts` are the words of each concept that are used (default: its names), `around` are the concepts whose
        templates they stand in (default: these).
        """
        used = [one.names for one in concepts] if texts is None else texts
        frames = templates(concepts if around is None else around)
        words = self._of(frames)
        for one in used:
            words |= self._of(one)
        if len(concepts) > 1:
            words |= self._vocabulary & JOINING
        if (words and self.possible(words)) or _glued(frames):
            made = phrases([(one.names[0], own) for one, own in zip(concepts, used, strict=True)])
            for frame in frames:
                for phrase in made:
                    yield fill(frame, phrase)

    def _of(self, texts: tuple[str, ...]) -> frozenset[str]:
        """`words` of some texts together; concepts share their templates, so what was asked is kept."""
        found = self._known.get(texts)
        if found is None:
            found = self.words(texts[0]) if len(texts) == 1 else NOTHING.union(*map(self.words, texts))
            self._known[texts] = found
        return found


@lru_cache(1 << 12)
def _glued(templates: tuple[str, ...]) -> bool:
    """Whether a concept's words grow together with one of the templates', as in `{}ren`."""
    ends = [template.split("{}") for template in templates]
    return any(before[-1:].isalnum() or after[:1].isalnum() or after[:1] in ("'", "\u2019") for before, after in ends)
