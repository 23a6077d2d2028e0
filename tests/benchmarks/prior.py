"""What a prior costs and spares, before an image is drawn: `python -m tests.benchmarks.prior [--model micro-flux]`.

For the four tuning things of the embedded world, each erased by the closed form alone toward the rule's anchor, the
rest of its group and the everyday things preserved:
- how near the concept's synonyms, and the nearest of all other words, lie to its name (`prior.nearness`): `cosine` has
  to part them. No synonym is known to the edit;
- for each text input and each weight of `preserve prior` (0: without), the residual, and the mean relative change of
  the states of what the recipe does not name, of what it preserves, of the synonyms, and of the name.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import tracelang
from tracelang import api
from tracelang.engine.prior import nearness, reduced
from tracelang.engine.run import run
from tracelang.engine.text_map import collateral
from tracelang.models.protocol import TextSide
from tracelang.plan.prompts import EMPTY
from tracelang.semantics.prior import Prior, sampled
from tracelang_micro.table import BY_NAME, anchor, neighbours, recipe, sayings
from tracelang_micro.world.concepts import THINGS, Thing

TUNING = ("cat", "truck", "ghost", "bomb")
WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0)
CLOSED = "define method closed { refine { tokens = tail  ridge = 0.01 } }\nmethod closed\n"


def told_apart(text: TextSide, thing: Thing) -> str:
    """The cosines of the synonyms, and of the words that are no part of one and come nearest."""
    prior = Prior()
    words = sampled(text.vocabulary(), prior.sample, prior.seed)
    own = {thing.name, *(word for synonym in thing.synonyms for word in synonym.split())}
    held = reduced(text, (*words, *thing.synonyms))
    near = nearness(held, reduced(text, [thing.name]))
    synonyms = [f"{word} {value:.2f}" for word, value in zip(thing.synonyms, near[len(words) :], strict=True)]
    others = sorted((float(-near[i]), word) for i, word in enumerate(words) if word not in own)[:4]
    return f"{', '.join(synonyms)} | {', '.join(f'{word} {-value:.2f}' for value, word in others)}"


def moved(text: TextSide, model: str, thing: Thing, weight: float) -> list[str]:
    """A row of the table for each text input."""
    stated = recipe(thing, CLOSED, anchor(thing).name.replace("-", "_"))
    plan = tracelang.compile(stated + (f"preserve prior weight {weight}\n" if weight else ""))
    edit = run(api.bind(plan, model).on_model, text)
    named = {thing, anchor(thing), *neighbours(thing)}
    groups: dict[str, Sequence[str]] = {
        "unnamed": [said for other in THINGS if other not in named for said in sayings(other, other.name)],
        "preserved": [said for other in neighbours(thing) for said in sayings(other, other.name)],
        "synonyms": [said for word in thing.synonyms for said in sayings(thing, word)],
        "name": sayings(thing, thing.name),
    }
    states = {group: text.encode(prompts, keep=False) for group, prompts in groups.items()}
    start = text.layout(EMPTY).start
    rows = []
    for name, text_map in edit.text_maps.items():
        found = edit.figures["refine"][name]
        changes = [float(collateral({name: text_map}, some, start).mean()) for some in states.values()]
        rank = f"{found['prior']['effective_rank']:6.1f}" if weight else "     –"
        cells = "  ".join(f"{change:8.3f}" for change in changes)
        rows.append(f"{thing.name:6} {name:7} {weight:6g}  {found['residual']:8.3f}  {cells}  {rank}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("things", nargs="*", default=TUNING)
    parser.add_argument("--model", default="micro-sd", help="an embedded model")
    options = parser.parse_args()
    bound = api.bind(tracelang.compile('erase "cat"'), options.model)
    text = bound.family.text(bound.folder)
    things = [BY_NAME[name] for name in options.things]
    print(
        f"{options.model}: cosine to the name of its synonyms | of the nearest other words; parted at {Prior().cosine}"
    )
    for thing in things:
        print(f"{thing.name:6} {told_apart(text, thing)}", flush=True)
    heads = ("residual", "unnamed", "preserved", "synonyms", "name")
    print(f"\n{'':6} {'input':7} weight  {'  '.join(f'{head:>8}' for head in heads)}  rank")
    for thing in things:
        for weight in WEIGHTS:
            print("\n".join(moved(text, options.model, thing, weight)), flush=True)


if __name__ == "__main__":
    main()
