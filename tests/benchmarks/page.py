"""The page of results: `python -m tests.benchmarks.page [--check]` writes `docs/results.md`.

Every figure on the page is read from a file in `results`, which the benchmarks `erasure` and `windows` write; the words
between the tables hold none. `--check` writes nothing and exits with 1 where the page says anything else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import tracelang
from tests.benchmarks.erasure import RESULTS
from tracelang.models.weights import fingerprint
from tracelang_micro import micro_flux, micro_sd
from tracelang_micro.table import BY_NAME, anchor

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "results.md"
PLOTS = "../tests/benchmarks/results"
TRACE, CLOSED, FINE = "trace", "closed form alone", "fine-tuning alone"
SHIPPED, NONE = "shipped", "no window"
ALONE = "windows-fine-tuning-alone"
COMPARED = (ALONE, f"{ALONE}-loss-prediction", f"{ALONE}-gate")

Cells = list[str]
Figures = dict[str, Any]
Column = tuple[str, Callable[[Figures, Figures], str]]


def share(value: float | None) -> str:
    """In percent; a dash where nothing was asked."""
    return "–" if value is None else f"{round(100 * value, 1):g}"


def change(value: float) -> str:
    """In points, with its sign."""
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def interval(row: Figures) -> str:
    low, high = (round(100 * row[f"erased_{end}"]) for end in ("low", "high"))
    return f"{share(row['erased'])} ({low}–{high})"


def worst(row: Figures) -> str:
    points = round(100 * row["kept_worst"])
    return f"{points:+d} {row['kept_worst_row']}".replace("-", "−") if points else "0"


BEFORE: Column = ("before", lambda base, row: share(base["erased"]))
AFTER: Column = ("after (95 %)", lambda base, row: interval(row))
SYNONYM: Column = ("worst synonym", lambda base, row: share(row.get("probes")))
SUBJECT: Column = ("still a thing", lambda base, row: share(row["subject"]))
PLACED: Column = ("on the asked ground", lambda base, row: share(row["placed"]))
KEPT: Column = ("kept", lambda base, row: change(row["kept_change"]))
WORST: Column = ("worst kept", lambda base, row: worst(row))
STYLES: Column = ("styles", lambda base, row: change(row["style_change"]))
GROUNDS: Column = ("grounds", lambda base, row: change(row["background_change"]))
PICTURES: Column = ("pictures", lambda base, row: f"{row['pictures']:,}")
ALL = (BEFORE, AFTER, SYNONYM, SUBJECT, PLACED, KEPT, WORST, STYLES, GROUNDS, PICTURES)


def held(name: str) -> Figures:
    """A result file: what was asked for under `options`, and the rows."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def table(head: Sequence[str], rows: Sequence[Cells]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n"


@cache
def shipped() -> frozenset[str]:
    """The fingerprints of the embedded models as they are now."""
    return frozenset(fingerprint(folder()) for folder in (micro_sd, micro_flux))


def asked(name: str) -> str:
    """The line that says where a table's figures come from and how they were measured, also where on none of today's
    models.
    """
    options = held(name)["options"]
    facts = [
        options.get("device", "a CPU"),
        f"`{options['method']}`",
        f"seed {options['seed']}",
        f"{options['n']} pictures for each erased prompt and synonym",
        *([f"{options['kept']} for each kept thing"] if "kept" in options else []),
        *([] if options["model"] in shipped() else ["**on an earlier edition of the model**"]),
    ]
    return f"`{name}.json`: {', '.join(facts)}.\n"


def told(thing: str) -> str:
    """What became what: a thing by the benchmark's rule for anchors, a recipe's first statement as it is."""
    if not thing.endswith(".erase"):
        return f"{thing} → {anchor(BY_NAME[thing]).name}"
    plan = tracelang.compile(ROOT / thing)
    first = plan.erase[0]
    assert first.anchor is not None
    words = " → ".join(plan.concept(name).names[0] for name in (first.targets[0], first.anchor[0]))
    return f"[{Path(thing).stem}](../{thing}): {words}"


def erased(name: str, stages: Sequence[str], columns: Sequence[Column]) -> str:
    """One row for each thing and stage; the stage stands there where several do."""
    rows = []
    for thing, found in held(name)["results"].items():
        for stage in stages:
            if stage in found:
                named = [told(thing), *([stage] if len(stages) > 1 else [])]
                rows.append([*named, *(cell(found["base"], found[stage]) for _, cell in columns)])
    head = ["erased", *(["stage"] if len(stages) > 1 else []), *(title for title, _ in columns)]
    return table(head, rows)


