"""`tracec verify`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tracelang.cli import WORDS
from tracelang.cli.progress import progress
from tracelang.cli.refusals import CODES, COULD_NOT, INTERRUPTED, refusals
from tracelang.cli.running import config_option, device_options, mistakes, usable
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.evidence.bench import Keep
    from tracelang.evidence.report.html import Shown
    from tracelang.evidence.schema import Registered, Report


def shard_of(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    i, slash, n = value.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise click.BadParameter(f"{value!r} is not I/N with I from 1 to N, as in 1/2", ctx, param)
    return int(i), int(n)


def _controls(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    found = []
    for value in values:
        kind, equals, models = value.partition("=")
        named = tuple(name.strip() for name in models.split(",") if name.strip())
        if not (kind == "random" and not equals) and not (kind == "never" and named):
            raise click.BadParameter(f"{value!r} is neither never=MODEL[,MODEL] nor random", ctx, param)
        found.append((kind, named))
    return found


control_option = click.option(
    "--control",
    "controls",
    multiple=True,
    callback=_controls,
    metavar="KIND[=MODELS]",
    help="Read every figure beside `never=MODEL,MODEL` (models that never knew it) or `random`, with those of the "
    "recipe. May be given several times.",
)
against_option = click.option(
    "--against",
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="Compare every rate with those of another verified OUT.",
)
pictures_option = click.option(
    "--pictures",
    type=click.Choice(["none", "plain", "all"]),
    default="plain",
    show_default=True,
    help="Which pictures the page holds: none, all but the sensitive ones, or those too, blurred.",
)


known_option = click.option(
    "--judge-known",
    "judges_known",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Correct every rate by what `tracec judge` or `tracec rate import` measured of its judge.",
)


@click.command(
    help="Measure the edit in OUT (what `apply` wrote) and write OUT/report.\n\n"
    "Exits with 0 where every expectation was shown to hold, 1 where one was shown not to, 3 where that stays open, "
    "and 2 where nothing could be measured."
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--shard", callback=shard_of, metavar="I/N", help="Do the I-th of N shares of the work, for `merge`.")
@click.option(
    "--judge", "judges", multiple=True, metavar="NAME[=VALUE]", help="May be given several times. Default: what suits."
)
@known_option
@click.option("--model", metavar="MODEL", help="The base model, where it was a folder or a file.")
@config_option
@click.option(
    "--samples", type=click.IntRange(0), help="Pictures of a concept of which nothing is expected.  [default: 50]"
)
@click.option("--steps", type=click.IntRange(2, 1000), help="Sampler steps.  [default: 20]")
@control_option
@click.option("--budget", metavar="NAME=VALUE,…", help="What attackers may spend, such as rows=40,iterations=200.")
@click.option("--thorough", is_flag=True, help="More of everything that two cores have no time for in 90 minutes.")
@click.option(
    "--keep",
    type=click.Choice(["all", "shown"]),
    help="Which pictures stay in OUT/report/work: all, for others to judge, or what the report may show.  [default: "
    "all of an embedded model]",
)
@click.option(
    "--kept",
    is_flag=True,
    help="Draw no plain picture again: let the judges look at those that the last run kept, as it was told to draw.",
)
@against_option
@pictures_option
@click.option(
    "--register", is_flag=True, help="Draw nothing: write down what would be done, for the report to be held to."
)
@click.option(
    "--attested",
    is_flag=True,
    help="Draw nothing: check what `attest` signed against OUT, with --key or --identity, and exit with its verdict.",
)
@click.option("--key", metavar="FILE", type=click.Path(path_type=Path), help="The public key, in PEM.")
@click.option("--identity", metavar="NAME", help="Who signed without a key, as in the certificate: an address, a URI.")
@click.option("--issuer", metavar="URL", help="Who vouches for the identity.")
@device_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    out: Path,
    shard: tuple[int, int] | None,
    judges: tuple[str, ...],
    judges_known: tuple[Path, ...],
    model: str | None,
    config: str | None,
    samples: int | None,
    steps: int | None,
    controls: list[tuple[str, tuple[str, ...]]],
    budget: str | None,
    thorough: bool,
    keep: Keep | None,
    kept: bool,
    against: Path | None,
    pictures: Shown,
    register: bool,
    attested: bool,
    key: Path | None,
    identity: str | None,
    issuer: str | None,
    device: str | None,
    dtype: str | None,
    as_json: bool,
) -> None:
    if attested != bool(key or identity) or (key and (identity or issuer)) or (issuer and not identity):
        raise click.UsageError(
            "--attested takes --key FILE, or --identity NAME and --issuer URL; nothing else takes them"
        )
    with refusals(), mistakes("take a larger machine", code=COULD_NOT):
        if attested:
            if others := sorted(_given(ctx) - {"out", "attested", "key", "identity", "issuer", "as_json"}):
                raise click.UsageError(f"--attested draws nothing and takes no --{others[0].replace('_', '-')}")
            from tracelang.cli.attest import check

            held = check(out, key, identity, issuer, quiet=as_json)
            tell(out, held.report, as_json)
            ctx.exit(CODES[held.report.verdict])
        if kept and (given := _given(ctx) & DECIDE):
            other = min(one.opts[0] for one in ctx.command.params if one.name in given)
            raise click.UsageError(f"--kept draws as the last run did and takes no {other}")
        from tracelang.evidence import budgets
        from tracelang.evidence import verify as evidence
        from tracelang.evidence.pictures import SAMPLES
        from tracelang.evidence.prepare import STEPS

        asked: dict[str, Any] = {
            "device": usable(device),
            "dtype": dtype,
            "model": model,
            "samples": SAMPLES if samples is None else samples,
            "steps": steps or STEPS,
            "config": config,
            "controls": controls,
            "budget": None if budget is None else budgets.read(budget),
            "thorough": thorough,
            "keep": keep,
            "say": warn,
        }
        if register:
            if shard or against or as_json:
                raise click.UsageError("--register takes what decides a run, and neither --shard, --against nor --json")
            entry = evidence.register(out, judges, judges_known=judges_known, **asked)
            click.echo(safe(f"{out}: registered at {entry.at} as {entry.digest}"))
            return
        try:
            with progress() as report:
                told = {"against": against, "judges_known": judges_known, "pictures": pictures, **asked, "kept": kept}
                found = evidence.verify(out, judges, shard=shard, progress=report, **told)
        except KeyboardInterrupt:
            again = shlex.join(ctx.meta[WORDS])
            click.echo(
                f"\ninterrupted; what is done so far is in {safe(str(out / 'report' / 'work'))}. "
                f"Go on with: {safe(again)}",
                err=True,
            )
            ctx.exit(INTERRUPTED)
        if found is None:
            assert shard is not None
            then = shlex.join(["tracec", "merge", str(out)])
            click.echo(safe(f"{out}: shard {shard[0]}/{shard[1]} is done; when all are: {then}"))
            return
        tell(out, found, as_json)
        ctx.exit(CODES[found.verdict])


DECIDE = {
    "samples", "steps", "controls", "budget", "thorough", "keep", "register", "device", "dtype"
}  # fmt: skip
"""The parameters that decide what is drawn."""


def _given(ctx: click.Context) -> set[str]:
    """The parameters that stood on the command line."""
    return {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}


def warn(line: str) -> None:
    click.echo(safe(f"warning: {line}"), err=True)


def tell(out: Path, report: Report, as_json: bool) -> None:
    """Print the verdict, or all of it as JSON."""
    if as_json:
        click.echo(report.model_dump_json(indent=2))
        return
    from tracelang.evidence.report.wording import NO_BREAK, formula, said_beside

    width = max((len(one.verdict) for one in report.outcomes), default=0)
    for one in report.outcomes:
        click.echo(safe(f"{one.verdict:{width}}  {formula(one)}: {one.reason}"))
    if report.integrity:
        click.echo(safe(f"{report.integrity.verdict:{width}}  everyday pictures: {report.integrity.reason}"))
    for probed in report.controls.probes if report.controls else ():
        click.echo(safe(said_beside(probed).replace(NO_BREAK, " ")))
    for line in report.errors:
        click.echo(safe(f"error  {line}"))
    if report.registered:
        click.echo(safe(f"registered: {_registered(report.registered)}"))
    for line in report.provenance.unmeasured:
        click.echo(safe(f"not measured: {line}"))
    if report.comparison:
        rows = report.comparison.differences
        apart = sum(row.apart for row in rows)
        click.echo(safe(f"against {report.comparison.title}: {apart} of {len(rows)} rates can be told apart"))
        for line in report.comparison.incomparable:
            click.echo(safe(f"not compared: {line}"))
    click.echo(safe(f"{report.verdict}: {report.summary}"))
    click.echo(safe(f"report: {out / 'report' / 'report.html'}"))


def _registered(one: Registered) -> str:
    if not one.registered:
        told = "nothing before this run"
    elif one.differs:
        told = f"at {one.registered}, and run otherwise ({'; '.join(one.differs)})"
    else:
        told = f"at {one.registered}, and run so"
    before = len(one.before)
    return told + (f"; {before} run{'s' if before > 1 else ''} began here before" if before else "")
