"""Names for concepts out of their texts."""

from __future__ import annotations

from collections.abc import Container
from unicodedata import normalize


def name_of(text: str, taken: Container[str] = ()) -> str:
    """A name of the language that resembles `text` and is not taken: "Claude Monet" gives `claude_monet`."""
    plain = normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    words = "".join(letter if letter.isalnum() else " " for letter in plain).split()
    name = "_".join(words)[:40].rstrip("_")
    if not name[:1].isalpha():
        name = f"concept_{name}".rstrip("_")
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
