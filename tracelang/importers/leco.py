"""LECO: `prompts.yaml`, a list of what to erase, and `config.yaml`, which names it and says how to train.

And the TOML of kohya's LECO, with `[[prompts]]` or `[[targets]]`.

An entry moves the prediction on `target` to `neutral − guidance_scale · (positive − unconditional)`, all three by the
unedited model. With `positive` = `target` and an empty `unconditional` that is the term `push`, anchor and strength.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracelang.diagnostics import Findings, Source, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.importers.draft import Draft, shown
from tracelang.importers.yaml_file import Fields, items, load, span_of
from tracelang.syntax.read import decode

BARE = ("{}",)

ENTRY = ["resolution", "resolutions", "dynamic_resolution", "bucketing", "dynamic_crops", "sampling_batch_size"]
ENTRY += ["case_number"]
"""Keys of an entry that say how to train, in terms that a `steer` pass does not have."""
COMMON = ["guidance_scale", "batch_size", "multiplier", "weight", "neutral", "unconditional", *ENTRY]
"""What kohya's files may say of all entries at once."""


@dataclass(frozen=True, slots=True)
class Training:
    """What the configuration says of the training, as far as a `steer` pass knows it; with the place of each."""

    rank: tuple[float | None, Span]
    steps: tuple[float | None, Span]
    rate: tuple[float | None, Span]
    sampler_steps: tuple[float | None, Span]
    on: str


Numbers = list[tuple[float, Span]]


@dataclass(slots=True)
class Taken:
    """What the entries say in numbers, each with its place."""

    strengths: Numbers = field(default_factory=list)
    weights: Numbers = field(default_factory=list)
    batches: Numbers = field(default_factory=list)
    seeds: Numbers = field(default_factory=list)


Defaults = dict[str, float]
"""What a tool takes for what its configuration does not say, by the configuration's own words."""

DEFAULTS: Defaults = {"rank": 4, "alpha": 1, "iterations": 500, "lr": 1e-4, "max_denoising_steps": 50}
"""LECO's, https://github.com/p1atdev/LECO, config_util.py."""
EVERYWHERE = "full"
LAYERS = {
    EVERYWHERE: "denoiser",
    "xattn": '"*.attn2.*"',
    "xattn-strict": "text",
    "selfattn": '"*.attn1.*"',
    "noxattn": 'denoiser - "*.attn2.*"',
    "innoxattn": 'denoiser - "*.attn2.*"',
}
"""What `training_method` trains, as `steer on` says it. Layers of a UNet: LECO knows no other denoiser."""
WIDER = (EVERYWHERE, "noxattn", "innoxattn")
"""Of these, those that also train layers to which `steer` gives no adapter."""


def convert(source: Source, folder: str, report: Findings) -> Draft | None:
    """A recipe that erases what LECO's file erases, by a `steer` pass with LECO's settings."""
    draft = Draft("LECO", source, report)
    found = read(draft, folder, DEFAULTS)
    if found is None:
        return None
    entries, training = found
    taken = Taken()
    for entry in entries:
        action = entry.text("action") or "erase"
        if entry.has("target_class"):
            message = "a slider draws more of one side and less of the other; a recipe only erases: left out"
            draft.changed(message, entry.place("target_class"))
            entry.known(list(entry.nodes))
        elif action == "erase":
            erase(draft, entry, taken)
        elif action == "enhance":
            draft.changed("a recipe only erases: this entry enhances and is left out", entry.place("action"))
            entry.known(list(entry.nodes))
        else:
            report.error("TL131", f"LECO knows no action {shown(action)}", entry.place("action"))
    finish(draft, entries, taken)
    draft.templates["object"] = BARE
    draft.remarks.append("LECO works on each text as it stands. Without the line `templates` the usual wordings hold.")
    draft.remarks.append("LECO preserves nothing. Add `preserve` and a term `keep {}` to hold what is near.")
    draft.method = method(draft, "leco", training, taken, "")
    return draft


