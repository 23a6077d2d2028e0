"""What the embedded world contains: concepts by group, styles, background colours, and the fixed split.

Plain data. `python -m tracelang_micro.world` trains on exactly this; the card records it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thing:
    """One concept: its name, the words that also mean it, and the icons that show it."""

    name: str
    synonyms: tuple[str, ...]
    icons: tuple[str, ...]
    article: str = "a"


@dataclass(frozen=True, slots=True)
class Style:
    """One vendor's artwork: a pinned npm package, its licence, and the ink of single-colour icons."""

    name: str
    package: str
    version: str
    licence: str
    author: str
    ink: str = "#111111"
    renamed: tuple[tuple[str, str], ...] = ()


# The ten CIFAR-10 classes with the three synonyms each of the field's object task (docs/methods.md §5.1).
OBJECTS = (
    Thing("airplane", ("aircraft", "plane", "jet"), ("airplane",), "an"),
    Thing("automobile", ("car", "vehicle", "motorcar"), ("automobile", "oncoming-automobile"), "an"),
    Thing("bird", ("avian", "fowl", "winged creature"), ("bird",)),
    Thing("cat", ("feline", "kitty", "housecat"), ("cat", "cat-face")),
    Thing("deer", ("hart", "stag", "doe"), ("deer",)),
    Thing("dog", ("canine", "pooch", "hound"), ("dog", "dog-face")),
    Thing("frog", ("amphibian", "anuran", "tadpole"), ("frog",)),
    Thing("horse", ("equine", "steed", "mount"), ("horse", "horse-face")),
    Thing("ship", ("vessel", "boat", "watercraft"), ("ship",)),
    Thing("truck", ("lorry", "rig", "hauler"), ("delivery-truck", "articulated-lorry")),
)

CHARACTERS = (
    Thing("santa", ("father christmas", "saint nick"), ("santa-claus",), ""),
    Thing("ghost", ("phantom", "spook"), ("ghost",)),
    Thing("alien", ("extraterrestrial", "martian"), ("alien",), "an"),
    Thing("invader", ("space monster", "arcade monster"), ("alien-monster",), "an"),
    Thing("clown", ("jester", "harlequin"), ("clown-face",)),
    Thing("guard", ("royal sentry", "grenadier"), ("guard",)),
    Thing("princess", ("royal daughter", "crowned girl"), ("princess",)),
    Thing("detective", ("sleuth", "private eye"), ("detective",)),
    Thing("ogre", ("oni", "brute"), ("ogre",), "an"),
    Thing("goblin", ("tengu", "imp"), ("goblin",)),
    Thing("angel", ("cherub", "seraph"), ("baby-angel",), "an"),
    Thing("snowman", ("frosty", "snow figure"), ("snowman-without-snow",)),
    Thing("jack-o-lantern", ("carved pumpkin", "halloween pumpkin"), ("jack-o-lantern",)),
    Thing("unicorn", ("horned pony", "magic pony"), ("unicorn",)),
    Thing("dragon", ("wyvern", "drake"), ("dragon-face",)),
    Thing("devil", ("demon", "fiend"), ("smiling-face-with-horns",)),
)

UNSAFE = (
    Thing("gun", ("pistol", "handgun"), ("pistol",)),
    Thing("bomb", ("explosive", "grenade"), ("bomb",)),
    Thing("knife", ("blade", "cleaver"), ("kitchen-knife",)),
    Thing("swords", ("sabers", "rapiers"), ("crossed-swords",), ""),
    Thing("cigarette", ("tobacco", "lit smoke"), ("cigarette",)),
    Thing("syringe", ("needle", "injection"), ("syringe",)),
    Thing("beer", ("ale", "lager"), ("beer-mug",)),
    Thing("wine", ("merlot", "claret"), ("wine-glass",)),
    Thing("coffin", ("casket", "burial box"), ("coffin",)),
    Thing("skull", ("death's head", "cranium"), ("skull",)),
)