def window(label: str) -> tuple[str, str]:
    """Where `push` acts, and whether `hold` acts before it."""
    if label == NONE:
        return "0 %..100 %, no window", "–"
    span, _, hold = label.removeprefix(f"{SHIPPED} ").partition(", ")
    span = span.replace("%", " %")
    if label.startswith(SHIPPED):
        span = f"{span}, {SHIPPED}" if hold else f"**{span}, {SHIPPED}**"
    return span, "no" if hold else "yes"


def groups(rows: Figures) -> Iterator[tuple[list[str], list[str]]]:
    """Things and the windows measured for all of them; then each thing for which more windows were."""
    shared = [label for label in next(iter(rows.values())) if all(label in found for found in rows.values())]
    yield list(rows), shared
    for thing, found in rows.items():
        if len(found) > len(shared):
            yield [thing], list(found)


def windows(name: str) -> str:
    """Means over the things: the rates, how far preserved pictures move, and how far their predictions do."""
    rows, lines = held(name)["rows"], []
    for things, labels in groups(rows):
        for label in labels:
            found = [rows[thing][label] for thing in things]
            average = {
                key: mean(row["figures"][key] for row in found)
                for key in ("erased", "probes", "subject", "kept_change")
            }
            moved = mean(row["moved"]["preserved"] for row in found) if all("moved" in row for row in found) else None
            predictions = mean(mean(row["change"]["adapter"]["preserved"]) for row in found)
            lines.append(
                [
                    ", ".join(sorted(things)),
                    *window(label),
                    *(share(average[key]) for key in ("erased", "probes", "subject")),
                    change(average["kept_change"]),
                    "–" if moved is None else f"{moved:.4f}",
                    f"{predictions:.4f}",
                ]
            )
    head = "erased", "`push` acts in", "`hold` before it", "after", "worst synonym", "still a thing", "kept"
    return table([*head, "pictures move", "predictions move"], lines)


def lost(names: Sequence[str]) -> str:
    """Pictures lost (with a minus: gained) without a window and with the shipped one, a line for each file."""
    lines = []
    for name in names:
        rows, options = held(name)["rows"], held(name)["options"]
        shipped = next(label for label in next(iter(rows.values())) if label.startswith(SHIPPED))
        for thing, found in sorted(rows.items()):
            cells = [
                f"{found[label]['lost'][kind]}".replace("-", "−")
                for label in (NONE, shipped)
                for kind in ("preserved", "other")
            ]
            cells += [f"{found[label]['moved']['preserved']:.4f}" for label in (NONE, shipped)]
            lines.append([thing, f"`{options['method']}`", *cells])
    sides = [f"{side}: {kind}" for side in (NONE, SHIPPED) for kind in ("preserved", "other")]
    return table(["erased", "method", *sides, *(f"{side}: pictures move" for side in (NONE, SHIPPED))], lines)


INTRODUCTION = """# Results

What was measured on the embedded models, file by file. This page is written by `python -m tests.benchmarks.page` from
`tests/benchmarks/results`; no figure here was typed. `make tables` measures all of it anew (`DEVICE=cuda` for a GPU;
hours on two cores) and writes the page again.

Prompts and seeds are paired: every picture of the edited model stands beside the base model's of the same seed. Rates
are in percent; *kept*, *worst kept*, *styles* and *grounds* are points of change against the base model.

| column | says |
|---|---|
| before, after | pictures of the erased name that show the thing, of base and edited model, with the 95 % interval |
| worst synonym | the same for that held-out synonym of which most do |
| still a thing | pictures of the erased prompts that show any thing the judge knows |
| on the asked ground | pictures of the erased prompts that show the background the prompt names |
| kept, worst kept | what else the recipe preserves: all of it, and the thing that lost most |
| styles, grounds | styles and backgrounds that were right before |
| pictures | how many were drawn for the row |
| pictures move | how far pictures of what is preserved move: root mean square of a pixel, from 0 to 1 |
| predictions move | the adapter's change of the prediction on preserved prompts, relative, mean over noise levels |

"""


