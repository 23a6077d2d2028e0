"""conceptmod: one line of rules, by itself or as `--phrase` (earlier `--prompt`) of its training script.

Rules stand between `|`, each with `:` and a weight or `key=value` behind it. `a--` erases, `a=b` makes what says a
draw b, `a~b` does so and more, `a#a` keeps a. The others strengthen, blend or part concepts, which no recipe does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tracelang.diagnostics import Findings, Source, Span
from tracelang.importers.draft import Draft, shown
from tracelang.importers.leco import LAYERS, Numbers, greatest
from tracelang.importers.shell import Word, readable

PHRASE = ("phrase", "prompt")
RANDOM = "{random_prompt}"
WHERE = LAYERS | {"attn": '"*.attn1.*", "*.attn2.*"'}
"""What `--train-method` trains, as `steer on` says it."""
DEFAULTS = {"iterations": "500", "lr": "1e-5", "train-method": "xattn", "stage": "both"}
"""The second version's, https://github.com/HyperGAN/conceptmod, train.py."""
SETTINGS = {
    "lora": "rank",
    "iterations": "steps",
    "lr": "rate",
    "seed": "seed",
    "sample-steps": "sampler_steps",
    "sample-guidance": "guidance",
    "start-guidance": "guidance",
    "ddim-steps": "sampler_steps",
}
"""Flags that a `steer` pass has; those of the first version have `_` for `-`."""
UNUSED = ["out", "device", "devices", "resolution", "image-size", "verify-prompt", "verify-seeds", "sample-prompt"]
UNUSED += [
    "encoder-iterations",
    "encoder-lr",
    "encoder-rank",
    "encoder-strength",
    "save-model",
    "accumulation-steps",
    "eval-every",
    "swap-stop",
    "hold-max",
    "min-steps",
    "backend",
]
LOST = {
    "++": "strengthens a concept",
    "%": "parts or blends two concepts",
    "^": "compares pictures of two prompts",
    ";": "rewards a concept",
    "=": "writes a concept into the empty prompt",
    "#": "pins a prompt to another one",
}
"""What the rules do that no recipe does."""


@dataclass(slots=True)
class Rules:
    """What the rules say in numbers, each with its place; `guidance` of `a--` where it says none."""

    guidance: float = 0.0
    strengths: Numbers = field(default_factory=list)
    weights: Numbers = field(default_factory=list)
    kept: Numbers = field(default_factory=list)


def convert(source: Source, folder: str, report: Findings) -> Draft | None:
    """A recipe that erases and preserves what the rules do, by a `steer` pass."""
    draft = Draft("conceptmod", source, report)
    flags = _flags(draft)
    if report.failed:
        return None
    rules = Rules(_guidance(draft, flags))
    phrases = [flags[name] for name in PHRASE if name in flags][:1]
    for text, span in phrases or _lines(source):
        for rule, place in _rules(text, span):
            _rule(draft, rule, place, rules)
    if not draft.targets and not report.failed:
        help = "`a--` erases, `a=b` makes what says a draw b"
        report.error("TL131", "no rule erases anything", Span(source, 0, 0), help=help)
    draft.templates["object"] = ("{}",)
    draft.remarks.append("The rules work on each text as it stands. Without `templates` the usual wordings hold.")
    draft.method = _method(draft, flags, rules)
    return draft


def _flags(draft: Draft) -> dict[str, tuple[str, Span]]:
    """The flags of the first command with a phrase, each with its value and place; none where there is no command."""
    source = draft.source
    if not re.search(r"--(phrase|prompt)\b", source.text):
        return {}
    found, unclosed = readable(source.text)
    for words in found:
        names = [word.text[2:].partition("=")[0] for word in words if word.text.startswith("--")]
        if any(name in PHRASE for name in names):
            return _values(draft, words)
    at = unclosed.at if unclosed else 0
    reason = "a quote is not closed" if unclosed else "no command with `--phrase`"
    draft.report.error("TL131", reason, Span(source, at, at + 1))
    return {}


