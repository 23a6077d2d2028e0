"""LECO: `prompts.yaml`, a list of what to erase, and `config.yaml`, which names it and says how to train.

An entry moves the prediction on `target` to `neutral − guidance_scale · (positive − unconditional)`, all three by the
unedited model. With `positive` = `target` and an empty `unconditional` that is the term `push`, anchor and strength.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tracelang.diagnostics import Findings, Source, Span
from tracelang.importers.draft import Draft, shown
from tracelang.importers.yaml_file import Fields, items, load, span_of
from tracelang.syntax.read import decode

BARE = ("{}",)

ENTRY = [
    "resolution",
    "dynamic_resolution",
    "batch_size",
    "bucketing",
    "dynamic_crops",
    "sampling_batch_size",
    "seed",
    "case_number",
]
"""Keys of an entry that say how to train, in terms that a `steer` pass does not have."""


@dataclass(frozen=True, slots=True)
class Training:
    """What the configuration says of the training, as far as a `steer` pass knows it; with the place of each."""

    rank: tuple[float | None, Span]
    steps: tuple[float | None, Span]
    rate: tuple[float | None, Span]
    sampler_steps: tuple[float | None, Span]


Defaults = dict[str, float]
"""What a tool takes for what its configuration does not say, by the configuration's own words."""

DEFAULTS: Defaults = {"rank": 4, "alpha": 1, "iterations": 500, "lr": 1e-4, "max_denoising_steps": 50}
"""LECO's, https://github.com/p1atdev/LECO, config_util.py."""


def convert(source: Source, folder: str, report: Findings) -> Draft | None:
    """A recipe that erases what LECO's file erases, by a `steer` pass with LECO's settings."""
    draft = Draft("LECO", source, report)
    found = read(draft, folder, DEFAULTS)
    if found is None:
        return None
    entries, training = found
    strengths = []
    for entry in entries:
        action = entry.text("action") or "erase"
        if action == "erase":
            strengths += erase(draft, entry)
        elif action == "enhance":
            draft.changed("a recipe only erases: this entry enhances and is left out", entry.place("action"))
            entry.known(list(entry.nodes))
        else:
            report.error("TL131", f"LECO knows no action {shown(action)}", entry.place("action"))
    finish(draft, entries, strengths)
    draft.templates["object"] = BARE
    draft.remarks.append("LECO works on each text as it stands. Without the line `templates` the usual wordings hold.")
    draft.remarks.append("LECO preserves nothing. Add `preserve` and a term `keep {}` to hold what is near.")
    draft.method = method(draft, "leco", training, strengths, "")
    return draft


def read(draft: Draft, folder: str, defaults: Defaults) -> tuple[list[Fields], Training | None] | None:
    """The entries, and the training where the file is a configuration; None after an error."""
    source, report = draft.source, draft.report
    root = load(source, report)
    if root is None:
        return None
    training = None
    if root.id == "mapping":
        config = Fields.of(root, source, "the configuration", report)
        if not config.has("prompts_file"):
            message = "neither a list of prompts nor a configuration with `prompts_file`"
            report.error("TL131", message, config.span, help="give the file with `target: …` in it")
            return None
        prompts = _prompts(config, folder, report)
        training = _training(draft, config, defaults)
        root = None if prompts is None else load(prompts, report)
        if prompts is None or root is None:
            return None
        source = prompts
    entries = [Fields.of(node, source, "an entry", report) for node in items(root, source, "the file", report)]
    if not entries and not report.failed:
        report.error("TL131", "the list of prompts is empty", span_of(root, source))
    return None if report.failed else (entries, training)


def erase(draft: Draft, entry: Fields, *, relative_to_neutral: bool = False) -> list[tuple[float, Span]]:
    """Put one entry into the draft; its strength and the place of that, or nothing where the entry is left out."""
    if not entry.has("target"):
        draft.report.error("TL131", "an entry without `target`", entry.span)
        return []
    target = entry.text("target")
    positive = entry.text("positive") if entry.has("positive") else target
    unconditional = entry.text("unconditional")
    neutral = entry.text("neutral") if entry.has("neutral") else unconditional
    strength = entry.number("guidance_scale", 1.0)
    away_from, key = (neutral, "neutral") if relative_to_neutral else (unconditional, "unconditional")
    if strength is None or not 0 <= strength < float("inf"):
        message = "a strength below 0 draws more of the concept: this entry is left out"
        draft.changed(message, entry.place("guidance_scale"))
        return []
    if positive != target and positive:
        draft.changed(
            f"only on the prompt {shown(target)} is {shown(positive)} erased there; here it is wherever it is drawn",
            entry.place("positive"),
            help=f"where only the two together shall go, write `erase {shown(target)} & {shown(positive)}`"
            if target and not _within(target, positive) and not _within(positive, target)
            else "",
        )
    if away_from:
        message = f"the direction is taken from the empty prompt, not from {shown(away_from)}"
        draft.changed(message, entry.place(key))
    draft.erase(positive or target, entry.place("positive" if positive else "target"), anchor=neutral)
    return [(strength, entry.place("guidance_scale"))]


def finish(draft: Draft, entries: list[Fields], strengths: list[tuple[float, Span]]) -> None:
    """Report what no entry's conversion asked for, and a recipe that erases nothing."""
    unused: dict[str, Span] = {}
    for entry in entries:
        for key in entry.known(ENTRY):
            unused.setdefault(key, entry.place(key))
        for key, span, help in entry.unknown():
            draft.changed(f"unknown key {shown(key)}", span, help)
    if unused:
        draft.left_out(f"how to train, not what: {', '.join(unused)}", next(iter(unused.values())))
    if not draft.targets and not draft.report.failed:
        draft.report.error("TL131", "no entry erases anything", entries[0].span, help="a recipe has to erase something")
    if len({strength for strength, _ in strengths}) > 1:
        most = max(strengths, key=lambda one: one[0])
        draft.changed(f"one strength for all concepts: the greatest, {most[0]:g}", most[1])


