"""`tracec certify`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracelang.cli.refusals import CODES, COULD_NOT, refusals
from tracelang.cli.running import config_option, device_options, mistakes, usable
from tracelang.text import joined, safe

if TYPE_CHECKING:
    from tracelang.evidence.certify import Certified
    from tracelang.evidence.schema import Certificate

DIFFERS = 1


@click.command(
    help="Make the certificate of the edit in OUT again, from its files, those of its base and the text encoder "
    "alone: no judge, no picture, no denoiser. Of what is protected it is the only evidence.\n\nExits with 0 where all "
    "that the recipe expects of the weights holds and OUT's report, where there is one, has the same figures; with 1 "
    "where an expectation is shown not to hold or the report has other figures, with 3 where that stays open or "
    "nothing is expected of the weights, and with 2 where it could not be made."
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--model", metavar="MODEL", help="The base model, where it was a folder or a file.")
@config_option
@device_options
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    out: Path,
    model: str | None,
    config: str | None,
    device: str | None,
    dtype: str | None,
    as_json: bool,
) -> None:
    with refusals(), mistakes("take a larger machine", code=COULD_NOT):
        from tracelang.evidence.certify import certify
        from tracelang.evidence.report.wording import NO_BREAK

        found = certify(out, model, usable(device), dtype, config)
        if as_json:
            click.echo(found.model_dump_json(indent=2))
        else:
            for line in told(found):
                click.echo(safe(line.replace(NO_BREAK, " ")))
        ctx.exit(DIFFERS if found.report == "differs" else CODES[found.verdict])


def told(found: Certified) -> Iterator[str]:
    """The certificate for a terminal, a line for each thing."""
    from tracelang.evidence.report.wording import formula

    yield from figures(found.certificate)
    for one in found.outcomes:
        yield f"{one.verdict}  {formula(one)}: {one.reason}"
    if not found.outcomes:
        yield "the recipe expects nothing of the weights"
    yield f"encoded {found.encoded} texts of the recipe, {found.protected} of what is protected; drawn: none"
    for line in found.differing:
        yield f"differs: {line}"
    yield {
        "same": "report.json: the same figures",
        "differs": f"report.json: {len(found.differing)} figures are others",
        "none": "report.json: there is none",
    }[found.report]


def figures(it: Certificate) -> Iterator[str]:
    from tracelang.evidence.report.wording import KINDS, number, percent

    length, square = KINDS["length"], KINDS["square"]

    changed = sum(layer.change > 0 for layer in it.layers if layer.reads is not None)
    text = sum(layer.reads is not None for layer in it.layers)
    yield (
        f"matrices that read text: {changed} of {text} changed; of all changes one text map explains "
        f"{percent(it.map_share)} ({square})"
    )
    yield (
        f"matrices of mixed input: {it.mixed.changed} of {it.mixed.of} changed, {percent(it.mixed.share)} of the "
        f"change ({square}); the figures of concepts do not read them"
    )
    if it.left_out:
        yield f"the LoRA leaves out up to {percent(it.left_out)} of a matrix's change ({length}), which is no rounding"
    for one in it.reaches:
        name = joined(one.member)
        if one.leak is not None:
            allowed = f"rounding alone {percent(one.rounding)}" if one.rounding is not None else "no layer"
            yield f"preserved  {name}: moved {percent(one.leak)}, {allowed} ({length}){': exact' if one.exact else ''}"
            continue
        prices = [*one.cheaper, *([(one.undone, one.price)] if one.undone is not None and one.price else [])]
        undoing = ", ".join(f"{percent(share)} at {number(price)} ×" for share, price in prices)
        yield (
            f"erased  {name}: left {percent(one.residual)}, no state takes back {percent(one.joint)} ({length}); "
            f"undone {undoing} ({square}, at states so long beside the concept's own)"
        )
    for rank in it.free:
        yield (
            f"free rank of `{rank.reads}`: {rank.dimension - rank.held} of {rank.dimension} beside {rank.states} "
            f"preserved states (roughly {rank.dimension - rank.held_roughly})"
        )
    for component, digest in it.encoders.items():
        yield f"effective only with {component} of sha256 {digest}"
    for rung in it.ladder:
        yield f"{rung.adversary} ({rung.may})"
        yield f"  covered: {rung.covered}"
        yield f"  NOT COVERED: {rung.not_covered}"