def read(draft: Draft, folder: str, defaults: Defaults) -> tuple[list[Fields], Training | None] | None:
    """The entries, and the training where the file is a configuration; None after an error."""
    source, report = draft.source, draft.report
    root = _load(source, report)
    if root is None:
        return None
    training = None
    if root.id == "mapping":
        config = Fields.of(root, source, "the configuration", report)
        if config.has("prompts_file"):
            prompts = _prompts(config, folder, report)
            training = _training(draft, config, defaults)
            root = None if prompts is None else _load(prompts, report)
            if prompts is None or root is None:
                return None
            source = prompts
    nodes, common = (_listed(root, source, report), root) if root.id == "mapping" else ((root, source), None)
    if nodes is None:
        return None
    entries = [Fields.of(node, source, "an entry", report) for node in items(nodes[0], source, "the file", report)]
    if common is not None:
        said = Fields.of(common, source, "the file", report).nodes
        for entry in entries:
            for key in COMMON:
                if key in said:
                    entry.nodes.setdefault(key, said[key])
    if not entries and not report.failed:
        report.error("TL131", "the list of prompts is empty", span_of(root, source))
    return None if report.failed else (entries, training)


def _load(source: Source, report: Findings) -> Any:
    from tracelang.importers import toml_file

    return toml_file.load(source, report) if toml_file.is_toml(source) else load(source, report)


def _listed(root: Any, source: Source, report: Findings) -> tuple[Any, Source] | None:
    """The list in a file of kohya's: `prompts`, `targets`, or the one entry that the file is; None, reported."""
    outer = Fields.of(root, source, "the file", report)
    if outer.has("slider"):
        outer = outer.block("slider")
    for key in ("prompts", "targets"):
        if outer.has(key):
            return outer.nodes[key], source
    if outer.has("target") or outer.has("target_class"):
        return type(root)("sequence", [root], root.start_mark, root.end_mark), source
    message = "neither a list of prompts nor a configuration with `prompts_file`"
    report.error("TL131", message, outer.span, help="give the file with `target: …` in it")
    return None


def erase(draft: Draft, entry: Fields, taken: Taken, *, relative_to_neutral: bool = False) -> bool:
    """Put one entry into the draft, and what it says in numbers into `taken`; whether it is not left out."""
    if not entry.has("target"):
        draft.report.error("TL131", "an entry without `target`", entry.span)
        return False
    target = entry.text("target")
    positive = entry.text("positive") if entry.has("positive") else target
    unconditional = entry.text("unconditional")
    neutral = entry.text("neutral") if entry.has("neutral") else unconditional
    strength = entry.number("guidance_scale", 1.0)
    multiplier = entry.number("multiplier", 1.0)
    away_from, key = (neutral, "neutral") if relative_to_neutral else (unconditional, "unconditional")
    if strength is None or not 0 <= strength < float("inf"):
        message = "a strength below 0 draws more of the concept: this entry is left out"
        draft.changed(message, entry.place("guidance_scale"))
        entry.known(list(entry.nodes))
        return False
    if multiplier is None or not multiplier > 0:
        message = "a `multiplier` below 0 makes the adapter draw more of the concept: this entry is left out"
        draft.changed(message, entry.place("multiplier"))
        entry.known(list(entry.nodes))
        return False
    if multiplier != 1:
        message = f"`multiplier` {multiplier:g} is the adapter's scale in training there; here it is 1"
        draft.changed(message, entry.place("multiplier"), of="multiplier")
    if positive != target and positive:
        draft.changed(
            f"only on the prompt {shown(target)} is {shown(positive)} erased there; here it is wherever it is drawn",
            entry.place("positive"),
            help=f"where only the two together shall go, write `erase {shown(target)} & {shown(positive)}`"
            if target and not _within(target, positive) and not _within(positive, target)
            else "",
            of="only on a prompt",
        )
    if away_from:
        message = f"the direction is taken from the empty prompt, not from {shown(away_from)}"
        draft.changed(message, entry.place(key), of="direction")
    draft.erase(positive or target, entry.place("positive" if positive else "target"), anchor=neutral)
    taken.strengths.append((strength, entry.place("guidance_scale")))
    for numbers, key, default in ((taken.weights, "weight", 1.0), (taken.batches, "batch_size", 1.0)):
        value = entry.number(key, default)
        numbers.append((default if value is None else value, entry.place(key)))
    seed = entry.number("seed")
    if seed is not None:
        taken.seeds.append((seed, entry.place("seed")))
    return True


