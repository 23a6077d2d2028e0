"""MACE: its configuration (`multi_concept`, `mapping_concept`), or a CSV with a row for each concept."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import accumulate
from typing import Any

from tracelang.diagnostics import Findings, Source, Span
from tracelang.importers.draft import Draft, shown
from tracelang.importers.yaml_file import Fields, items, load, text_of

KINDS = {"object": "object", "style": "style"}

METHOD = [
    "learning_rate",
    "max_train_steps",
    "rank",
    "lora",
    "importance_sampling",
    "lamb",
    "use_pooler",
    "train_seperate",
    "all_words",
    "negative_guidance",
    "prior_loss_weight",
    "with_uncond_loss",
    "uncond_loss_weight",
]
"""Settings of MACE's own three stages."""

PRESERVED = ["train_preserve_scale", "fuse_preserve_scale", "preserve_weight"]
CACHES = ["prior_preservation_cache_path", "domain_preservation_cache_path"]

RUN = [
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "adam_weight_decay",
    "allow_tf32",
    "aug_length",
    "augment",
    "center_crop",
    "checkpointing_steps",
    "concept_keyword",
    "dataloader_num_workers",
    "enable_xformers_memory_efficient_attention",
    "final_save_path",
    "generate_data",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "grounded_checkpoint",
    "grounded_config",
    "hub_model_id",
    "hub_token",
    "input_data_dir",
    "instance_prompt",
    "local_rank",
    "logging_dir",
    "lr_num_cycles",
    "lr_power",
    "lr_scheduler",
    "lr_warmup_steps",
    "max_grad_norm",
    "max_memory",
    "mixed_precision",
    "no_real_image",
    "num_class_images",
    "num_train_epochs",
    "output_dir",
    "preserve_data_dir",
    "prior_generation_precision",
    "prompt_len",
    "push_to_hub",
    "report_to",
    "resolution",
    "resume_from_checkpoint",
    "revision",
    "sam_hq_checkpoint",
    "sample_batch_size",
    "scale_lr",
    "seed",
    "set_grads_to_none",
    "test_erased_model",
    "tokenizer_name",
    "train_batch_size",
    "train_text_encoder",
    "use_8bit_adam",
    "use_gpt",
    "use_gsam_mask",
    "use_sam_hq",
]
"""Where files lie, how the machine is used, how the training images are made."""

COLUMNS = {
    "concept": ("concept", "concepts", "name", "artist"),
    "anchor": ("mapping_concept", "mapping", "anchor"),
    "kind": ("type", "kind", "concept_type"),
}
GONE = ("erase", "erased", "forget", "forgotten", "remove", "removed", "unlearn", "unlearned")
KEPT = ("retain", "retained", "keep", "kept", "preserve", "preserved", "other", "others", "spare", "spared")
ROLES = {**dict.fromkeys(GONE, False), **dict.fromkeys(KEPT, True)}
"""What a cell says of its row: is the concept kept?"""
MEANT = {*ROLES, "anchor", "neutral", "guide", "role", "split", "action"}
"""Words in a column's name that say it decides what is erased."""
PICTURES = ("", "id", "prompt", "prompts", "text", "caption", "seed", "evaluation_seed", "sd_seed", "case_number")
"""Columns about the pictures that are drawn to look at the outcome."""

Row = tuple[str, str, str, Span, bool]
"""Concept, anchor, type, the place, and whether the concept is kept."""


def convert(source: Source, folder: str, report: Findings) -> Draft | None:
    """A recipe that erases MACE's concepts toward its mapping concepts, by the default method."""
    draft = Draft("MACE", source, report)
    for concept, anchor, kind, span, kept in _table(draft) if _is_table(source) else _configuration(draft):
        if kind not in KINDS:
            draft.changed(f"MACE knows no type {shown(kind)}: taken for an object", span)
        if kept:
            draft.preserve(concept, span, kind=KINDS.get(kind, "object"))
        else:
            draft.erase(concept, span, kind=KINDS.get(kind, "object"), anchor=anchor)
    if not draft.targets and not report.failed:
        report.error("TL131", "no concept to erase", Span(source, 0, 0), help="`multi_concept` lists them")
    if any(target.kind == "object" for target in draft.targets.values()):
        draft.remarks.append("MACE knows objects and styles only. For people the language has `kind identity`.")
    return draft


