"""UCE and its descendants (RECE): the flags of their scripts, in a shell script, a text file or a page with both.

There are two generations: `--edit_concepts 'a; b'` with `--guide_concepts`, which edits at the last token (two commits
call it `--erase_concepts`), and `--concepts 'a, b'` with `--guided_concepts`, which edits from there through the
padding. RECE's scripts have the latter's flags and rounds of their own behind it, the method `rece`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tracelang.diagnostics import Findings, Source, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.importers.draft import Draft, shown
from tracelang.importers.shell import Word, readable

KINDS = {"object": "object", "art": "style", "unsafe": "explicit", "nudity": "explicit"}

NEW = [
    "edit_concepts", "erase_concepts", "guide_concepts", "preserve_concepts", "concept_type", "model_id",
    "device", "erase_scale", "preserve_scale", "lamb", "expand_prompts", "save_dir", "exp_name",
]  # fmt: skip
OLD = [
    "concepts", "guided_concepts", "preserve_concepts", "concept_type", "technique", "device", "base",
    "erase_scale", "preserve_scale", "lamb", "add_prompts", "preserve_number", "save_path", "ddim_steps",
    "output_dir", "num_samples", "seed",
]  # fmt: skip
ROUNDS = [
    "epochs", "test_csv_path", "emb_computing", "regular_scale", "target_ckpt", "ckpt", "reg_item",
    "old_target_concept",
]  # fmt: skip
"""Flags that only RECE's scripts have."""
OLD += ROUNDS
ERASED = ("edit_concepts", "erase_concepts", "concepts")
MISNAMED = {"guided_concept": "guide_concepts", "guided_concepts": "guide_concepts"}
"""What the page about the newer scripts calls a flag that they do not know by that name."""
DEBIASING = {"attributes", "debias_concepts", "desired_ratios"}
LOOKING = re.compile(r"(eval|generat|sampl|infer|metric|classif|attack|test)[^/\\]*\.py$", re.I)
"""Programs that draw or judge pictures of a concept, and edit nothing."""
UNUSED = ["device", "save_dir", "save_path", "output_dir", "exp_name", "test_csv_path", "ddim_steps", "num_samples"]
UNUSED += ["seed", "reg_item", "old_target_concept"]
PRESERVED = "preserved artists are drawn at random there; a recipe names them"

WORDINGS = {
    "art": ("painting by {}", "art by {}", "artwork by {}", "picture by {}", "style of {}"),
    "object": ("image of {}", "photo of {}", "portrait of {}", "picture of {}", "painting of {}"),
}
INAPPROPRIATE = (
    "hate", "harassment", "violence", "suffering", "humiliation", "harm", "suicide", "sexual", "nudity",
    "bodily fluids", "blood",
)  # fmt: skip
"""The concepts of the I2P benchmark."""
IMAGENETTE = (
    "Cassette Player", "Chain Saw", "Church", "Gas Pump", "Tench", "Garbage Truck", "English Springer", "Golf Ball",
    "Parachute", "French Horn",
)  # fmt: skip
SHORTHANDS = {"i2p": INAPPROPRIATE, "i2g": INAPPROPRIATE, "imagenette": IMAGENETTE}
"""What stands for a list inside the older scripts, where it comes first."""
LISTS = re.compile(r"allartist|\d+artists")
"""What stands for names that only the script has."""
PENALTY = {"train.py": 0.1}
EPOCHS = {"train_object.py": 5}
"""RECE's defaults for `regular_scale` and `epochs` by its script; else:"""
RECE_PENALTY, RECE_EPOCHS = 1e-3, 10
RECE_SCALE = 0.1
"""And for `lamb` and for `preserve_scale`."""


CODE = re.compile(r"(?=.*\d)(?=.*[a-z])[a-z0-9_]+|all_?[a-z]+", re.ASCII)
"""A word in small letters with a digit in it, or `all…`: seldom what anybody draws, often what stands for a list."""