def _values(draft: Draft, words: list[Word]) -> dict[str, tuple[str, Span]]:
    values: dict[str, tuple[str, Span]] = {}
    name = ""
    for word in words:
        span = Span(draft.source, word.start, word.end)
        if word.text.startswith("--") and (" " not in word.text or "=" in word.text.split(" ")[0]):
            name, _, value = word.text[2:].partition("=")
            name = name.replace("_", "-")
            values[name] = value, span
        elif name and not word.known:
            draft.report.error(
                "TL131", f"only a shell knows the value of `--{name}`", span, help="write the value itself"
            )
        elif name and not values[name][0]:
            values[name] = word.text, span
    return values


def _guidance(draft: Draft, flags: dict[str, tuple[str, Span]]) -> float:
    """How far `a--` goes past the empty prompt: not at all in the second version, once in the first."""
    for flag in ("erase-guidance", "negative-guidance"):
        if flag in flags:
            try:
                return float(flags[flag][0])
            except ValueError:
                draft.report.error("TL131", f"`--{flag}` has to be a number", flags[flag][1])
    return 1.0 if "prompt" in flags and "phrase" not in flags else 0.0


def _lines(source: Source) -> Iterator[tuple[str, Span]]:
    """A file of rules: every line of it."""
    start = 0
    for line in source.text.split("\n"):
        if line.strip():
            yield line, Span(source, start, start + len(line.rstrip()))
        start += len(line) + 1


def _rules(text: str, span: Span) -> Iterator[tuple[str, Span]]:
    """The rules of a phrase; their places where it stands in the file as it is."""
    whole = span.source.text[span.start : span.end]
    base = span.start + whole.find(text) if text in whole else None
    at = 0
    for rule in text.split("|"):
        start = at + len(rule) - len(rule.lstrip())
        if rule.strip() and rule.strip() != "@":
            place = span if base is None else Span(span.source, base + start, base + start + len(rule.strip()))
            yield rule.strip(), place
        at += len(rule) + 1


def _rule(draft: Draft, rule: str, span: Span, rules: Rules) -> None:
    body, *options = rule.replace("@", "").split(":")
    body = body.strip()
    weight, guidance = _options(draft, options, span)
    if RANDOM in body:
        draft.changed(f"a rule about random prompts is left out: {shown(rule)}", span, of="random")
        return
    if "~" in body:
        a, b = (part.strip() for part in body.split("~", 1))
        message = f"`~` also strengthens what comes instead and aligns the two, which no recipe does: {shown(rule)}"
        draft.changed(message, span, of="~")
        _gone(draft, a, b, 0.0 if guidance is None else guidance, 1.0, span, rules)
    elif "=" in body and all(part.strip() for part in body.split("=", 1)):
        a, b = (part.strip() for part in body.split("=", 1))
        _gone(draft, a, b, 0.0 if guidance is None else guidance, weight, span, rules)
    elif "#" in body and "=" not in body:
        a, b = (part.strip() for part in body.split("#", 1))
        if a != b:
            _lost(draft, "#", rule, span)
        elif a:  # the empty prompt is always preserved
            draft.preserve(a, span)
            rules.kept.append((weight, span))
    elif body.endswith("--"):
        _gone(draft, body[:-2].strip(), "", rules.guidance if guidance is None else guidance, weight, span, rules)
    else:
        sign = next((sign for sign in ("=", "^", ";", "++", "%") if sign in body), "")
        if not sign:
            draft.report.error("TL131", f"no rule of conceptmod: {shown(rule)}", span, help="`a--`, `a=b`, `a#a`")
            return
        _lost(draft, sign, rule, span)


def _lost(draft: Draft, sign: str, rule: str, span: Span) -> None:
    draft.changed(f"a rule that {LOST[sign]} is left out: {shown(rule)}", span, of=sign)


