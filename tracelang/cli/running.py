"""What the commands that meet a model share: their arguments, and mistakes that end in one line."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from tracelang.plan.types import Plan
from tracelang.text import safe

Command = TypeVar("Command", bound=Callable[..., Any])


def model_option(command: Command) -> Command:
    """`--model`."""
    text = "A folder in diffusers layout, a single file, an embedded name (see `tracec models`) or a hub id."
    return click.option("--model", required=True, metavar="MODEL", help=text)(command)


def config_option(command: Command) -> Command:
    """`--config`."""
    text = "Where a single file's configs, and what it lacks, come from: a folder, a hub id, or sd15, sd21, sdxl, ….  "
    text += "[default: what is shipped for it]"
    return click.option("--config", metavar="CONFIG", help=text)(command)


def variant_option(command: Command) -> Command:
    """`--variant`."""
    text = "Which variant of its weights a folder or a hub id is run from, such as fp16.  [default: the plain files, "
    text += "else fp16, else bf16]"
    return click.option("--variant", metavar="NAME", help=text)(command)


def device_options(command: Command) -> Command:
    """`--device` and `--dtype`."""
    for option in (
        click.option(
            "--dtype",
            type=click.Choice(["float32", "float16", "bfloat16"]),
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
def mistakes(smaller: str = "close other programs", code: int = 1, dtype: bool = True) -> Iterator[None]:
    """Turn what a user, a file or a full machine did wrong into `error: …` and the exit code; `smaller` is what saves
    memory. What is left is a fault of the program. Nothing inside may catch these errors first.
    """
    from tracelang.checkpoint.output import OutputError
    from tracelang.engine.errors import EngineError
    from tracelang.models.single.reference import told
    from tracelang.plan.bind import BindError
    from tracelang.plan.family import ModelError
    from tracelang.plan.layers import SelectionError
    from tracelang.plan.windows import WindowError

    try:
        with _warnings():
            yield
    except (ModelError, OutputError, EngineError, BindError, SelectionError, WindowError) as error:
        _stop(told(str(error)), error, code)
    except OSError as error:
        _stop(_told(error), error, code)
    except Exception as error:
        if _memory(error):
            _stop(f"out of memory; {smaller}{' or use --dtype' if dtype else ''}", error, code)
        if type(error).__name__ == "SafetensorError":  # the library's only error, for weights files and for full disks
            _stop(f"a weights file cannot be read or written ({error})", error, code)
        raise


def usable(device: str | None) -> str:
    """The device, by default the best one. Raises EngineError for one that torch does not know or have here."""
    from tracelang.api import best_device

    if device is None:
        return best_device()
    import torch

    from tracelang.engine.errors import EngineError

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if _memory(error):
            raise
        reason = str(error).partition("\n")[0][:200]
        raise EngineError(f"--device {device}: cannot be used here ({reason})") from error
    return device


@contextmanager
def _warnings() -> Iterator[None]:
    """The engine's own warnings in one line each, as a mistake is."""
    import warnings

    from tracelang.models.errors import CacheFull

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
    click.echo(f"error: {safe(' '.join(message.split()))}", err=True)
    raise click.exceptions.Exit(code) from error


def _told(error: OSError) -> str:
    places = [str(name) for name in (error.filename, error.filename2) if name]
    reason = error.strerror or str(error) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0, "")
    return ": ".join([*dict.fromkeys(places), reason[:1].lower() + reason[1:]]) + remedy


def _memory(error: BaseException) -> bool:
    """Is it a lack of memory? torch says so by a class of its own on CUDA, elsewhere by a RuntimeError's words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in MEMORY)


REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "; make room there and run the same command again"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "; allow it there, or choose another place"),
    errno.EMFILE: "; close other programs, or raise the limit with ulimit -n",
}
MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed")
"""As torch says it of CUDA, of the CPU, of MPS, and of cuBLAS."""
