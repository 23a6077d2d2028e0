"""Progress of long work: a bar on a terminal, plain lines elsewhere. Written to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tracelang.progress import Progress
from tracelang.text import safe

EVERY = 10.0  # seconds between plain lines


@contextmanager
def progress() -> Iterator[Progress]:
    """A reporter for the length of the block."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        what_column = TextColumn("{task.description}", markup=False)
        columns = (what_column, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bars(*columns, console=Console(stderr=True)) as bars:
            tasks: dict[str, int] = {}

            def draw(what: str, done: int, of: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(safe(what), total=of)
                bars.update(tasks[what], completed=done, total=of)  # type: ignore[arg-type]

            yield draw
    else:
        last: dict[str, float] = {}

        def line(what: str, done: int, of: int) -> None:
            now = time.monotonic()
            if done >= of or now - last.get(what, -EVERY) >= EVERY:
                last[what] = now
                print(f"{safe(what)}: {done}/{of}", file=sys.stderr, flush=True)

        yield line
