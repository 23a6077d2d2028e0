"""Foreign text where it could steer what shows it: one sanitiser each for a terminal, for HTML and for Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

STEERS = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
"""Characters that steer a terminal or turn the direction of a text around."""
ALIKE = {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"}
"""Scripts some of whose letters look like Latin ones."""
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of what shows nothing, steers a terminal, or turns the direction of a text around."""


def safe(text: str) -> str:
    """Text that cannot steer a terminal and hides nothing: what is unprintable or shows nothing is escaped.

    An ellipsis becomes three dots.
    """
    text = text.replace("…", "...")
    if text.isascii() and text.isprintable():
        return text
    from tracelang.characters import HIDDEN

    return "".join(c if c.isprintable() and not HIDDEN.match(c) else c.encode("unicode_escape").decode() for c in text)


def visible(text: str) -> str:
    """`text` for HTML, where a template escapes its markup: every character that would not show, line breaks and tabs
    aside, as its code point: `⟨U+202E⟩`; and behind a letter that stands among Latin ones and is of another script its
    script: `prinс⟨Cyrillic⟩ess`.
    """
    if text.isascii() and text.isprintable():
        return text
    from unicodedata import category

    shown = "".join(f"⟨U+{ord(c):04X}⟩" if c not in "\n\t" and category(c) in UNSEEN else c for c in text)
    return re.sub(r"[^\W\d_]{2,}", _scripts, shown)


def _scripts(word: re.Match[str]) -> str:
    """A word, with the script behind each letter that only looks like one of its Latin ones."""
    from unicodedata import name

    scripts = [name(c, "").partition(" ")[0] for c in word[0]]
    if "LATIN" not in scripts or not ALIKE.intersection(scripts):
        return word[0]
    return "".join(f"{c}⟨{s.title()}⟩" if s in ALIKE else c for c, s in zip(word[0], scripts, strict=True))


def markdown(text: str) -> str:
    """One line without Markdown or HTML of its own."""
    return re.sub(r"([\\`*_\[\]<>|&~])", lambda found: f"&#{ord(found[0])};", line(text))


def code(text: str) -> str:
    """A span of Markdown in which nothing is markup: its run of backticks is longer than any inside."""
    text = line(text)
    run, space = "`" * (1 + _longest_run(text)), " " if "`" in text else ""
    return f"{run}{space}{text}{space}{run}"


def fenced(text: str, language: str) -> str:
    """A block of Markdown in which nothing is markup, line breaks and tabs kept."""
    body = re.sub(STEERS, "", text).rstrip()
    fence = "`" * max(3, 1 + _longest_run(body))
    return f"{fence}{language}\n{body}\n{fence}"


def line(text: str) -> str:
    """One line in which nothing steers."""
    return re.sub(STEERS, "", " ".join(text.split()))


def joined(names: Iterable[str]) -> str:
    """What is in one picture together, as one writes it: `cat & dog`."""
    return " & ".join(names)


def few(names: Sequence[str], most: int = 6) -> str:
    """The first of them with commas between, and that there are more."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
