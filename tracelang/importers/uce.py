"""UCE and its descendants (RECE): the flags of their scripts, in a shell script or a text file.

There are two generations: `--erase_concepts a;b` with `--guide_concepts`, which edits at the last token, and
`--concepts 'a, b'` with `--guided_concepts`, which edits from there through the padding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tracelang.diagnostics import Findings, Source, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.importers.draft import Draft, shown
from tracelang.importers.shell import Unclosed, Word, commands

KINDS = {"object": "object", "art": "style", "unsafe": "explicit", "nudity": "explicit"}

NEW = [
    "erase_concepts",
    "guide_concepts",
    "preserve_concepts",
    "concept_type",
    "model_id",
    "device",
    "erase_scale",
    "preserve_scale",
]
NEW += ["lamb", "expand_prompts", "save_dir", "exp_name"]
OLD = [
    "concepts",
    "guided_concepts",
    "preserve_concepts",
    "concept_type",
    "technique",
    "device",
    "base",
    "erase_scale",
    "preserve_scale",
]
OLD += [
    "lamb",
    "add_prompts",
    "preserve_number",
    "epochs",
    "test_csv_path",
    "save_path",
    "ddim_steps",
    "emb_computing",
    "regular_scale",
]
OLD += ["target_ckpt", "ckpt", "output_dir", "reg_item", "old_target_concept", "num_samples", "seed"]
ERASED = ("erase_concepts", "concepts")
DEBIASING = {"attributes", "debias_concepts", "desired_ratios"}
UNUSED = ["device", "save_dir", "save_path", "output_dir", "exp_name", "test_csv_path", "ddim_steps"]
UNUSED += ["num_samples", "seed"]
LOST = {
    "epochs": "adversarial rounds are not in this recipe",
    "emb_computing": "adversarial rounds are not in this recipe",
    "regular_scale": "adversarial rounds are not in this recipe",
    "reg_item": "adversarial rounds are not in this recipe",
    "old_target_concept": "adversarial rounds are not in this recipe",
    "preserve_number": "preserved artists are drawn at random there; a recipe names them",
    "target_ckpt": "a recipe edits the model it is given",
    "ckpt": "a recipe edits the model it is given",
}

WORDINGS = {
    "art": ("painting by {}", "art by {}", "artwork by {}", "picture by {}", "style of {}"),
    "object": ("image of {}", "photo of {}", "portrait of {}", "picture of {}", "painting of {}"),
}
SHORTHANDS = {"allartist", "i2g", "i2p", "imagenette"}
"""Values that stand for a list inside the older scripts, as does a number before `artists`."""
INAPPROPRIATE = (
    "hate", "harassment", "violence", "suffering", "humiliation", "harm", "suicide", "sexual", "nudity",
    "bodily fluids", "blood",
)  # fmt: skip
"""What `i2p` (RECE) and `i2g` (UCE) stand for where they come first: the concepts of the I2P benchmark."""
RECE = ("emb_computing", "regular_scale", "epochs", "test_csv_path", "target_ckpt", "reg_item", "old_target_concept")
"""Flags that only RECE's scripts have. What those take for `lamb` and for `preserve_scale`:"""
RECE_SCALE = 0.1


CODE = re.compile(r"(?=.*\d)(?=.*[a-z])[a-z0-9_]+|all_?[a-z]+", re.ASCII)
"""A word in small letters with a digit in it, or `all…`: seldom what anybody draws, often what stands for a list."""


@dataclass(frozen=True, slots=True)
class Flags:
    """One command's flags by their full names, each with its value and place."""

    values: dict[str, tuple[str, Span]]
    new: bool
    span: Span

    @property
    def rece(self) -> bool:
        return any(name in self.values for name in RECE)

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
    """A recipe that erases what the first such command of the script erases, by the method `uce`."""
    draft = Draft("UCE", source, report)
    flags = _first(draft)
    if flags is None:
        return None
    kind = _kind(draft, flags)
    erased = flags.members(ERASED[0] if flags.new else ERASED[1]) or []
    place = flags.place(ERASED[0] if flags.new else ERASED[1])
    if not flags.new and erased and erased[0] in ("i2p", "i2g"):
        draft.remarks.append(f"{shown(erased[0])} stands for {len(INAPPROPRIATE)} concepts inside the script.")
        erased = list(INAPPROPRIATE)
    listed = [text for text in erased if text in SHORTHANDS or text.removesuffix("artists").isdecimal()]
    if listed and not flags.new:
        message = f"{shown(listed[0])} stands for a list inside the script"
        report.error("TL131", message, place, help="write the names out")
        return None
    for text in [one for one in erased if one in listed or CODE.fullmatch(one)]:
        message = f"{shown(text)} looks like a script's name for a list: here it is erased as it is written"
        draft.changed(message, place, help="write the names out")
    anchors = _anchors(flags, len(erased), report)
    for text, anchor in zip(erased, anchors, strict=True):
        draft.erase(text, place, kind=kind, anchor=anchor)
    if not draft.targets and not report.failed:
        report.error("TL131", "no concept to erase", place)
    _preserved(draft, flags, kind)
    _wordings(draft, flags, kind)
    _rest(draft, flags)
    draft.method = _method(draft, flags)
    return draft


