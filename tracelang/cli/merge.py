"""`tracec merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracelang.cli.refusals import CODES, COULD_NOT, refusals
from tracelang.cli.running import mistakes
from tracelang.cli.verify import against_option, known_option, pictures_option, tell, warn

if TYPE_CHECKING:
    from tracelang.evidence.report.html import Shown


@click.command(
    help="Compose OUT's report from finished shards of `verify`: those in OUT, and SHARDs of other machines (their "
    "OUT/report/work). Of several runs in one work folder it takes the latest; "
    "another one's folder in it can be named.\n\nExits as `verify` does."
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("shards", metavar="[SHARD]...", nargs=-1, type=click.Path(path_type=Path))
@against_option
@known_option
@pictures_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    out: Path,
    shards: tuple[Path, ...],
    against: Path | None,
    judges_known: tuple[Path, ...],
    pictures: Shown,
    as_json: bool,
) -> None:
    with refusals(), mistakes("close other programs", code=COULD_NOT, dtype=False):
        from tracelang.evidence.verify import merge

        found = merge(out, shards, against, judges_known=judges_known, pictures=pictures, say=warn)
        tell(out, found, as_json)
        ctx.exit(CODES[found.verdict])
