"""The concepts of all files of a recipe: which of them are the same one, and what each is called in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tracelang.records import dataclass, field, replace
from tracelang.semantics.program import Assertion, Concept, Erasure, Key, Member, Preservation

Statements = tuple[list[Erasure], list[Preservation], list[Assertion]]


@dataclass(slots=True)
class Concepts:
    """Concepts by a key that no two share.

    Files that mean the same by one name have one concept. Another file's concept of another meaning goes by
    its name and file, so that neither takes the other's place.
    """

    _by_key: dict[Key, Concept] = field(default_factory=dict)
    _keys: dict[tuple[object, ...], Key] = field(default_factory=dict)
    _files: dict[Key, set[str]] = field(default_factory=dict)
    _bases: dict[Key, Key] = field(default_factory=dict)
    _names: dict[Key, Key] = field(default_factory=dict)

    def __getitem__(self, key: Key) -> Concept:
        return self._by_key[key]

    def enter(self, concept: Concept, file: str) -> Key:
        """The key of a concept, which comes with the name that its file gives it. `file` is "" for the recipe."""
        base = concept.key
        meaning = (base, concept.kind, concept.names, concept.probes, concept.templates)
        key = self._keys.get(meaning)
        if key is None:
            key = f"{base} ({file})" if file else base
            self._keys[meaning] = key
            self._by_key[key] = replace(concept, key=key) if file else concept
            self._bases[key] = base
        self._files.setdefault(key, set()).add(file)
        return key

    def settle(self, erase: list[Erasure], kept: list[Preservation], expect: list[Assertion]) -> Statements:
        """The statements with every concept under its final key: the plain name wherever only one concept has it.

        Where several have it, it is the recipe's own, and the others' file stands behind it. What no statement uses
        takes no name away.
        """
        if all(key == base for key, base in self._bases.items()):
            return erase, kept, expect
        closed = dict.fromkeys(key for key, one in self._by_key.items() if one.kind == "protected")
        names = self._names = self._final(used(erase, kept, expect) | closed)
        self._by_key |= {name: replace(self._by_key[key], key=name) for key, name in names.items()}

        def renamed(member: Member) -> Member:
            return tuple(sorted(names[key] for key in member))

        return (
            [replace(e, targets=renamed(e.targets), anchor=renamed(e.anchor) if e.anchor else None) for e in erase],
            [replace(one, concepts=renamed(one.concepts)) for one in kept],
            [_asked(one, renamed) for one in expect],
        )

    def protected(self) -> list[Concept]:
        """What any file declares protected, under its final key: that holds whether a statement names it or not."""
        return [self[self._names.get(key, key)] for key in self._bases if self._by_key[key].kind == "protected"]

    def _final(self, keys: Iterable[Key]) -> dict[Key, Key]:
        """The name of each key; no two are equal, and the order of statements has no part in them."""
        sharing: dict[Key, list[Key]] = {}
        for key in sorted(keys, key=lambda key: (self._bases[key], sorted(self._files[key]))):
            sharing.setdefault(self._bases[key], []).append(key)
        names: dict[Key, Key] = {}
        taken: set[Key] = set()
        for base, alike in sharing.items():
            for key in alike:
                file = min(self._files[key])
                name = base if len(alike) == 1 or not file else _quoted(f"{_text(base)} ({file})")
                while name in taken:
                    name = _quoted(f"{_text(name)} *")
                names[key] = name
                taken.add(name)
        return names


def _asked(one: Assertion, renamed: Callable[[Member], Member]) -> Assertion:
    suite = one.suite
    if suite is not None:
        suite = replace(suite, rows=tuple((renamed(member), rows) for member, rows in suite.rows))
    return replace(one, concepts=tuple(sorted(renamed(member) for member in one.concepts)), suite=suite)


def _text(key: Key) -> str:
    return key[1:-1] if key.startswith('"') else key


def _quoted(text: str) -> Key:
    return f'"{text}"'


def used(erase: Iterable[Erasure], kept: Iterable[Preservation], expect: Iterable[Assertion]) -> dict[Key, None]:
    """The keys that statements name, each once."""
    keys = [key for one in erase for key in (*one.targets, *(one.anchor or ()))]
    keys += [key for one in kept for key in one.concepts]
    keys += [key for one in expect for member in one.concepts for key in member]
    return dict.fromkeys(keys)