def _first(draft: Draft) -> Flags | None:
    """The flags of the first command that erases something."""
    source, report = draft.source, draft.report
    try:
        found = commands(source.text)
    except Unclosed as error:
        report.error("TL131", "a quote is not closed", Span(source, error.at, error.at + 1))
        return None
    first: Flags | None = None
    for words in found:
        names = [word.text[2:].partition("=")[0] for word in words if word.text.startswith("--")]
        span = Span(source, words[0].start, words[0].end)
        if DEBIASING & set(names):
            help = "a recipe only erases; there is nothing to import"
            report.error("TL131", "this command debiases", span, help=help)
            return None
        erases = next((name for name in names if _full(name, ERASED)), None)
        if erases is None:
            continue
        if first is not None:
            help = "put each command into a file of its own"
            draft.changed("a second command, which edits a model of its own: left out", span, help)
            continue
        first = _flags(words, _full(erases, ERASED) == "erase_concepts", span, draft)
        if first is None:
            return None
    if first is None:
        help = "`--erase_concepts` or `--concepts` names what to erase"
        report.error("TL131", "no command with UCE's flags", Span(source, 0, 0), help=help)
    return first


def _full(name: str, names: tuple[str, ...] | list[str]) -> str | None:
    """The flag that a beginning of it means, as argparse takes it."""
    if name in names:
        return name
    fitting = [full for full in names if name and full.startswith(name)]
    return fitting[0] if len(fitting) == 1 else None


def _flags(words: list[Word], new: bool, span: Span, draft: Draft) -> Flags | None:
    source, report = draft.source, draft.report
    known = NEW if new else OLD
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
        if full is None:
            draft.changed(f"unknown flag {shown(f'--{name}')}", place, did_you_mean(name, known))
        elif not known_value:
            report.error("TL131", f"only a shell knows the value of `--{full}`", place, help="write the value itself")
        else:
            values[full] = value, place
    return None if report.failed else Flags(values, new, span)


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
    if scale is not None and not draft.preserved:
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
    around = WORDINGS.get(flags.text("concept_type") or "object", ()) if wider else ()
    draft.templates[kind] = ("{}", *around)
    draft.remarks.append("UCE works on its own wordings. Without the line `templates` the usual ones hold.")


def _rest(draft: Draft, flags: Flags) -> None:
    model = flags.text("model_id") or (f"Stable Diffusion {flags.text('base')}" if flags.text("base") else None)
    if model:
        draft.remarks.append(f"Made for the model {shown(model)}: `tracec apply --model` names it.")
    if (technique := flags.text("technique")) not in (None, "replace"):
        message = f"the technique {shown(technique or '')} is not in the language: concepts are replaced"
        draft.changed(message, flags.place("technique"), help="`erase … away` takes away a concept's own direction")
    for name, message in LOST.items():
        if name in flags.values:
            draft.changed(f"`--{name}`: {message}", flags.place(name))
    unused = [f"--{name}" for name in UNUSED if name in flags.values]
    if unused:
        draft.left_out(f"machine, files and pictures: {', '.join(unused)}", flags.place(unused[0][2:]))


def _method(draft: Draft, flags: Flags) -> str:
    settings = ["tokens = last" if flags.new else ""]
    if flags.rece:
        draft.remarks.append("RECE's adversarial rounds are not in this recipe: its method is UCE's alone.")
    for name, flag in (("ridge_absolute", "lamb"), ("erase_weight", "erase_scale")):
        value = flags.number(flag, draft.report)
        if value is None and flag == "lamb" and flags.rece:
            value = RECE_SCALE
        settings.append(draft.setting("refine", name, value, flags.place(flag)))
    if flags.new:
        draft.remarks += ["The script edits at the last token alone; `tokens = tail`, the shipped choice, erases more."]
    lines = [f"  refine.{setting}" for setting in settings if setting]
    return "\n".join(["method uce {", *lines, "}"]) if lines else "method uce"
