"""Names for concepts out of their texts."""

from __future__ import annotations

from unicodedata import normalize


def name_of(text: str, taken: dict[str, int] | None = None) -> str:
    """A name of the language that resembles `text`: "Claude Monet" gives `claude_monet`.

    `taken` are the names that are in use, each with how often it was wanted; the new name joins them.
    """
    plain = normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    words = "".join(letter if letter.isalnum() else " " for letter in plain).split()
    name = "_".join(words)[:40].rstrip("_")
    if not name[:1].isalpha():
        name = f"concept_{name}".rstrip("_")
    taken = {} if taken is None else taken
    number = taken.get(name, 0) + 1
    found = name if number == 1 else f"{name}_{number}"
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken[name] = number
    taken.setdefault(found, 1)
    return found