def method(draft: Draft, name: str, training: Training | None, strengths: list[tuple[float, Span]], terms: str) -> str:
    """`define method` and its use: a `steer` pass, and `fuse` where there are several concepts."""
    settings = []
    if training is None:
        draft.remarks.append("Rank, steps and rate are the language's own; importing the config.yaml brings its own.")
    else:
        count = max(len(draft.targets), 1)
        steps, place = training.steps
        if steps is not None and count > 1:
            message = f"{steps:g} steps there, each on one of the {count} concepts; here an equal share for each"
            draft.left_out(message, place)
            steps = float(max(1, round(steps / count))) if steps < 1e12 else steps
        written = {"rank": training.rank, "steps": (steps, place)}
        written |= {"rate": training.rate, "sampler_steps": training.sampler_steps}
        settings = [draft.setting("steer", key, value, span) for key, (value, span) in written.items()]
    push = draft.setting("steer", "strength", *max(strengths, key=lambda one: one[0])) if strengths else ""
    lines = [f"define method {name} {{", "  steer on text {"]
    lines += [f"    {setting}" for setting in settings if setting]
    lines += [f"    push {{ {push} }}" if push else "    push {}"]
    lines += [f"    {term}" for term in terms.splitlines()]
    lines += ["  }", *(["  fuse {}"] if len(draft.targets) > 1 else []), "}", "", f"method {name}"]
    return "\n".join(lines)


def _within(text: str, other: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", other) is not None


TRAINING = [
    "precision",
    "noise_scheduler",
    "resolution",
    "batch_size",
    "optimizer",
    "optimizer_type",
    "optimizer_args",
    "lr_scheduler",
    "lr_scheduler_args",
    "lr_scheduler_num_cycles",
    "lr_scheduler_power",
    "lr_warmup_steps",
    "max_grad_norm",
    "text_encoder_lr",
]
MODEL = ["v2", "v_pred", "clip_skip", "name_or_path"]
NETWORK = ["type"]
TEXT_LAYERS = ("xattn", "xattn-strict")
"""The values of `training_method` that mean what `steer on text` trains."""
BLOCKS = {"pretrained_model": MODEL, "network": NETWORK, "train": TRAINING}
ELSEWHERE = ["save", "logging", "other", "inference"]


def _training(draft: Draft, config: Fields, defaults: Defaults) -> Training:
    blocks = {name: config.block(name) for name in BLOCKS}
    network, train, model = blocks["network"], blocks["train"], blocks["pretrained_model"]
    rate = "unet_lr" if train.has("unet_lr") else "lr"
    unsaid = []

    def number(block: Fields, key: str, default: str = "") -> tuple[float | None, Span]:
        if not block.has(key):
            unsaid.append(f"{key} {defaults[default or key]:g}")
        return block.number(key, defaults[default or key]), block.place(key)

    found = Training(
        number(network, "rank"),
        number(train, "iterations"),
        number(train, rate, "lr"),
        number(train, "max_denoising_steps"),
    )
    alpha, place = number(network, "alpha")
    if unsaid:
        draft.remarks.append(f"The configuration leaves to {draft.tool}'s defaults: {', '.join(unsaid)}.")
    if alpha is not None and found.rank[0] and alpha != found.rank[0]:
        message = f"alpha {alpha:g} scales the adapter by alpha / rank there, {alpha / found.rank[0]:.4g}; here it is 1"
        draft.changed(message, place, "train anew with another `rate`, and look at the outcome")
    if network.has("training_method") and (where := network.text("training_method")) not in TEXT_LAYERS:
        message = f"training_method {shown(where)} trains other layers than the recipe, those of the text"
        draft.changed(message, network.place("training_method"), "`steer.on` names layers, see `layers`")
    network.known(["training_method"])
    train.known(["lr"])
    if model.has("name_or_path"):
        made_for = shown(model.text("name_or_path"))
        draft.remarks.append(f"Made for the model {made_for}: `tracec apply --model` names it.")
    unused = [key for name, block in blocks.items() for key in block.known(BLOCKS[name])]
    unused += config.known(ELSEWHERE)
    if unused:
        draft.left_out(f"how to train, save and log: {', '.join(unused)}", config.span)
    for block in (config, *blocks.values()):
        for key, span, help in block.unknown():
            draft.changed(f"unknown key {shown(key)}", span, help)
    return found


def _prompts(config: Fields, folder: str, report: Findings) -> Source | None:
    """The list that a configuration names: relative to its folder, or by its last part in there.

    LECO takes the path from the folder it is started in, which is not known here. Nothing outside is opened.
    """
    from tracelang.importers import MAX_BYTES

    name = config.text("prompts_file")
    place = config.place("prompts_file")
    home = Path(folder).resolve()
    last = name.replace("\\", "/").rpartition("/")[2]
    for path in (Path(folder, name), Path(folder, last)):
        try:
            if path.is_file() and path.resolve().is_relative_to(home):
                return _decoded(path, MAX_BYTES, report)
        except (OSError, ValueError):
            continue
    help = "put the prompts file beside the configuration, or import it by itself"
    report.error("TL131", f"the prompts file {shown(name)} is not in this folder", place, help=help)
    return None


def _decoded(path: Path, limit: int, report: Findings) -> Source | None:
    with path.open("rb") as stream:
        found = decode(stream.read(limit + 1), str(path), limit, report)
    return None if found is None else found.source