def _is_table(source: Source) -> bool:
    """By its name; by its first line where it comes from standard input."""
    if source.path.lower().endswith(".csv"):
        return True
    cells = [cell.strip().lower() for cell in source.text.partition("\n")[0].split(",")]
    return source.path == "<stdin>" and len(cells) > 1 and any(name in cells for name in COLUMNS["concept"])


def _configuration(draft: Draft) -> list[Row]:
    source, report = draft.source, draft.report
    root = load(source, report)
    if root is None:
        return []
    outer = Fields.of(root, source, "the file", report)
    if not outer.has("MACE"):
        if not report.failed:
            report.error("TL131", "no block `MACE`", outer.span, help="give MACE's own configuration, configs/…/*.yaml")
        return []
    fields = outer.block("MACE")
    concepts = [row for part in fields.items("multi_concept") for row in items(part, source, "`multi_concept`", report)]
    anchors = [text_of(node, source, "a mapping concept", report) for node in fields.items("mapping_concept")]
    if len(anchors) not in (0, len(concepts)):
        message = f"{len(concepts)} concepts, but {len(anchors)} mapping concepts"
        report.error("TL131", message, fields.place("mapping_concept"), help="one for each concept, in the same order")
        return []
    rows = []
    for node, anchor in zip(concepts, anchors or [""] * len(concepts), strict=True):
        parts = items(node, source, "a concept", report)
        if not 1 <= len(parts) <= 2:
            report.error("TL131", "a concept is written [name, type]", _span(node, source))
            continue
        name, *kind = (text_of(part, source, "a concept", report) for part in parts)
        if kind and kind[0].lower() in ROLES:
            message = f"{shown(kind[0])} is no type of a concept, and all of `multi_concept` is erased"
            report.error("TL131", message, _span(node, source), help="write [name, type]; `preserve_prompt` is kept")
            continue
        # Folders are named after concepts there, so `-` stands for a space.
        rows.append((name.replace("-", " "), anchor, kind[0] if kind else "object", _span(node, source), False))
    _preserved(draft, fields)
    _rest(draft, outer, fields)
    return rows


def _span(node: Any, source: Source) -> Span:
    return Span(source, node.start_mark.index, min(node.end_mark.index, len(source.text)))


def _preserved(draft: Draft, fields: Fields) -> None:
    if fields.truth("with_prior_preservation") and fields.has("preserve_prompt"):
        draft.preserve(fields.text("preserve_prompt"), fields.place("preserve_prompt"))
    elif fields.has("preserve_prompt"):
        draft.left_out("`preserve_prompt` without `with_prior_preservation`", fields.place("preserve_prompt"))
    fields.known(["with_prior_preservation", "preserve_prompt"])
    caches = [key for key in CACHES if fields.text(key).lower() not in ("", "false", "no", "off")]
    scales = fields.known(PRESERVED)
    if caches:
        message = f"what MACE preserves lies in files that no recipe reads: {', '.join([*caches, *scales])}"
        draft.changed(message, fields.place(caches[0]), help="name what shall stay with `preserve`, or with a `list`")
    elif scales:
        message = f"MACE's own weights of what it preserves; here that is 1: {', '.join(scales)}"
        draft.changed(message, fields.place(scales[0]), help="write `preserve … weight 2` for another")


def _rest(draft: Draft, outer: Fields, fields: Fields) -> None:
    if fields.has("pretrained_model_name_or_path"):
        model = fields.text("pretrained_model_name_or_path")
        draft.remarks.append(f"Made for the model {shown(model)}: `tracec apply --model` names it.")
    fields.known(["pretrained_model_name_or_path"])
    stages = fields.known(METHOD)
    if stages:
        message = f"MACE's own stages are not in this recipe, its method is the default: {', '.join(stages)}"
        draft.changed(message, fields.place(stages[0]))
    unused = fields.known(RUN)
    if unused:
        draft.left_out(f"files, machine and training images: {', '.join(unused)}", fields.place(unused[0]))
    for block in (outer, fields):
        for key, span, help in block.unknown():
            draft.changed(f"unknown key {shown(key)}", span, help)