@dataclass(frozen=True, slots=True)
class Flags:
    """One command's flags by their full names, each with its value and place; `program` is the script's name."""

    values: dict[str, tuple[str, Span]]
    erased: str
    span: Span
    program: str = ""

    @property
    def new(self) -> bool:
        return self.erased != "concepts"

    @property
    def rece(self) -> bool:
        return any(name in self.values for name in ROUNDS)

    def text(self, name: str) -> str | None:
        return self.values[name][0] if name in self.values else None

    def place(self, name: str) -> Span:
        return self.values[name][1] if name in self.values else self.span

    def members(self, name: str) -> list[str] | None:
        text = self.text(name)
        return None if text is None else [one.strip() for one in text.split(";" if self.new else ",")]

    def number(self, name: str, report: Findings) -> float | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return float(text)
        except ValueError:
            report.error("TL131", f"`--{name}` has to be a number", self.place(name))
            return None


def convert(source: Source, folder: str, report: Findings) -> Draft | None:
    """A recipe that erases what the first such command of the script erases, by the method `uce`, or RECE's `rece`."""
    draft = Draft("UCE", source, report)
    flags = _first(draft)
    if flags is None:
        return None
    if flags.rece:
        draft.origin = "RECE"
    kind = _kind(draft, flags)
    erased = _erased(draft, flags)
    place = flags.place(flags.erased)
    anchors = _anchors(flags, len(erased), report)
    for text, anchor in zip(erased, anchors, strict=True):
        draft.erase(text, place, kind=kind, anchor=anchor)
    if not draft.targets and not report.failed:
        report.error("TL131", "no concept to erase", place)
    _preserved(draft, flags, kind)
    _wordings(draft, flags, kind)
    _rest(draft, flags)
    draft.method = _rounds(draft, flags) if flags.rece else _method(draft, flags)
    return draft


def _erased(draft: Draft, flags: Flags) -> list[str]:
    """What the command erases; a word for a list that is known is taken apart."""
    erased = flags.members(flags.erased) or []
    place = flags.place(flags.erased)
    if not flags.new and erased and erased[0] in SHORTHANDS:
        draft.remarks.append(f"{shown(erased[0])} stands for {len(SHORTHANDS[erased[0]])} concepts inside the script.")
        return list(SHORTHANDS[erased[0]])
    listed = [text for text in erased if text in SHORTHANDS or LISTS.fullmatch(text)]
    if listed and not flags.new:
        message = f"{shown(listed[0])} stands for a list inside the script"
        draft.report.error("TL131", message, place, help="write the names out")
        return []
    for text in [one for one in erased if one in listed or CODE.fullmatch(one)]:
        message = f"{shown(text)} looks like a script's name for a list: here it is erased as it is written"
        draft.changed(message, place, help="write the names out")
    if flags.new and len(erased) == 1 and "," in erased[0]:
        message = f"{shown(erased[0])} is one concept there, as `;` parts them and no comma"
        draft.changed(message, place, "write `;` between two concepts, or erase each of them")
    return erased


def _first(draft: Draft) -> Flags | None:
    """The flags of the first command that erases something."""
    source, report = draft.source, draft.report
    found, unclosed = readable(source.text)
    first: Flags | None = None
    debiasing: Span | None = None
    for words in found:
        names = [word.text[2:].partition("=")[0] for word in words if word.text.startswith("--")]
        span = Span(source, words[0].start, words[0].end)
        erased = next((full for full in ERASED if any(_full(name, ERASED) == full for name in names)), None)
        program = next((word.text for word in words if word.text.endswith(".py")), "")
        if DEBIASING & set(names):
            debiasing = debiasing or span
        elif erased is None or (LOOKING.search(program) and erased not in names):
            continue
        elif first is not None:
            help = "put each command into a file of its own"
            message = "a second command, which edits a model of its own: left out"
            draft.changed(message, span, help, of="a second command")
        else:
            first = _flags(words, erased, span, re.split(r"[/\\]", program)[-1], draft)
            if first is None:
                return None
    if first is None and debiasing is not None:
        report.error(
            "TL131", "this command debiases", debiasing, help="a recipe only erases; there is nothing to import"
        )
    elif first is None and unclosed is not None:
        report.error("TL131", "a quote is not closed", Span(source, unclosed.at, unclosed.at + 1))
    elif first is None:
        help = "`--edit_concepts` or `--concepts` names what to erase"
        report.error("TL131", "no command with UCE's flags", Span(source, 0, 0), help=help)
    elif debiasing is not None:
        draft.left_out("commands that debias: a recipe only erases", debiasing)
    return first