def _gone(draft: Draft, a: str, b: str, strength: float, weight: float, span: Span, rules: Rules) -> None:
    if weight <= 0 or strength < 0:
        draft.changed(f"a weight that is not above 0 erases nothing: {shown(a)} is left out", span, of="weight")
        return
    draft.erase(a, span, anchor=b)
    rules.strengths.append((strength, span))
    rules.weights.append((weight, span))


def _options(draft: Draft, options: list[str], span: Span) -> tuple[float, float | None]:
    """The weight of a rule, and its guidance where it has one."""
    weight, guidance = 1.0, None
    for option in filter(None, (option.strip() for option in options)):
        name, equals, value = option.partition("=")
        try:
            number = float(value if equals else name.replace("--", "-"))
        except ValueError:
            draft.report.error(
                "TL131", f"{shown(option)} is no option of a rule", span, help="a weight, or `guidance=1`"
            )
            continue
        if not equals:
            weight = number
        elif name.strip() == "guidance":
            guidance = number
        else:
            draft.changed(f"the option {shown(name.strip())} of a rule has no place in a recipe", span)
    return weight, guidance


def _method(draft: Draft, flags: dict[str, tuple[str, Span]], rules: Rules) -> str:
    settings, on = [], "text"
    if "phrase" in flags and (unsaid := [name for name in DEFAULTS if name not in flags]):
        flags = flags | {name: (DEFAULTS[name], flags["phrase"][1]) for name in unsaid}
        draft.remarks.append(
            f"The command leaves to the script: {', '.join(f'{one} {DEFAULTS[one]}' for one in unsaid)}."
        )
    for flag, name in SETTINGS.items():
        if flag in flags:
            text, span = flags[flag]
            try:
                settings.append(draft.setting("steer", name, float(text), span))
            except ValueError:
                draft.report.error("TL131", f"`--{flag}` has to be a number", span)
    if "train-method" in flags:
        where, span = flags["train-method"]
        if where in WHERE:
            on = WHERE[where]
        else:
            draft.changed(f"the way {shown(where)} to train is not known: the recipe trains what reads the text", span)
    if "stage" in flags and flags["stage"][0] != "model":
        draft.changed("the text encoder is trained there too; a recipe leaves it as it is", flags["stage"][1])
    if "model-id" in flags:
        draft.remarks.append(f"Made for the model {shown(flags['model-id'][0])}: `tracec apply --model` names it.")
    if "lora" not in flags and flags:
        draft.remarks.append("Without `--lora` the script trains whole weights; a recipe trains adapters.")
    unused = [name for name in UNUSED if name in flags]
    if unused:
        draft.left_out(f"machine, files and pictures: --{', --'.join(unused)}", flags[unused[0]][1])
    known = {*PHRASE, *SETTINGS, *UNUSED, "train-method", "stage", "model-id", "erase-guidance", "negative-guidance"}
    for name in (name for name in flags if name not in known):
        draft.changed(f"unknown flag {shown(f'--{name}')}", flags[name][1])
    push = []
    if rules.strengths:
        push.append(draft.setting("steer", "strength", *greatest(draft, "strength", rules.strengths)))
        weight, place = greatest(draft, "weight", rules.weights)
        push += [draft.setting("steer", "weight", weight, place)] if weight != 1 else []
    lines = ["define method conceptmod {", f"  steer on {on} {{", *(f"    {one}" for one in settings if one)]
    lines += [f"    push {{ {'  '.join(filter(None, push))} }}"]
    if rules.kept:
        keep = draft.setting("steer", "weight", *greatest(draft, "weight of what is kept", rules.kept), term="keep")
        lines += [f"    keep {{ {keep} }}" if keep else "    keep {}"]
    lines += ["  }", *(["  fuse {}"] if len(draft.targets) > 1 else []), "}", "", "method conceptmod"]
    return "\n".join(lines)
