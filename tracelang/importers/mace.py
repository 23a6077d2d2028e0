"""MACE: its configuration (`multi_concept`, `mapping_concept`), or a CSV with a row for each concept."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO
from itertools import accumulate
from typing import Any

from tracelang.diagnostics import Report, Source, Span
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
    "concept": ("concept", "concepts", "name"),
    "anchor": ("mapping_concept", "mapping", "anchor"),
    "kind": ("type", "kind", "concept_type"),
}

Row = tuple[str, str, str, Span]
"""Concept, anchor, type and the place."""


def convert(source: Source, folder: str, report: Report) -> Draft | None:
    """A recipe that erases MACE's concepts toward its mapping concepts, by the default method."""
    draft = Draft("MACE", source, report)
    rows = _table(source, report) if source.path.lower().endswith(".csv") else _configuration(draft)
    for concept, anchor, kind, span in rows:
        if kind not in KINDS:
            draft.changed(f"MACE knows no type {shown(kind)}: taken for an object", span)
        draft.erase(concept, span, kind=KINDS.get(kind, "object"), anchor=anchor)
    if not draft.targets and not report.failed:
        report.error("TL131", "no concept to erase", Span(source, 0, 0), help="`multi_concept` lists them")
    if any(target.kind == "object" for target in draft.targets.values()):
        draft.remarks.append("MACE knows objects and styles only. For people the language has `kind identity`.")
    return draft


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
        # Folders are named after concepts there, so `-` stands for a space.
        rows.append((name.replace("-", " "), anchor, kind[0] if kind else "object", _span(node, source)))
    _preserved(draft, fields)
    _rest(draft, outer, fields)
    return rows


def _span(node: Any, source: Source) -> Span:
    return Span(source, node.start_mark.index, min(node.end_mark.index, len(source.text)))


def _preserved(draft: Draft, fields: Fields) -> None:
    if fields.truth("with_prior_preservation") and fields.has("preserve_prompt"):
        draft.preserve(fields.text("preserve_prompt"), fields.place("preserve_prompt"))
    fields.known(["with_prior_preservation", "preserve_prompt"])
    caches = [key for key in CACHES if fields.text(key).lower() not in ("", "false", "no", "off")]
    scales = fields.known(PRESERVED)
    if caches:
        message = f"what MACE preserves lies in files that no recipe reads: {', '.join([*caches, *scales])}"
        draft.changed(message, fields.place(caches[0]), help="name what shall stay with `preserve`, or with a `list`")


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


def _table(source: Source, report: Report) -> list[Row]:
    """The rows of a CSV whose first row names the columns."""
    reader = csv.reader(StringIO(source.text, newline=""), strict=True)
    try:
        rows = [(number, row) for number, row in _numbered(reader) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        end = len(source.text)
        report.error("TL131", f"not a CSV (line {reader.line_num}): {error}", Span(source, end, end))
        return []
    if not rows:
        report.error("TL131", "the file is empty", Span(source, 0, 0))
        return []
    lines = source.text.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]

    def place(number: int) -> Span:
        return Span(source, starts[number - 1], starts[number - 1] + len(lines[number - 1].rstrip("\r")))

    head = [cell.strip().lower() for cell in rows[0][1]]
    columns = {what: next((head.index(name) for name in names if name in head), -1) for what, names in COLUMNS.items()}
    if columns["concept"] < 0:
        help = f"call it one of {', '.join(COLUMNS['concept'])}"
        report.error("TL131", "no column of concepts", place(rows[0][0]), help=help)
        return []

    def cell(row: list[str], what: str) -> str:
        at = columns[what]
        return row[at].strip() if 0 <= at < len(row) else ""

    return [
        (cell(row, "concept"), cell(row, "anchor"), cell(row, "kind") or "object", place(number))
        for number, row in rows[1:]
    ]


def _numbered(reader: Any) -> Iterable[tuple[int, list[str]]]:
    """Each row with the line that it starts in."""
    line = 1
    for row in reader:
        yield line, row
        line = reader.line_num + 1