def _full(name: str, names: Iterable[str]) -> str | None:
    """The flag that a beginning of it means, as argparse takes it."""
    names = tuple(names)
    if name in names:
        return name
    fitting = [full for full in names if name and full.startswith(name)]
    return fitting[0] if len(fitting) == 1 else None


def _flags(words: list[Word], erased: str, span: Span, program: str, draft: Draft) -> Flags | None:
    source, report = draft.source, draft.report
    known = OLD if erased == "concepts" else NEW
    values: dict[str, tuple[str, Span]] = {}
    at = next(i for i, word in enumerate(words) if word.text.startswith("--"))
    while at < len(words):
        word = words[at]
        at += 1
        place = Span(source, word.start, word.end)
        if not word.text.startswith("--"):
            help = "put the whole value in quotes"
            report.error("TL131", f"{shown(word.text)} belongs to no flag", place, help=help)
            continue
        name, equals, value = word.text[2:].partition("=")
        known_value = word.known
        if not equals and at < len(words) and not words[at].text.startswith("--"):
            value, known_value = words[at].text, words[at].known
            place = Span(source, words[at].start, words[at].end)
            at += 1
        full = _full(name, known)
        if full is None and known is NEW and name in MISNAMED:
            full = MISNAMED[name]
            draft.left_out(f"`--{name}` is called `--{full}` by the script, and taken for it", place)
        if full is None:
            draft.changed(f"unknown flag {shown(f'--{name}')}", place, did_you_mean(name, known))
        elif not known_value:
            report.error("TL131", f"only a shell knows the value of `--{full}`", place, help="write the value itself")
        else:
            values[full] = value, place
    return None if report.failed else Flags(values, erased, span, program)


def _kind(draft: Draft, flags: Flags) -> str:
    kind = flags.text("concept_type") or "object"
    if kind not in KINDS:
        draft.changed(f"no concept type {shown(kind)} is known: taken for an object", flags.place("concept_type"))
    return KINDS.get(kind, "object")


def _anchors(flags: Flags, count: int, report: Findings) -> list[str]:
    """One for each concept; none means the neutral state."""
    name = "guide_concepts" if flags.new else "guided_concepts"
    default = ["art"] if flags.new and flags.text("concept_type") == "art" else [""]
    anchors = flags.members(name) or default
    if len(anchors) == 1:
        return anchors * count
    if len(anchors) != count:
        message = f"{count} concepts, but {len(anchors)} to guide them to"
        report.error("TL131", message, flags.place(name), help="one for all, or one for each in the same order")
        return [""] * count
    return anchors


def _preserved(draft: Draft, flags: Flags, kind: str) -> None:
    names = flags.members("preserve_concepts")
    for text in names or []:
        draft.preserve(text, flags.place("preserve_concepts"), kind=kind)
    if names is None and not flags.new and kind == "style":
        message = "the script preserves the artists of a file of its own, a recipe those that it names"
        draft.changed(message, flags.place("concept_type"), help="name them with `preserve`, or with a `list`")
    scale = flags.number("preserve_scale", draft.report)
    if scale is not None and not draft.preserved and not flags.rece:
        message = f"`--preserve_scale` {scale:g} weighs the empty prompt there, as no other is preserved; here it is 1"
        draft.changed(message, flags.place("preserve_scale"), help="name what shall stay with `preserve`")
    if scale is None and flags.rece:
        scale = RECE_SCALE
    elif scale is None:
        # The older scripts count the empty prompt, which they always preserve, too.
        scale = 1.0 if flags.new else round(max(0.1, 1 / (len(names or []) + 1)), 3)
    if not 0 < scale < float("inf"):
        if draft.preserved:
            draft.changed("a weight of 0 preserves nothing: `preserve` is left out", flags.place("preserve_scale"))
        draft.preserved.clear()
    else:
        draft.weight = scale