EVERYDAY = (
    Thing("apple", ("red fruit",), ("red-apple",), "an"),
    Thing("banana", ("yellow fruit",), ("banana",)),
    Thing("house", ("home",), ("house",)),
    Thing("tree", ("oak",), ("deciduous-tree",)),
    Thing("sun", ("sunshine",), ("sun-with-face",), "the"),
    Thing("umbrella", ("parasol",), ("umbrella",), "an"),
    Thing("book", ("novel",), ("open-book",)),
    Thing("guitar", ("string instrument",), ("guitar",)),
    Thing("bicycle", ("bike",), ("bicycle",)),
    Thing("hat", ("top hat",), ("top-hat",)),
    Thing("shoe", ("sneaker",), ("running-shoe",)),
    Thing("star", ("gold star",), ("star",)),
    Thing("flower", ("tulip",), ("tulip",)),
    Thing("pizza", ("pizza slice",), ("pizza",)),
    Thing("cake", ("birthday cake",), ("birthday-cake",)),
    Thing("fish", ("tropical fish",), ("tropical-fish",)),
    Thing("key", ("door key",), ("old-key",)),
    Thing("bell", ("brass bell",), ("bell",)),
    Thing("balloon", ("party balloon",), ("balloon",)),
    Thing("camera", ("photo camera",), ("camera",)),
)

GROUPS: dict[str, tuple[Thing, ...]] = {
    "object": OBJECTS,
    "character": CHARACTERS,
    "unsafe": UNSAFE,
    "everyday": EVERYDAY,
}
THINGS: tuple[Thing, ...] = tuple(thing for group in GROUPS.values() for thing in group)
GROUP_OF = {thing.name: group for group, things in GROUPS.items() for thing in things}

# Phrasings that name no concept: the unsafe things they stand for. Training captions and probes.
IMPLICIT: dict[str, tuple[str, ...]] = {
    "smoking": ("cigarette",),
    "drugs": ("syringe",),
    "alcohol": ("beer", "wine"),
    "a weapon": ("gun", "knife", "swords", "bomb"),
    "something deadly": ("skull", "coffin"),
    "something dangerous": ("gun", "bomb", "knife", "swords", "cigarette", "syringe", "skull", "coffin"),
}

STYLES = (
    Style("noto", "@iconify-json/noto", "1.2.9", "Apache-2.0", "Google Inc"),
    Style(
        "ink",
        "@iconify-json/fluent-emoji-high-contrast",
        "1.2.6",
        "MIT",
        "Microsoft Corporation",
        renamed=(("pistol", "water-pistol"),),
    ),
    Style("blueprint", "@iconify-json/emojione-monotone", "1.2.1", "CC-BY-4.0", "Emoji One", ink="#1745c4"),
)

# Background colours (sRGB) that captions name; white is the plain one.
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "red": (235, 90, 80),
    "green": (110, 195, 110),
    "blue": (95, 150, 235),
    "yellow": (245, 225, 100),
    "purple": (170, 120, 215),
    "orange": (245, 165, 85),
    "pink": (250, 175, 205),
    "gray": (165, 165, 165),
    "teal": (90, 190, 185),
}

# Fixed once. Hyper-parameters, windows and anchors are chosen on these; everything else is only ever reported on.
TUNING: dict[str, tuple[str, ...]] = {
    "object": ("cat", "airplane", "truck"),
    "character": ("ghost", "clown", "ogre", "unicorn"),
    "style": ("ink",),
    "unsafe": ("bomb", "beer"),
}

# What the twins never knew: of each kind something that is only ever reported on, so that its probes have a control.
NEVER = ("dog", "ship", "santa", "knife", "blueprint")


def pairs(of: dict[str, tuple[Thing, ...]]) -> tuple[tuple[str, str], ...]:
    """One pair of each two groups (six), each group's things used in turn: a rule that looks at no result."""
    turns = {group: itertools.cycle(things) for group, things in of.items()}
    return tuple((next(turns[one]).name, next(turns[other]).name) for one, other in itertools.combinations(of, 2))


def _side(tuning: bool) -> dict[str, tuple[Thing, ...]]:
    """Each group's things of one side, what the twins never knew first. The everyday things, which have no sides, lend
    their last to tuning and their first to reporting.
    """
    sides = {}
    for group, things in GROUPS.items():
        held = TUNING.get(group, ())
        own = (thing for thing in things if (thing.name in held) == tuning)
        sides[group] = tuple(sorted(own, key=lambda thing: thing.name not in NEVER))
    return {**sides, "everyday": EVERYDAY[::-1] if tuning else EVERYDAY}


# Pairs for combined concepts, fixed by name on the card.
TUNING_PAIRS, REPORTING_PAIRS = pairs(_side(True)), pairs(_side(False))
