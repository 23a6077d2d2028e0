"""What the commands that meet a model share: their arguments, and mistakes that end in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from tracelang.diagnostics.human import safe
from tracelang.plan.types import Plan

Command = TypeVar("Command", bound=Callable[..., Any])


def model_option(command: Command) -> Command:
    """`--model`."""
    text = "A folder in diffusers layout, an embedded name (see `tracec models`) or a hub id."
    return click.option("--model", required=True, metavar="MODEL", help=text)(command)


def device_options(command: Command) -> Command:
    """`--device` and `--dtype`."""
    for option in (
        click.option(
            "--dtype", type=click.Choice(["float32", "float16", "bfloat16"]),
            help="Default: float32; bfloat16 where the model is stored in it and the device is not the CPU.",
        ),
        click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps. Default: the best there is."),
    ):
        command = option(command)
    return command


def read_plan(recipe: str, params: Mapping[str, str], root: Path | None) -> tuple[Plan, Path]:
    """The plan of a recipe or of a plan file, its warnings shown, and the folder its sources are relative to.

    Raises CompileError.
    """
    from tracelang.cli import show
    from tracelang.cli.options import read_recipe
    from tracelang.plan.compile import compile_with_findings, root_of

    if recipe.endswith(".json"):
        from tracelang.plan.load import load_plan

        if params:
            raise click.UsageError("--set changes a recipe; a compiled plan is fixed")
        return load_plan(recipe), Path(root or ".")
    what, shown = read_recipe(recipe)
    plan, findings = compile_with_findings(what, root=root, params=params, shown=shown)
    show(findings)
    if plan is None:
        raise click.exceptions.Exit(1)
    return plan, root or root_of(what)


@contextmanager
def mistakes(smaller: str = "lower steer.batch", code: int = 1) -> Iterator[None]:
    """Turn what a user or a file did wrong into `error: …` and the exit code; `smaller` is what saves memory."""
    from tracelang.checkpoint.output import OutputError
    from tracelang.engine.errors import EngineError
    from tracelang.plan.bind import BindError
    from tracelang.plan.family import ModelError
    from tracelang.plan.layers import SelectionError
    from tracelang.plan.windows import WindowError

    try:
        with _told():
            yield
    except (ModelError, OutputError, EngineError, BindError, SelectionError, WindowError) as error:
        _stop(str(error), error, code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _stop(f"{where}{(error.strerror or str(error)).lower()}", error, code)
    except (MemoryError, RuntimeError) as error:
        if not _memory(error):
            raise
        _stop(f"out of memory; {smaller} or use --dtype", error, code)


@contextmanager
def _told() -> Iterator[None]:
    """The engine's own warnings in one line each, as a mistake is."""
    import warnings

    from tracelang.engine.errors import CacheFull

    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, CacheFull):
                click.echo(f"warning: {safe(str(message))}", err=True)
            else:
                shown(message, category, *where, **more)

        warnings.showwarning = show
        yield


def _stop(message: str, error: BaseException, code: int) -> NoReturn:
    click.echo(f"error: {safe(message)}", err=True)
    raise click.exceptions.Exit(code) from error


def _memory(error: BaseException) -> bool:
    """Is it a lack of memory? torch says so by a class of its own on CUDA, elsewhere by a RuntimeError's words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error) for words in ("out of memory", "can't allocate memory"))
