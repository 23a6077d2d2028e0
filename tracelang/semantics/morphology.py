"""English words without their endings, as far as small tables carry: plurals, `-ed`, `-ing` and irregular forms.

Two words are forms of one word when `lemma` gives the same for both; that it is a real word does not matter. There is
no dictionary of meanings here: WordNet takes a package and a download of its data, which a linter must not need. Forms
that no rule gives (`octopi`, `bought`) stand in a table of their own, `irregular`, which is not read with this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

ARTICLES = frozenset({"a", "an", "the"})
LITTLE = ARTICLES | {"and", "as", "at", "by", "for", "from", "in", "is", "of", "on", "or", "that", "to", "who", "with"}
"""Words that name nothing."""

IRREGULAR: dict[str, str] = {
    form: word
    for word, forms in {
        "child": "children",
        "person": "people persons",
        "mouse": "mice",
        "louse": "lice",
        "goose": "geese",
        "foot": "feet",
        "tooth": "teeth",
        "ox": "oxen",
        "die": "dice dying died",
        "lie": "lying lied lies",
        "tie": "tying tied ties",
        "pie": "pies",
        "movie": "movies",
        "cookie": "cookies",
        "zombie": "zombies",
        "selfie": "selfies",
        "brownie": "brownies",
        "hippie": "hippies",
        "shoe": "shoes",
        "toe": "toes",
        "hoe": "hoes",
        "foe": "foes",
        "axe": "axes axed ax",
        "use": "uses used using",
        "canoe": "canoes",
        "lens": "lenses",
        "gas": "gases",
        "leaf": "leaves",
        "wolf": "wolves",
        "knife": "knives",
        "wife": "wives",
        "life": "lives",
        "half": "halves",
        "calf": "calves",
        "shelf": "shelves",
        "elf": "elves",
        "thief": "thieves",
        "loaf": "loaves",
        "scarf": "scarves",
        "hoof": "hooves",
        "dwarf": "dwarves",
        "cactus": "cacti",
        "fungus": "fungi",
        "wear": "wore worn",
        "run": "ran",
        "drink": "drank drunk",
        "swim": "swam swum",
        "buy": "bought",
        "catch": "caught",
        "light": "lit",
        "shoot": "shot",
        "fight": "fought",
        "ride": "rode ridden",
        "hold": "held",
        "sit": "sat",
        "stand": "stood",
        "eat": "ate eaten",
    }.items()
    for form in forms.split()
}
WHOLE = frozenset(
    {"being", "building", "ceiling", "clothing", "evening", "morning", "wedding", "news", "series", "species"}
    | {"amen", "omen", "ramen", "semen", "specimen", "abdomen", "hymen", "regimen", "stamen"}
    | {"lens", "alias", "atlas", "bias", "canvas", "christmas", "pancreas", "mars", "texas"}
)
"""Words that only look as if they had an ending."""
SILENT = ("xe", "oe", "che", "she", "sse", "zze", "ase", "ise", "use")
"""Ends whose `e` a plural hides: `caches` could be of `cach` or `cache`, so both are the shorter. `us` and `is` lose
their `s`, since `irises` and `bikinis` look alike.
"""

SPELLINGS = (
    ("colour", "color"),
    ("grey", "gray"),
    ("armour", "armor"),
    ("jewellery", "jewelry"),
    ("moustache", "mustache"),
)
DERIVED = (("ities", False), ("ity", False), ("ness", True), ("like", True))
"""Endings that leave the meaning, and whether what stands before them is a whole word (naked-ness, nud-ity)."""
PLAIN = dict(zip("øłđħıŧØŁĐĦŦ", "oldhitOLDHT", strict=True)) | {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"}
"""Latin letters that Unicode does not take apart, as people type them who lack the key."""
UNPARTED = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3040", "\u30ff"),
    ("\u3400", "\u9fff"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)
"""Thai, Lao, Myanmar, Khmer, Kana and Han."""
WRITTEN = """
algae almni ambae anani annae anses apces aqria arlae auata balli baria beent beves biten blled bllew blown brght brken
broke brren buaux built burnt caati ceces chaux chbim chose chsen cldes cleet clung coces coora corti cossi crept crnia
croci crria crses derii dises doces doice drawn drove drrew drven dudug eyeth falen feell feeti fefed filae fllew flown
flung foeet foeti folae fooci froze frzen gaaux gaave galia geera genii given goren griti grown grren grrew gysia haves
heces hiami hiden hihid hisci houli hoves huung hyses inces inubi javes keves kizim knelt labia lavae leant leapt litti
looci maces maosi matri meles menda meses mieux minia mives moria nassi nelae neses nulei oases ocdes ocopi opera ovova
pases payri pazzi penes peves phena phlli plaux plria plypi podia podra pupae putti quzes radii saang saank saria scata
scota scren sehim shank shken shone shook shown shunk shves slain slept sllew sllid soria spang spken sppat sppun sptra
spung stata stdia stken stlen stren stuck stuli stung suubi suung suunk suvae swept swung syabi syses sysia taaux taken
teini teria tetes thown threw thses thuri toook toore toorn traux trden trrod tuves uteri vanae veces verae viera viosi
voces vuvae weept weves whves woken wooke woove woven wrote wrten
"""
OUTLINES = frozenset(WRITTEN.split())
"""The first two and the last three letters of the forms in `irregular`; a test holds the two together."""
ALIKE = {"k": "c", "x": "c", "s": "c", "v": "f"}
VOWELS = frozenset("aeiouy")
ADDS_E = ("at", "iz", "uc", "bl", "dl", "gl", "kl", "pl", "tl", "c", "v", "u", "rs", "ns", "rg", "dg")
"""Stems that have lost an e before `-ed` and `-ing`: decorat-, danc-, lov-, gambl-, nurs-, chang-."""


REGULAR: Mapping[str, str] = {}
"""No irregular forms."""
MANY = 1 << 18
"""So many texts are remembered by their words: of a recipe with more, every pass would cut every text anew."""


@lru_cache(MANY)
def tokens(text: str, parted: bool = True) -> tuple[str, ...]:
    """The words of a text, in small letters, without possessive `'s`, accents and width; each emoji is a word, and
    C++ and C# are. `parted`: so is each letter of a script that parts no words.

    A possessive speaks of its owner: "a naked child's body" is of a naked child.
    """
    if text.isascii():
        plain = text
    else:
        plain = _shown(plainly(text))
        plain = _parted(plain) if parted else plain
    plain = plain.casefold().replace("\u2019", "'")
    if "'" in plain:
        plain = " ".join(word.removesuffix("'s") for word in plain.replace("s' ", "s ").split())
    if plain.replace(" ", "").isalnum():
        return tuple(plain.split())
    signed = "+" in plain or "#" in plain
    if signed:
        plain = SIGNED.sub(lambda match: match[1] + match[2].translate(LETTERED), plain)
    words = "".join(c if c.isalnum() or _is_picture(c) else " " for c in plain).split()
    return tuple(word.translate(SIGNS) for word in words) if signed else tuple(words)


SIGNED = re.compile(r"(?<![^\W_])([a-z])(\+\+|#)(?![^\W_])")
"""A letter with a sign that makes another name of it."""
LETTERED = {ord("+"): "\u16a8", ord("#"): "\u16ba"}
SIGNS = {ord(letter): chr(sign) for sign, letter in LETTERED.items()}
"""Signs as letters that stand in no word, and back."""


def _is_picture(c: str) -> bool:
    """Whether a character is a word of its own: an emoji or another symbol. Tones of skin and selectors are none."""
    if c < "\u2000":
        return False
    from unicodedata import category

    return category(c) == "So"


def _shown(text: str) -> str:
    """A text with blanks around its pictures."""
    return "".join(f" {c} " if _is_picture(c) else c for c in text)


def lemmas(text: str) -> tuple[str, ...]:
    """The words of a text without inflection, and without a leading article."""
    return tuple([lemma(word) for word in bare(text)])


def bare(text: str) -> tuple[str, ...]:
    """The words of a text without a leading article."""
    words = tokens(text)
    return words[1:] if len(words) > 1 and words[0] in ARTICLES else words


def roots(text: str, table: Mapping[str, str] = REGULAR) -> frozenset[str]:
    """What a text speaks of: its words without order, little words, inflection and derivation (nudity, nude).

    `table` holds irregular forms. What a script that parts no words writes in one is one word.
    """
    return frozenset([root(table.get(word, word)) for word in tokens(text, False) if word not in LITTLE])


@lru_cache(1 << 16)
def lemma(word: str) -> str:
    """A word without its inflection."""
    found = IRREGULAR.get(word) or _regular(word)
    if len(found) > 3 and found.endswith(SILENT):
        found = found[:-1]
    return found[:-1] if len(found) > 3 and found.endswith(("us", "is")) else found


def _regular(word: str) -> str:
    if word.endswith("men") and word not in WHOLE:
        return word[:-3] + "man"
    if len(word) < 4 or word in WHOLE or not word.isascii():
        return word
    if word.endswith("s"):
        return _singular(word)
    if word.endswith("ied"):
        return word[:-3] + "y"
    if word.endswith("ed") and not word.endswith("eed"):
        return _bare(word, word[:-2])
    return _bare(word, word[:-3]) if word.endswith("ing") else word


@lru_cache(1 << 16)
def root(word: str) -> str:
    """A word without inflection and simple derivation, in American spelling."""
    word = spelled(word)
    for ending, whole in DERIVED:
        if word.endswith(ending) and len(word) >= len(ending) + 3:
            stem = word.removesuffix(ending)
            return lemma(stem) if whole else _bare(word, stem)
    return lemma(word)


def plainly(text: str) -> str:
    """A text without what its writing adds: width and other compatibility forms, accents of Latin letters, invisible
    characters. Accents of other scripts part letters (й is no и) and stay, but for ё, which is mostly written е.
    """
    from unicodedata import category, normalize

    found: list[str] = []
    for c in normalize("NFD", normalize("NFKC", text.replace("\u2122", " "))):
        kind = category(c)
        if kind == "Cf" or (kind == "Mn" and found and (found[-1].isascii() or (c == "\u0308" and found[-1] in "еЕ"))):
            continue
        found.append(PLAIN.get(c, c))
    return normalize("NFC", "".join(found))


def _parted(text: str) -> str:
    """A text with blanks between the letters of scripts that part no words, such as Chinese and Thai."""
    if max(text, default="") < UNPARTED[0][0]:
        return text
    return "".join(f" {c} " if any(low <= c <= high for low, high in UNPARTED) else c for c in text)


def likely(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether one side's words may hold a form, of a word on the other side, that only `irregular` knows.

    Cheap, and seldom wrong: such a form has one of these outlines, and begins like its word.
    """
    sides = set(one), set(other)
    for here, there in (sides, sides[::-1]):
        forms: dict[str, str] = {}
        for word in here:
            if word[:2] + word[-3:] in OUTLINES and forms.setdefault(_begins(word), word) != word:
                forms[_begins(word)] = ""  # several: no word is like all of them
        if forms and any(forms.get(_begins(word), word) != word for word in there):
            return True
    return False


