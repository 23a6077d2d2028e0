"""MACE: its configuration (`multi_concept`, `mapping_concept`), or a CSV of concepts or of their prompts.

The configuration by which ANT fuses its adapters has the same keys under its own name. The CSVs are those of MACE and
SPEED, and any other that says of each row what becomes of it.
"""

from __future__ import annotations

from typing import Any

from tracelang.diagnostics import Findings, Source, Span
from tracelang.importers.draft import Draft, shown
from tracelang.importers.table import KINDS, ROLES, Row, is_table, rows
from tracelang.importers.yaml_file import Fields, items, load, text_of

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
    "lora_path",
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


def convert(source: Source, folder: str, report: Findings) -> Draft | None:
    """A recipe that erases MACE's concepts toward its mapping concepts, by the default method; ANT's by its own."""
    draft = Draft("MACE", source, report)
    for concept, anchor, kind, span, kept in rows(draft) if is_table(source) else _configuration(draft):
        if kind not in KINDS:
            draft.changed(f"MACE knows no type {shown(kind)}: taken for an object", span, of="no type")
        if kept:
            draft.preserve(concept, span, kind=KINDS.get(kind, "object"))
        else:
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
    tool = next((tool for tool in METHODS if outer.has(tool)), None)
    if tool is None:
        if not report.failed:
            help = "give MACE's own configuration, configs/…/*.yaml, or ANT's, which is like it"
            report.error("TL131", "no block `MACE`", outer.span, help=help)
        return []
    draft.origin = tool
    fields = outer.block(tool)
    concepts = [row for part in fields.items("multi_concept") for row in items(part, source, "`multi_concept`", report)]
    anchors = [text_of(node, source, "a mapping concept", report) for node in fields.items("mapping_concept")]
    if len(anchors) not in (0, len(concepts)):
        message = f"{len(concepts)} concepts, but {len(anchors)} mapping concepts"
        report.error("TL131", message, fields.place("mapping_concept"), help="one for each concept, in the same order")
        return []
    found = []
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
        found.append((name.replace("-", " "), anchor, kind[0] if kind else "object", _span(node, source), False))
    _preserved(draft, fields)
    draft.method = METHODS[tool]
    _rest(draft, outer, fields)
    return found


METHODS = {"MACE": "", "ANT": "method ant"}
"""By whose configuration it is; the default where there is none. The method `mace` is there to be chosen."""


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
        method = "`ant` with its own settings" if draft.method else "the default"
        message = f"{draft.origin}'s own stages are not in this recipe, its method is {method}: {', '.join(stages)}"
        draft.changed(message, fields.place(stages[0]))
    unused = fields.known(RUN)
    if unused:
        draft.left_out(f"files, machine and training images: {', '.join(unused)}", fields.place(unused[0]))
    for block in (outer, fields):
        for key, span, help in block.unknown():
            draft.changed(f"unknown key {shown(key)}", span, help)
