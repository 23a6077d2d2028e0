"""Characters that no font shows, beside those that `str.isprintable` refuses.

Facts of the Unicode Character Database (https://www.unicode.org/Public/UCD/, Unicode License V3): characters with the
property Default_Ignorable_Code_Point, and letters and symbols whose glyph is blank.
"""

from __future__ import annotations

import re

EMPTY = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffc"
    "\U0001d159\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
"""Never to be seen, in no script."""

BLANK = re.compile("[\u180b-\u180f\u2800\U00013430-\U00013446\U00016fe4\U0001bca0-\U0001bca3\U0001d173-\U0001d17a]")
"""Blank, or forming what stands beside it, in a script of their own."""

SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""They choose among the forms of the character before them."""

HIDDEN = re.compile("|".join((EMPTY.pattern, BLANK.pattern, SELECTOR.pattern)))