@lru_cache(1 << 16)
def _begins(word: str) -> str:
    """The first letter of a word, its next consonant, and whether that follows at once; vowels count alike, and so do
    c, k, s and x.
    """
    head = ("a" if word[0] in VOWELS else word[0]) + ("a" if word[1:2] in VOWELS else "")
    after = next((letter for letter in word[1:] if letter not in VOWELS), "")
    return head + ALIKE.get(after, after)


def letters(text: str) -> str:
    """The letters of a text without what parts its words."""
    return spelled("".join(tokens(text)))


def spelled(word: str) -> str:
    """American spelling, of words that pictures show."""
    for one, other in SPELLINGS:
        word = word.replace(one, other)
    return word


def _singular(word: str) -> str:
    if word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes", "oes", "ases", "ises")):
        return word[:-2]
    if word.endswith("uses"):
        return word[:-2]
    return word[:-1]


def _bare(word: str, stem: str) -> str:
    """The word of a stem that has lost `-ed`, `-ing` or `-ity`; the word itself where that belongs to it (king)."""
    if len(stem) < 3 or not any(letter in VOWELS for letter in stem):
        return word
    last = stem[-1]
    if last == stem[-2]:
        return stem if last in "lszf" or last in VOWELS else stem[:-1]
    if stem.endswith(ADDS_E):
        return stem + "e"
    short = last not in VOWELS and last not in "wx" and stem[-2] in VOWELS and stem[-3] not in VOWELS
    groups = sum(a in VOWELS and b not in VOWELS for a, b in zip(stem, stem[1:] + " ", strict=True))
    return stem + "e" if short and groups == 1 else stem
