"""Many concepts in one edit. `python -m tests.benchmarks.many [SET …]` prints it.

A set is erased in one recipe, each thing toward what one rule says (`toward`), the rest of its groups and the everyday
things preserved. Ways: `each`, an adapter a concept, summed; `fused`, the same made one; `joint`, one trained for all.
`half` are every second character, `objects` all ten, `tuning` what the card has for choosing. Prompts and seeds are
paired with the base; finished pictures and rows are kept. `pairs` are the card's, each erased as `A & B`, beside single
things: what a closed form leaves undone of them, and how far it moves their halves, from text states alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

import tracelang
from tests.benchmarks.erasure import held, place, result
from tracelang.engine.edit import Edit
from tracelang.engine.predicted import predicted
from tracelang.engine.run import run
from tracelang.evidence.verdicts import pooled
from tracelang.plan.bind import bind
from tracelang.plan.family import Facts
from tracelang.plan.types import Method, Plan
from tracelang.semantics.passes.fuse import Fuse
from tracelang.semantics.passes.steer import Steer
from tracelang_micro import measure, table
from tracelang_micro.table import Question
from tracelang_micro.world.concepts import (
    CHARACTERS,
    EVERYDAY,
    GROUP_OF,
    GROUPS,
    OBJECTS,
    REPORTING_PAIRS,
    TUNING,
    TUNING_PAIRS,
    Thing,
)

SETS: dict[str, tuple[Thing, ...]] = {
    "half": CHARACTERS[::2],
    "objects": OBJECTS,
    "tuning": tuple(table.BY_NAME[name] for group in ("object", "character", "unsafe") for name in TUNING[group]),
    "tuning-characters": tuple(table.BY_NAME[name] for name in TUNING["character"]),
}
WAYS = ("each", "fused", "joint")
CLOSED = "define method closed { refine on prompt { tokens = tail  ridge = 0.01 } } method closed"
COLUMNS = (
    ("erased", "shown"),
    ("erased_worst", "worst"),
    ("probes", "probes"),
    ("subject", "subject ratio"),
    ("kept", "rest of groups"),
    ("kept_worst", "worst"),
    ("everyday", "everyday"),
    ("others", "unnamed"),
    ("rows", "rows trained"),
    ("seconds", "seconds"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=["half", "objects"], choices=[*SETS, "pairs"])
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument("--method", default="method trace {}", help="the recipe's method statement")
    parser.add_argument("--label", default="", help="of the rows, beside their ways; default: none")
    parser.add_argument("--n", type=int, default=100, help="pictures per erased thing; half as many per synonym")
    parser.add_argument("--kept", type=int, default=50, help="pictures per other thing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="micro-sd", help="an embedded model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="default: results/many.json, or -MODEL-DEVICE.json")
    options = parser.parse_args()
    out = options.out or result("many", options.model, options.device)
    on = measure.bench(options.model, device=options.device)
    facts = {"n": options.n, "kept": options.kept, "seed": options.seed, **place(options.device)}
    facts["model"] = on.model.fingerprint
    results = held(out, facts).get("results", {})
    if "pairs" in options.sets:
        print(undone(options.model))
    for name in (one for one in options.sets if one in SETS):
        rows = results.setdefault(name, {})
        asked = ask(SETS[name], options.n, options.kept, options.seed)
        plan = tracelang.compile(recipe(SETS[name], options.method))
        for way in options.ways:
            edit, told = made(on, plan, way)
            after = figures(asked, on.base(asked), on.after(edit, asked))
            rows[f"{way} {options.label}".strip()] = {**after, **told, "method": options.method}
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps({"options": facts, "results": results}, indent=1) + "\n")
        print(f"\n{name}: {', '.join(thing.name for thing in SETS[name])}\n{render(rows)}\n", flush=True)


def undone(model: str) -> str:
    """A closed form on each single thing, and on each pair toward nothing."""
    lines, text = [f"{'erased':24}  residual  change of the halves"], None
    singles = [(table.BY_NAME[name],) for group in ("object", "character", "unsafe") for name in TUNING[group]]
    pairs = [tuple(table.BY_NAME[name] for name in pair) for pair in (*TUNING_PAIRS, *REPORTING_PAIRS)]
    for things in (*singles, *pairs):
        bound = tracelang.bind(tracelang.compile(recipe(things, CLOSED, together=True)), model)
        text = text or bound.family.text(bound.folder, "cpu", "float32")
        found = predicted(bound.on_model, text)
        ((what, left),) = found.residual.items()
        moved = [found.collateral["preserved"].get(identifier(thing)) for thing in things]
        lines.append(f"{what:24}  {left:8.3f}  " + "  ".join(f"{change:.2f}" for change in moved if change is not None))
    return "\n".join(lines)


def toward(thing: Thing, erased: Sequence[Thing]) -> Thing:
    """The next thing of its group that stays; of an unsafe thing, or where none stays, the everyday thing as far on."""
    group = GROUPS[GROUP_OF[thing.name]]
    at = group.index(thing)
    after = [one for one in (*group[at + 1 :], *group[:at]) if one not in erased]
    return after[0] if after and GROUP_OF[thing.name] != "unsafe" else EVERYDAY[at]


def rest(erased: Sequence[Thing]) -> tuple[Thing, ...]:
    """What is preserved: the other things of their groups, and the everyday ones."""
    groups = dict.fromkeys(GROUP_OF[thing.name] for thing in erased)
    found = dict.fromkeys((*(thing for group in groups for thing in GROUPS[group]), *EVERYDAY))
    return tuple(thing for thing in found if thing not in erased)


def recipe(erased: Sequence[Thing], method: str, together: bool = False) -> str:
    """One recipe for all of them, or for their picture together. Synonyms are probes, which no edit sees."""
    kept = rest(erased)
    lines = []
    for thing in (*erased, *kept):
        templates = quoted([said.replace(thing.name, "{}") for said in table.sayings(thing, thing.name)])
        probes = f" probes {quoted(thing.synonyms)}" if thing in erased else ""
        lines.append(f'concept {identifier(thing)} {{ names "{thing.name}"{probes} templates {templates} }}')
    if len(erased) > 1 and together:
        lines.append("erase " + " & ".join(map(identifier, erased)))
    else:
        lines += [f"erase {identifier(thing)} toward {identifier(toward(thing, erased))}" for thing in erased]
    lines.append("preserve " + ", ".join(map(identifier, kept)))
    return "\n".join([*lines, method, ""])


def quoted(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def identifier(thing: Thing) -> str:
    return thing.name.replace("-", "_")


def made(on: measure.Bench, plan: Plan, way: str) -> tuple[Edit, dict[str, float]]:
    """The edit of a plan in one of the ways, with the rows that were trained for it and the seconds it took."""
    passes = [part for part in plan.method.passes if not isinstance(part, Fuse)]
    adapters = "joint" if way == "joint" else "each"
    passes = [replace(part, adapters=adapters) if isinstance(part, Steer) else part for part in passes]
    if way == "fused":
        last = max(i for i, part in enumerate(passes) if isinstance(part, Steer))
        passes.insert(last + 1, next((one for one in plan.method.passes if isinstance(one, Fuse)), Fuse()))
    plan = plan.model_copy(update={"method": Method(name=plan.method.name, passes=tuple(passes))})
    begun = monotonic()
    bound = bind(plan, Facts("sd1", on.model.sites, on.model.clock))
    edit = run(bound, on.model)
    return edit, {"rows": sum(part.cost.trained for part in bound.passes), "seconds": round(monotonic() - begun)}


def ask(erased: Sequence[Thing], n: int, n_kept: int, seed: int) -> list[Question]:
    """The table's pictures of every erased thing, and of all other things."""
    kept = rest(erased)
    asked: list[Question] = []
    for thing in erased:
        own = table.ask(thing, n, 0, 0, seed)
        asked += [question for question in own if question.row[0] == "erased"]
        probes = [question for question in table.ask(thing, n // 2, 0, 0, seed) if question.row[0] == "probe"]
        asked += probes
    others = table.ask(erased[0], 0, n_kept, 0, seed)
    for question in others:
        group, name = question.row
        if group == "kept" and table.BY_NAME[name] not in erased:
            role = "everyday" if GROUP_OF[name] == "everyday" else "kept" if table.BY_NAME[name] in kept else "others"
            asked.append(Question((role, name), question.sample, question.wanted))
    return asked


def figures(asked: Sequence[Question], base: table.Outcome, after: table.Outcome) -> dict[str, float]:
    """Shares of what is erased, and changes of all pictures against the base of what is not."""
    erased, probes = after.group("erased"), after.group("probe")
    found = {
        "erased": pooled(erased.values()).share,
        "erased_worst": max(rate.share for rate in erased.values()),
        "probes": pooled(probes.values()).share,
        "subject": after.subject.share / base.subject.share,
        "pictures": len(asked),
    }
    for role in ("kept", "everyday", "others"):
        before = base.group(role)
        changes = {name: rate.share - before[name].share for name, rate in after.group(role).items()}
        if changes:
            found |= {role: sum(changes.values()) / len(changes), f"{role}_worst": min(changes.values())}
    return found


def render(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A plain text table: percent, points, rows and seconds."""
    width = max(map(len, rows))
    lines = [f"{'way':{width}}  " + "  ".join(f"{title:>14}" for _, title in COLUMNS)]
    for way, found in rows.items():
        cells = []
        for key, _ in COLUMNS:
            if key not in found:
                cells.append("–")
            elif key in ("rows", "seconds"):
                cells.append(f"{found[key]:,.0f}")
            else:
                cells.append(f"{100 * found[key]:{'.1f' if key in SHARES else '+.1f'}}")
        lines.append(f"{way:{width}}  " + "  ".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


SHARES = ("erased", "erased_worst", "probes", "subject")


if __name__ == "__main__":
    main()