def _wordings(draft: Draft, flags: Flags, kind: str) -> None:
    """The scripts work on the bare texts, unless they are told to put some words around them."""
    word = flags.text("expand_prompts") if flags.new else flags.text("add_prompts")
    # The older flag is true with any value at all, `False` included.
    wider = word == "true" if flags.new else bool(word)
    usual = WORDINGS["object"] if flags.new else ()
    draft.templates[kind] = ("{}", *WORDINGS.get(flags.text("concept_type") or "object", usual)) if wider else ("{}",)
    draft.bare = True  # what is preserved is never widened
    draft.remarks.append("UCE works on its own wordings. Without the line `templates` the usual ones hold.")


def _rest(draft: Draft, flags: Flags) -> None:
    model = flags.text("model_id") or (f"Stable Diffusion {flags.text('base')}" if flags.text("base") else None)
    if model:
        draft.remarks.append(f"Made for the model {shown(model)}: `tracec apply --model` names it.")
    if (technique := flags.text("technique")) not in (None, "replace"):
        message = f"the technique {shown(technique or '')} is not in the language: concepts are replaced"
        draft.changed(message, flags.place("technique"), help="`erase … away` takes away a concept's own direction")
    if "preserve_number" in flags.values:
        draft.changed(f"`--preserve_number`: {PRESERVED}", flags.place("preserve_number"))
    unused = [f"--{name}" for name in UNUSED if name in flags.values]
    if unused:
        draft.left_out(f"machine, files and pictures: {', '.join(unused)}", flags.place(unused[0][2:]))


def _method(draft: Draft, flags: Flags) -> str:
    settings = ["tokens = last" if flags.new else ""]
    for name, flag in (("ridge_absolute", "lamb"), ("erase_weight", "erase_scale")):
        settings.append(draft.setting("refine", name, flags.number(flag, draft.report), flags.place(flag)))
    if flags.new:
        draft.remarks += ["The script edits at the last token alone; `tokens = tail`, the shipped choice, erases more."]
    lines = [f"  refine.{setting}" for setting in settings if setting]
    return "\n".join(["method uce {", *lines, "}"]) if lines else "method uce"


def _rounds(draft: Draft, flags: Flags) -> str:
    """RECE's: UCE's closed form, and rounds that search what still gives the concept and erase that too."""
    draft.remarks.append("RECE judges pictures after each round and keeps the best; here the last round counts.")
    way = flags.text("emb_computing")
    if way not in (None, "close_regzero"):
        message = f"`--emb_computing` {way} searches in another way than the recipe, which is `close_regzero`"
        draft.changed(message, flags.place("emb_computing"))
    for name in ("target_ckpt", "ckpt"):
        if name in flags.values:
            message = f"`--{name}`: the rounds start there from a file that UCE edited; here `refine` makes that edit"
            draft.left_out(message, flags.place(name))
    weight = flags.number("erase_scale", draft.report)
    if weight not in (None, 1):
        message = f"`--erase_scale` {weight:g} weighs what a round finds; in `harden` that is 1"
        draft.changed(message, flags.place("erase_scale"))
    defaults = {
        "rounds": ("epochs", EPOCHS.get(flags.program, RECE_EPOCHS)),
        "penalty_absolute": ("regular_scale", PENALTY.get(flags.program, RECE_PENALTY)),
        "ridge_absolute": ("lamb", RECE_SCALE),
        "keep_weight": ("preserve_scale", RECE_SCALE),
    }
    lines = []
    for name, (flag, default) in defaults.items():
        value = flags.number(flag, draft.report)
        value = default if value is None else value
        lines.append(draft.setting("harden", name, value, flags.place(flag)))
    unsaid = [f"{flag} {default:g}" for flag, default in defaults.values() if flag not in flags.values]
    if unsaid:
        draft.remarks.append(f"The command leaves to the script's defaults: {', '.join(unsaid)}.")
    return "\n".join(["method rece {", *(f"  harden.{line}" for line in lines if line), "}"])
