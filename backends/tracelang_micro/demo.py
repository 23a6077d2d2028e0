"""The end of `make demo`: one picture, before and after, and a small measured table.

`python -m tracelang_micro.demo OUT` looks at an edit of an embedded model that `tracec apply` wrote.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import tracelang
from tracelang.api import best_device
from tracelang.engine.sampling import sample
from tracelang.engine.seeds import seed
from tracelang.evidence import sheet
from tracelang.evidence.judges import load
from tracelang.models.locate import family_of, locate

from . import table
from .measure import answered
from .world.captions import with_article
from .world.concepts import Style

PER_ROW, SHOWN, STEPS = 10, 6, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="what `tracec apply` wrote")
    parser.add_argument("--picture", type=Path, help="default: OUT/report/before-after.png")
    options = parser.parse_args()
    plan = tracelang.load_plan(options.out / "plan.json")
    target = table.erased(plan)
    base = locate(json.loads((options.out / "lock.json").read_bytes())["model"]["name"])
    family, judge = family_of(base), load("micro")
    folders = {"before": base, "after": options.out / "model"}
    models = {name: family.load(folder, best_device(), "float32") for name, folder in folders.items()}

    asked = table.ask(target, PER_ROW, PER_ROW, 5, seed=2, everything=False)
    outcomes = {name: table.outcome(asked, answered(model, judge, asked, STEPS)) for name, model in models.items()}

    def strip(prompt: str) -> sheet.Strip:
        seeds = [seed("picture", prompt, i, 0) for i in range(SHOWN)]
        return sheet.Strip(
            prompt, {name: sample(model, [prompt] * SHOWN, seeds, steps=STEPS) for name, model in models.items()}
        )

    kept = table.neighbours(target)
    if isinstance(target, Style):
        title, erased = f"erased: {target.name}", table.drawn_in(target, kept[:: len(kept) // 4])[:4]
    else:
        title = f"erased: {target.name} (and words the edit never saw)"
        erased = [f"a picture of {with_article(target, word)}" for word in (target.name, *target.synonyms)]
    spread = [kept[i * len(kept) // len(erased)] for i in range(len(erased))]
    page = sheet.sheet(
        [
            (title, [strip(prompt) for prompt in erased]),
            ("kept", [strip(f"a picture of {with_article(thing, thing.name)}") for thing in spread]),
        ]
    )
    file = options.picture or options.out / "report" / "before-after.png"
    sheet.write(page, file)
    rows = {name: table.figures(outcomes["before"], after) for name, after in outcomes.items()}
    print(
        f"\nerase {target.name}: {len(asked)} pictures a row, {PER_ROW} per thing, percent; "
        "from kept on, change against the base in points"
    )
    print(table.render(rows))
    print(f"\n{PER_ROW} pictures per thing decide little; `make tables` measures with 100 and 50.")
    print(f"picture: {file}")


if __name__ == "__main__":
    main()
