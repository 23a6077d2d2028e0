"""`tracec bench`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracelang.cli import WORDS
from tracelang.cli.refusals import COULD_NOT, INTERRUPTED, refusals
from tracelang.cli.running import config_option, device_options, mistakes, usable
from tracelang.cli.verify import shard_of
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.bench.cells import Base, Cell
    from tracelang.bench.suite import Part, Suite

FAILED = 1


@click.command(
    help="Measure the methods of SUITE (a .toml file): a cell is an edit and its verification, in a process of its "
    "own. Cells that are measured are never measured again; then the suite's page and plots are written.\n\n"
    "Exits with 0 where every cell that was asked for is measured or refused, with 1 where one failed or the page is "
    "another, and with 2 where nothing could be measured."
)
@click.argument("suite", metavar="SUITE", type=click.Path(path_type=Path))
@click.option("--part", "parts", multiple=True, metavar="NAME", help="Only this part. May be given several times.")
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Only this method. Several times: these.")
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Only this task, by its file's name.")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="In place of the suite's models.")
@config_option
@click.option("--judge", "judges", multiple=True, metavar="NAME[=VALUE]", help="In place of the suite's judges.")
@click.option("--shard", callback=shard_of, metavar="I/N", help="Measure the I-th of N shares of the cells.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Cells side by side.")
@click.option("--plan", "planned", is_flag=True, help="Measure nothing: tell what the missing cells would take.")
@click.option("--tune", is_flag=True, help="Measure the trials of the suite's tuning, and write what they choose.")
@click.option("--page", "paged", is_flag=True, help="Measure nothing: write the page of the results that are there.")
@click.option("--check", is_flag=True, help="Measure and write nothing: is the page what the results say?")
@click.option("--keep", is_flag=True, help="Keep weights, pictures and reports, in the folder `work` of the results.")
@device_options
@click.pass_context
def command(
    ctx: click.Context,
    suite: Path,
    parts: tuple[str, ...],
    methods: tuple[str, ...],
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    config: str | None,
    judges: tuple[str, ...],
    shard: tuple[int, int] | None,
    jobs: int,
    planned: bool,
    tune: bool,
    paged: bool,
    check: bool,
    keep: bool,
    device: str | None,
    dtype: str | None,
) -> None:
    if planned + tune + paged + check > 1:
        raise click.UsageError("--plan, --tune, --page and --check are four things; give one of them")
    with refusals(), mistakes("take a smaller --jobs", code=COULD_NOT):
        from tracelang.bench import results
        from tracelang.bench.cells import cells, narrowed
        from tracelang.bench.run import Asked, missing, share, tidy
        from tracelang.bench.suite import read_suite

        found = read_suite(suite)
        every = [narrowed(part, (), models, judges) for part in found.parts]
        tuned = [narrowed(found.tuning.part, (), models, judges)] if found.tuning else []
        bases = _bases([*every, *tuned], config)
        judged = {one: _held(one) for part in (*every, *tuned) for one in part.judges}
        asked = Asked(device, config, jobs, keep)
        try:
            if tune:
                ctx.exit(_tuned(ctx, found, bases, models, judges, judged, dtype or "", asked, shard))
            whole = list(cells(found, every, bases, dtype or "", judged))
            them = [cell for _, cell in whole]
            wanted = _chosen(found, whole, parts, methods, tasks)
            held = results.held(found.results, [cell.key for cell in them])
            if planned:
                from tracelang.bench.foreseen import foreseen

                todo = missing(share([cell for _, cell in wanted], shard), held)
                for line in foreseen(todo, held, usable(device), config, jobs) if todo else ["every cell is measured"]:
                    click.echo(safe(line))
                return
            failed = 0
            if not (check or paged):
                failed = _measured(ctx, found, share([cell for _, cell in wanted], shard), asked, them)
                tidy(found, them)
            held = results.held(found.results, [cell.key for cell in them])
        except results.ResultError as error:
            click.echo(f"error: {safe(str(error))}", err=True)
            ctx.exit(COULD_NOT)
        ctx.exit(max(failed, _paged(found, whole, held, check, tuple(part.name for part, _ in wanted))))


def _bases(parts: Sequence[Part], config: str | None) -> dict[str, Base]:
    """Each model that is asked for, with the fingerprint of what is there. Raises ModelError."""
    from tracelang.bench.cells import Base
    from tracelang.models import weights
    from tracelang.models.locate import locate, title

    found = {}
    for model in dict.fromkeys(model for part in parts for model in part.models):
        found[model] = Base(model, title(model), weights.fingerprint(locate(model, config)))
    if not found:
        raise click.UsageError("the suite names no model; give one with --model")
    return found


def _held(judge: str) -> str:
    """A judge with what its folder or file holds in place of where it lies."""
    import hashlib

    from tracelang.models.weights import sha256

    name, _, value = judge.partition("=")
    place = Path(value)
    if not value or not place.exists():
        return judge
    files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
    told = hashlib.sha256("\n".join(f"{one.name} {sha256(one)}" for one in files).encode())
    return f"{name}={told.hexdigest()[:24]}"


def _chosen(
    suite: Suite,
    whole: Sequence[tuple[Part, Cell]],
    parts: Sequence[str],
    methods: Sequence[str],
    tasks: Sequence[str],
) -> list[tuple[Part, Cell]]:
    """The cells that the command line names. A name that is none is a mistake."""
    from tracelang.diagnostics.diagnostic import did_you_mean

    there_are = {cell.method for _, cell in whole}
    variants = {name for row in methods for name in suite.groups.get(row, (row,)) if name in there_are}
    known = {
        "--part": ({part.name for part, _ in whole}, set(parts)),
        "--method": (there_are | {row for row, names in suite.groups.items() if there_are & {*names}}, set(methods)),
        "--task": ({Path(cell.task).stem for _, cell in whole}, set(tasks)),
    }
    for option, (there, asked) in known.items():
        for name in sorted(asked - there):
            raise click.UsageError(f"{option} {name}: no cell has it; {did_you_mean(name, there)}")
    return [
        (part, cell)
        for part, cell in whole
        if (not parts or part.name in parts)
        and (not methods or cell.method in variants)
        and (not tasks or Path(cell.task).stem in tasks)
    ]


def _measured(ctx: click.Context, suite: Suite, wanted: Sequence[Cell], asked: Any, every: Sequence[Cell] = ()) -> int:
    """Measure what is missing; how many cells failed makes the exit code."""
    from tracelang.bench.run import measure

    try:
        run = measure(suite, wanted, asked, lambda line: click.echo(safe(line), err=True), every)
    except KeyboardInterrupt:
        again = shlex.join(ctx.meta[WORDS])
        click.echo(
            f"\ninterrupted; what is done so far is in {safe(str(suite.results))}. Go on with: {safe(again)}", err=True
        )
        ctx.exit(INTERRUPTED)
    if run.elsewhere:
        click.echo(f"{len(run.elsewhere)} cells are being measured by another process", err=True)
    if run.failed:
        click.echo(f"error: {len(run.failed)} cells failed; the same command tries them again", err=True)
    return FAILED if run.failed else 0


def _paged(suite: Suite, whole: Sequence[tuple[Part, Cell]], held: Any, check: bool, shown: Sequence[str]) -> int:
    """Write page and plots, and print the tables that were asked for; or compare them with what is there."""
    from tracelang.bench.page import page
    from tracelang.files import write_text

    files = page(suite, whole, held)
    if check:
        stale = [file for file, text in files.items() if not file.is_file() or file.read_bytes() != text.encode()]
        for file in stale:
            click.echo(safe(f"{file}: is not what the results say; run `tracec bench {suite.file}`"), err=True)
        return FAILED if stale else 0
    for file, text in files.items():
        write_text(file, text)
    for section in files[suite.page].split("\n## ")[1:]:
        if any(section.startswith(name.replace("_", " ")) for name in dict.fromkeys(shown)):
            for line in f"## {section.rstrip()}".splitlines():
                click.echo(safe(line))
    click.echo(safe(f"page: {suite.page}"))
    return 0


def _tuned(
    ctx: click.Context,
    suite: Suite,
    bases: dict[str, Base],
    models: tuple[str, ...],
    judges: tuple[str, ...],
    judged: dict[str, str],
    dtype: str,
    asked: Any,
    shard: tuple[int, int] | None,
) -> int:
    """Measure every trial, print it, and write what the rule chooses."""
    from dataclasses import replace

    from tracelang.bench import results, tuning
    from tracelang.bench.cells import narrowed
    from tracelang.bench.run import share, tidy
    from tracelang.files import write_text

    if suite.tuning is None:
        raise click.UsageError(f"{suite.file}: has no [tuning]; see `tracec bench --help`")
    into = suite.root / suite.tuning.into
    if into.is_file() and not into.read_bytes().startswith(tuning.CHOSEN.encode()):
        raise click.UsageError(f"{into}: was not written by --tune and would be lost; let `into` name another file")
    told = replace(suite.tuning, part=narrowed(suite.tuning.part, (), models, judges))
    every = tuning.trials(suite, told, bases, dtype, judged)
    wanted = [cell for one in every for cell in one.cells]
    failed = _measured(ctx, suite, share(wanted, shard), asked)
    tidy(suite, wanted)
    held = results.held(suite.results, [cell.key for cell in wanted])
    found = [tuning.measured(one, held) for one in every]
    for name in dict.fromkeys(one.name for one in found):
        own = [one for one in found if one.name == name]
        best = tuning.chosen(own, suite.erased)
        for one in own:
            click.echo(safe(f"{'*' if one is best else ' '} {name}: {one.of.name} {{ {one.settings} }}: {one.told()}"))
    if any(not one.figures and not one.refused for one in found):
        click.echo("not every trial is measured yet, so nothing is chosen", err=True)
        return failed
    write_text(into, tuning.written(suite, told, found))
    click.echo(safe(f"chosen: {into}"))
    return failed