def _table(draft: Draft) -> Iterator[Row]:
    """The rows of a CSV whose first row names the columns.

    A row is erased unless a cell of it says otherwise; what says neither is refused, never guessed.
    """
    source, report = draft.source, draft.report
    reader = csv.reader(StringIO(source.text, newline=""), strict=True)
    try:
        rows = [(number, row) for number, row in _numbered(reader) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        end = len(source.text)
        report.error("TL131", f"not a CSV (line {reader.line_num}): {error}", Span(source, end, end))
        return
    if not rows:
        report.error("TL131", "the file is empty", Span(source, 0, 0))
        return
    lines = source.text.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]

    def place(number: int) -> Span:
        return Span(source, starts[number - 1], starts[number - 1] + len(lines[number - 1].rstrip("\r")))

    first, body = rows[0], [(place(number), [cell.strip() for cell in row]) for number, row in rows[1:]]
    head = [cell.strip().lower() for cell in first[1]]
    columns = {what: next((head.index(name) for name in names if name in head), -1) for what, names in COLUMNS.items()}
    if columns["concept"] < 0:
        help = f"call it one of {', '.join(COLUMNS['concept'])}"
        if "prompt" in head:
            help += "; prompts to draw are no concepts: MACE's own are in its configuration, configs/…/*.yaml"
        report.error("TL131", "no column of concepts", place(first[0]), help=help)
        return
    names = {at for what, at in columns.items() if what != "kind"}
    roles = [
        at for at in range(len(head)) if at not in names and any(_cell(row, at).lower() in ROLES for _, row in body)
    ]
    used = {*columns.values(), *roles}
    _unused(draft, [name for at, name in enumerate(head) if at not in used], place(first[0]))
    unclear: dict[str, list[Span]] = {}
    kind_at = columns["kind"] if columns["kind"] not in roles else -1
    usual = "style" if head[columns["concept"]] == "artist" else "object"
    for span, row in body:
        words = {_cell(row, at).lower() for at in roles}
        kind = _cell(row, kind_at).lower() or usual
        wrong = next((word for word in words if word not in ROLES), None if kind in KINDS else kind)
        if any(row[len(head) :]):
            report.error("TL131", "more cells than columns", span, help="put a text with a comma in it in quotes")
        elif wrong is not None or len({ROLES[word] for word in words}) > 1:
            unclear.setdefault(" and ".join(sorted(words)) if wrong is None else wrong, []).append(span)
        else:
            kept = any(ROLES[word] for word in words)
            yield _cell(row, columns["concept"]), _cell(row, columns["anchor"]), kind, span, kept
    for word, spans in unclear.items():
        more = f" (and {len(spans) - 1} more rows)" if len(spans) > 1 else ""
        help = "write `erase` or `retain`, or in a file of what is erased `object` or `style`"
        report.error(
            "TL131", f"the type {shown(word)} does not say what becomes of the concept{more}", spans[0], help=help
        )


def _cell(row: list[str], at: int) -> str:
    return row[at] if 0 <= at < len(row) else ""


def _unused(draft: Draft, names: list[str], span: Span) -> None:
    """Report columns that nothing is made of. One whose name says that it decides what is erased is refused."""
    for name in names:
        if MEANT & set(re.split(r"[\W_]+", name)):
            help = "put `erase` or `retain` into a column `type`"
            draft.report.error(
                "TL131", f"the column {shown(name)} may say what is kept, in other words", span, help=help
            )
    pictures = [name for name in names if name in PICTURES]
    if any(pictures):
        draft.left_out(f"columns about pictures: {', '.join(filter(None, pictures))}", span)
    unknown = [shown(name) for name in names if name not in PICTURES]
    if unknown:
        draft.changed(f"unknown columns: {', '.join(unknown)}", span)


def _numbered(reader: Any) -> Iterable[tuple[int, list[str]]]:
    """Each row with the line that it starts in."""
    line = 1
    for row in reader:
        yield line, row
        line = reader.line_num + 1