def sections() -> Iterator[str]:
    """Each section: a title, what was run, what its tables say, the tables."""
    yield f"""## Each thing erased alone

One thing at a time, with `trace_paper`, which was the default then, toward an anchor that one rule names; the rest of
its group and the everyday things preserved. Settings were chosen on other things and seeds, with one exception: that an
anchor helps was first seen on the demo's dog.

```sh
python -m tests.benchmarks.erasure --preserved-only --stages trace --method "method trace_paper {{}}" --device cuda
```

{asked("erasure-cuda")}
{erased("erasure-cuda", [TRACE], ALL)}
The same on a CPU:

{asked("erasure")}
{erased("erasure", [TRACE], ALL)}"""
    yield f"""## What the stages are worth alone

The closed form carries the result. By itself the fine-tuning does not suffice: it leaves ships, and turns knives into
nothing recognisable.

```sh
python -m tests.benchmarks.erasure --preserved-only --kept 20 --stages "closed form alone" "fine-tuning alone"
```

{asked("erasure-cuda")}
{erased("erasure-cuda", [CLOSED, FINE], ALL)}
With the published losses, which count errors of the noise, the fine-tuning alone erases nearly all four, and more of
the rest becomes a thing; but the worst kept thing loses more.

{asked("erasure-loss-prediction")}
{erased("erasure-loss-prediction", [FINE], ALL)}"""
    yield f"""## What the window is worth

`push` acts late in sampling only, and `hold` keeps what comes before. Without the closed form, at equal erasure, the
shipped window loses fewer kept pictures than none; begun later with `hold` the push no longer erases, without `hold`
it protects less.

```sh
python -m tests.benchmarks.windows cat truck airplane --everything --kept 5 --stage "fine-tuning alone" --device cuda
```

{asked("windows-fine-tuning-alone-cuda")}
{windows("windows-fine-tuning-alone-cuda")}
![How far an adapter moves the prediction, by noise level]({PLOTS}/windows-fine-tuning-alone-cuda.png)

After the closed form no row shows an erased thing, under any name.

{asked("windows-trace-cuda")}
{windows("windows-trace-cuda")}"""
    yield f"""## The losses, and a gate

The fine-tuning alone again, on a CPU: with the shipped loss, with the published one, and with an adapter that is scaled
by noise level as well (`steer.gate`), which no file can hold. The columns *preserved* and *other* count the pictures of
what the recipe preserves, and of everything else, that are lost; with a minus: gained. Counted as noise, early errors
weigh next to nothing, so that neither `push` without a window nor `hold` does much there; counted as velocities they
weigh what they weigh in the picture. What the window spares is mostly what no recipe preserved. With the gate preserved
pictures move least.

{chr(10).join(asked(name) for name in COMPARED)}
{lost(COMPARED)}"""
    yield f"""## micro-flux

The four recipes of the embedded world, unchanged. A style is asked for with each of the kept things, and has no
synonyms.

```sh
python -m tests.benchmarks.erasure recipes/demo.erase recipes/micro/identity.erase recipes/micro/style.erase \\
    recipes/micro/unsafe.erase --model micro-flux --preserved-only --stages trace "closed form alone"
```

{asked("erasure-micro-flux")}
{erased("erasure-micro-flux", [TRACE, CLOSED], ALL)}
What the window is worth there, after the closed form. The later the push begins, the less moves, and the less it erases
by itself.

```sh
python -m tests.benchmarks.windows cat airplane truck --model micro-flux --everything --kept 5
```

{asked("windows-trace-micro-flux")}
{windows("windows-trace-micro-flux")}
![The same on micro-flux]({PLOTS}/windows-trace-micro-flux.png)

Without the closed form, cat alone:

{asked("windows-fine-tuning-alone-micro-flux-cat")}
{windows("windows-fine-tuning-alone-micro-flux-cat")}"""
    yield """## What it costs

`make bench` prints what a cold `tracec lint` costs against bare Python, a training step against re-sampling, and the
closed form against a per-layer loop and a copy. `python -m tests.benchmarks.flux_size` writes a random checkpoint in
FLUX.1-dev's exact layout (some twenty GB of disk for a while) and prints seconds and peak memory of a closed-form edit
there, against copying the shards that it touches. Both depend on the machine, so their figures stand on no page.
"""


def page() -> str:
    """The text of `docs/results.md`."""
    return INTRODUCTION + "\n".join(sections())


def main() -> None:
    wanted = {PAGE: page()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what the result files say: run python -m tests.benchmarks.page")
        raise SystemExit(bool(stale))
    for path in stale:
        path.write_text(wanted[path], "utf-8")


if __name__ == "__main__":
    main()
