"""The model card, `OUT/README.md`, with the hub's front matter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

from tracelang.plan.types import Erasure, Member, Plan
from tracelang.text import code, fenced, joined, line, markdown

CARD = Template("""\
---
$front
---

# $title

An edit of $base by tracelang. It is meant to no longer draw

$erased

and to draw everything else as before$kept.

| | |
|---|---|
| recipe | `recipe/`, compiled to `plan.json` |
| plan digest | `$digest` |
| method | $method |
$against| edited matrices | $edited |
| base weights | `$fingerprint` |

$files

$results## Limits

$limits
- Erasure lowers how often a concept appears. It is no proof that no prompt, seed or fine-tuning brings it back.
- A LoRA file can be unloaded or scaled to zero. Deploy the edited checkpoint. Use the adapter to review and compose.
- The base model's licence and its limits hold here too.

## Recipe

$recipe
""")
UNMEASURED = """\
- What this model can and cannot still draw was not measured by the step that wrote this card. `tracec verify` does
  that and writes `report/`. Without a report, assume nothing."""


def metadata(base: str, relation: str) -> dict[str, Any]:
    """The front matter. `base` is named there where it is a hub id; `relation` is what the output is to it."""
    known = {"base_model": line(base)} if "/" in base else {}
    return known | {
        "base_model_relation": relation,
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["tracelang", "concept-erasure"],
    }


def card(
    plan: Plan,
    sources: Mapping[str, bytes],
    *,
    base: str,
    fingerprint: str,
    edited: int,
    relation: str = "finetune",
    files: Sequence[str] = (),
    front: str | None = None,
    results: str = "",
    limits: str = UNMEASURED,
    remarks: Sequence[str] = (),
) -> str:
    """The card as Markdown. `base` is a hub id or a folder's name; `edited` counts matrices. `files` say what the
    output holds and how it is used, in Markdown, `remarks` what is not in it as in the base.

    A verified output passes `front` (YAML, in place of `metadata`), a section of `results`, and `limits` as a list.
    """
    if front is None:
        told = metadata(base, relation)
        front = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in told.items())
    prior = (f"{len(p.prompts):,} prompts" if p.prompts else "the text encoders' vocabulary" for p in plan.prior)
    weighed = ", ".join([*(named(p.concepts) for p in plan.preserve), *prior])
    return CARD.substitute(
        front=front,
        results=results and f"{results.rstrip()}\n\n",
        limits=limits,
        title=markdown(plan.recipe.name or base),
        base=code(base),
        erased="\n".join(_line(plan, erasure) for erasure in plan.erase),
        kept=f", in particular {weighed}" if weighed else "",
        digest=plan.digest,
        method=code(plan.method.name).replace("|", r"\|"),
        against=f"| trained against | {', '.join(map(code, plan.trained_against))} |\n" if plan.trained_against else "",
        edited=edited or "none: the recipe asks for nothing here, the weights are the base's",
        fingerprint=fingerprint,
        files="\n\n".join([*files, *(f"Note: {markdown(text)}." for text in remarks)]),
        recipe="\n\n".join(_source(path, text) for path, text in sources.items()),
    )


def _line(plan: Plan, erasure: Erasure) -> str:
    names = sorted({name for target in erasure.targets for name in plan.concept(target).names})
    toward = "away from it" if erasure.away else f"toward {named(erasure.anchor)}" if erasure.anchor else "no anchor"
    words = f" ({', '.join(map(markdown, names))})" if names != list(erasure.targets) else ""
    return f"- {named(erasure.targets)}{words}: {toward}, degree {erasure.degree:.0%}"


def named(member: Member) -> str:
    """A member of a set as Markdown."""
    return joined(map(markdown, member))


def _source(path: str, text: bytes) -> str:
    return f"{code(path)}\n\n{fenced(text.decode(errors='replace'), 'erase')}"
