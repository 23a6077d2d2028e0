"""What the commands about evidence end with: a verdict's code, or one line that says why there is none."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from tracelang.cli import show
from tracelang.text import safe

CODES = {"pass": 0, "fail": 1, "inconclusive": 3}
COULD_NOT = 2
INTERRUPTED = 130


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what cannot be verified or merged into `error: …` and exit code 2; so for a damaged plan.

    To be entered before `mistakes`, which says what it knows in a line: what comes through that is a crash.
    """
    from tracelang.diagnostics import CompileError

    try:
        from tracelang.evidence.artifact import EvidenceError
        from tracelang.evidence.known import KnownError
        from tracelang.evidence.panel import JudgeError
        from tracelang.evidence.report.html import PictureError
        from tracelang.evidence.work import WorkError

        try:
            yield
        except CompileError as error:
            show(error.diagnostics)
            raise click.exceptions.Exit(COULD_NOT) from error
        except (EvidenceError, JudgeError, KnownError, PictureError, WorkError) as error:
            click.echo(f"error: {safe(' '.join(str(error).split()))}", err=True)
            raise click.exceptions.Exit(COULD_NOT) from error
    except ModuleNotFoundError as error:
        if (error.name or "tracelang").partition(".")[0] in {"tracelang", *sys.stdlib_module_names}:
            raise
        click.echo(f"error: this needs {error.name}: pip install 'tracelang[eval]'", err=True)
        raise click.exceptions.Exit(COULD_NOT) from error
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt as error:  # click would end with 1, which reads as "shown not to hold"
        click.echo("\ninterrupted", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from error
    except Exception as error:  # a crash is no verdict: 1 would read as "shown not to hold"
        traceback.print_exc()
        raise click.exceptions.Exit(COULD_NOT) from error
