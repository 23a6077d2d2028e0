"""Words that look like other words: letters of one script among those of another.

`nudity` with a Cyrillic і is another text than the one that is seen, and nothing that anybody types. A word is told
where all of it looks like ASCII and not all of it is, or where single Latin letters stand in a word of another script
that they look like. What is written in one script is what it is, and so are foreign words with endings of one's own;
but where all of such a word looks like one that the recipe itself has in ASCII, one of the two is hardly meant.
Only what is not ASCII comes here. The letters are those of Unicode's own table, see `confusables`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from unicodedata import category, name, normalize

from tracelang.confusables import ASCII_OF
from tracelang.diagnostics import Diagnostic, Edit, Fix, Label, Source, Span
from tracelang.syntax.tree import Comment, Token
from tracelang.syntax.unseen import DOUBTFUL, MAX_FINDINGS, Piece, called, literal, raw

WORD = re.compile(r"[^\W_]+")
SHORTEST = 3
OF_ASCII: dict[str, dict[str, str]] = {
    script: {like: letter for letter, like in ASCII_OF.items() if name(letter).startswith(f"{script} ")}
    for script in ("CYRILLIC", "GREEK")
}
"""Of scripts that people write words in: the letter that each letter of ASCII looks like."""


def in_recipe(source: Source, tokens: Iterable[Token], comments: Iterable[Comment]) -> list[Diagnostic]:
    """Such words in the texts and comments of a recipe."""
    texts = [one for one in tokens if one.type == "STRING"]
    known = of_ascii(one.text for one in texts)
    strings = (one for one in texts if "\\u" in one.text or not one.text.isascii())
    pieces = [literal(one.text, one.start) for one in strings]
    pieces += [raw(one.text, one.span.start) for one in comments if not one.text.isascii()]
    return findings(source, pieces, known=known)


def of_ascii(texts: Iterable[str]) -> frozenset[str]:
    """The words of ASCII in some texts, in small letters."""
    return frozenset(word.casefold() for text in texts for word in WORD.findall(text) if word.isascii())


def of_elsewhere(piece: Piece, known: Set[str], source: Source) -> Iterator[Diagnostic]:
    """The first word of a piece, all of another script, that looks like one that another file of the recipe has."""
    for match in WORD.finditer(piece.text):
        word = match[0]
        if not word.isascii() and not _in_ascii(word) and not _in_script(word) and (meant := _known(word, known)):
            at = next(i for i, (one, other) in enumerate(zip(word, meant, strict=True)) if one != other)
            yield _finding(Span(source, piece.places[match.start()], piece.places[match.end()]), word, word[at], meant)
            break


def findings(
    source: Source, pieces: Iterable[Piece], limit: int = MAX_FINDINGS, known: Set[str] = frozenset()
) -> list[Diagnostic]:
    """A warning for the first such word of each piece, up to a limit. `known`: the recipe's words of ASCII, in small
    letters.
    """
    found: list[Diagnostic] = []
    for piece in pieces:
        for start, end, at, meant in words(piece.text, frozenset() if piece.comment else known):
            span = Span(source, piece.places[start], piece.places[end])
            found.append(_finding(span, piece.text[start:end], piece.text[at], meant))
            break
        if len(found) == limit:
            break
    return found


def words(text: str, known: Set[str] = frozenset()) -> Iterator[tuple[int, int, int, str]]:
    """Each word that looks like another: where it begins and ends, its first strange letter, and the other word."""
    if text.isascii():
        return
    for match in WORD.finditer(text):
        word = match[0]
        if word.isascii():
            continue
        for meant in (_in_ascii(word), _in_script(word), _known(word, known)):
            if meant:
                strange = next(i for i, (one, other) in enumerate(zip(word, meant, strict=True)) if one != other)
                yield match.start(), match.end(), match.start() + strange, meant
                break


def ascii_like(text: str) -> str:
    """A text with every letter that looks like one of ASCII replaced by that."""
    return text if text.isascii() else "".join(_plain(letter) for letter in text)


def _plain(letter: str) -> str:
    if letter.isascii():
        return letter
    if name(letter, "").startswith("MATHEMATICAL"):
        return normalize("NFKC", letter)
    return ASCII_OF.get(letter, letter)


def _in_ascii(word: str) -> str:
    """The word of ASCII that one looks like which is neither that nor all of another script; or nothing."""
    like = ascii_like(word)
    if not like.isascii() or len(like) != len(word):
        return ""
    one_script = not any(letter.isascii() and letter.isalpha() for letter in word)
    foreign = next(letter for letter in word if not letter.isascii())
    return "" if one_script and name(foreign).split()[0] not in ("LATIN", "MATHEMATICAL") else like


def _in_script(word: str) -> str:
    """The word of another script that one looks like, into which a few Latin letters have come; or nothing."""
    latin = [letter for letter in word if letter.isascii() and letter.isalpha()]
    if not latin or 2 * len(latin) > len(word) or re.search("[A-Za-z]{2}", word):
        return ""
    for script, letters in OF_ASCII.items():
        others = [letter for letter in word if not letter.isascii() and category(letter)[0] == "L"]
        own = others and all(name(letter, "").startswith(script) for letter in others)
        if own and all(letter in letters for letter in latin):
            return "".join(letters.get(letter, letter) if letter in latin else letter for letter in word)
    return ""


def _known(word: str, known: Set[str]) -> str:
    """The word of ASCII that one of another script looks like letter by letter, where the recipe has it; or nothing.
    Short ones stand in many languages.
    """
    like = ascii_like(word) if len(word) >= SHORTEST and known else word
    return like if like.isascii() and len(like) == len(word) and like.casefold() in known else ""


def _finding(span: Span, word: str, strange: str, meant: str) -> Diagnostic:
    whole = not any(one == other for one, other in zip(word, meant, strict=True) if one.isalpha())
    where = f"{called(strange)} begins it, and the recipe has both" if whole else f"{called(strange)} stands in it"
    message = f"`{word}` is not `{meant}`, which it looks like: {where}"
    help = f"write `{meant}`, or other words where both are meant" if whole else "write the whole word in one script"
    fix = Fix(f"write `{meant}`", (Edit(span, meant),), safe=False)
    return Diagnostic(DOUBTFUL, "warning", message, Label(span), help=help, fix=fix)
