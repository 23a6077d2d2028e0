"""English words without their endings, as far as small tables carry: plurals, `-ed`, `-ing` and irregular forms.

Two words are forms of one word when `lemma` gives the same for both; that it is a real word does not matter. There is
no dictionary of meanings here: WordNet takes a package and a download of its data, which a linter must not need.
"""

from __future__ import annotations

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
)
"""Words that only look as if they had an ending."""

SPELLINGS = (
    ("colour", "color"),
    ("grey", "gray"),
    ("armour", "armor"),
    ("jewellery", "jewelry"),
    ("moustache", "mustache"),
)
DERIVED = (("ities", False), ("ity", False), ("ness", True), ("like", True))
"""Endings that leave the meaning, and whether what stands before them is a whole word (naked-ness, nud-ity)."""
VOWELS = frozenset("aeiouy")
ADDS_E = ("at", "iz", "uc", "bl", "dl", "gl", "kl", "pl", "tl", "c", "v", "u", "rs", "ns", "rg", "dg")
"""Stems that have lost an e before `-ed` and `-ing`: decorat-, danc-, lov-, gambl-, nurs-, chang-."""


def tokens(text: str) -> tuple[str, ...]:
    """The words of a text, in small letters, without possessive `'s`."""
    plain = text.casefold().replace("\u2019", "'")
    if "'" in plain:
        plain = " ".join(word.removesuffix("'s") for word in plain.replace("s' ", "s ").split())
    if plain.replace(" ", "").isalnum():
        return tuple(plain.split())
    return tuple("".join(c if c.isalnum() else " " for c in plain).split())


def lemmas(text: str) -> tuple[str, ...]:
    """The words of a text without inflection, and without a leading article."""
    words = tokens(text)
    if len(words) > 1 and words[0] in ARTICLES:
        words = words[1:]
    return tuple([lemma(word) for word in words])


def roots(text: str) -> frozenset[str]:
    """What a text speaks of: its words without order, little words, inflection and derivation (nudity, nude)."""
    return frozenset([root(word) for word in tokens(text) if word not in LITTLE])


@lru_cache(1 << 16)
def lemma(word: str) -> str:
    """A word without its inflection."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or word in WHOLE or not word.isascii():
        return word
    if word.endswith("s"):
        return _singular(word)
    if word.endswith("men"):
        return word[:-3] + "man"
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
    if word.endswith(("sses", "xes", "ches", "shes", "zzes", "oes")):
        return word[:-2]
    if word.endswith("uses") and not word.endswith(("ouses", "auses")):
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