def finish(draft: Draft, entries: list[Fields], taken: Taken) -> None:
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


def greatest(draft: Draft, what: str, numbers: Numbers) -> tuple[float, Span]:
    """One number for all concepts, the greatest; reported where they differ."""
    most = max(numbers, key=lambda one: one[0])
    if len({number for number, _ in numbers}) > 1:
        draft.changed(f"one {what} for all concepts: the greatest, {most[0]:g}", most[1])
    return most


def method(draft: Draft, name: str, training: Training | None, taken: Taken, terms: str) -> str:
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
    if taken.batches and (training is not None or any(size != 1 for size, _ in taken.batches)):
        settings.append(draft.setting("steer", "batch", *greatest(draft, "`batch_size`", taken.batches)))
    if taken.seeds:
        if len({seed for seed, _ in taken.seeds}) > 1:
            draft.changed(f"one seed for all concepts: the first, {taken.seeds[0][0]:g}", taken.seeds[0][1])
        settings.append(draft.setting("steer", "seed", *taken.seeds[0]))
    push = []
    if taken.strengths:
        push.append(draft.setting("steer", "strength", *greatest(draft, "strength", taken.strengths)))
        weight, place = greatest(draft, "`weight`", taken.weights)
        push += [draft.setting("steer", "weight", weight, place)] if weight != 1 else []
    lines = [f"define method {name} {{", f"  steer on {'text' if training is None else training.on} {{"]
    lines += [f"    {setting}" for setting in settings if setting]
    inside = "  ".join(filter(None, push))
    lines += [f"    push {{ {inside} }}" if inside else "    push {}"]
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

    rank, alpha = number(network, "rank"), number(network, "alpha")
    steps, lr, sampler_steps = (
        number(train, "iterations"),
        number(train, rate, "lr"),
        number(train, "max_denoising_steps"),
    )
    where = network.text("training_method") or EVERYWHERE
    said = network.has("training_method")
    if not said and draft.tool == "LECO":
        unsaid.append(f"training_method {EVERYWHERE}")
    if unsaid:
        draft.remarks.append(f"The configuration leaves to {draft.tool}'s defaults: {', '.join(unsaid)}.")
    scale = alpha[0] / rank[0] if alpha[0] and rank[0] else 1.0
    if scale != 1 and lr[0] is not None and scale > 0:
        draft.remarks.append(
            f"alpha / rank scales an adapter by {scale:.4g} there, by 1 here: `rate` is lr {lr[0]:g} times that."
        )
        lr = (lr[0] * scale, lr[1])
    elif scale != 1:
        draft.changed(f"alpha {alpha[0]:g} scales the adapter there; here its scale is 1", alpha[1])
    if where not in LAYERS:
        message = f"training_method {shown(where)} is not known: the recipe trains what reads the text"
        draft.changed(message, network.place("training_method"), did_you_mean(where, LAYERS))
    elif where in WIDER:
        what = f"training_method {shown(where)}" if said else draft.tool
        message = f"{what} trains convolutions and projections too; an adapter of `steer` does not"
        draft.changed(message, network.place("training_method"))
    found = Training(rank, steps, lr, sampler_steps, LAYERS.get(where, "text"))
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
    if name.lower().endswith(".csv"):
        help = "name the file with `target: …` in it"
        report.error("TL131", "a CSV of prompts says what to draw, not what to erase", place, help=help)
        return None
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
