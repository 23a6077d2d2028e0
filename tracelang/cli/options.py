"""Options that several commands take to read a recipe."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

Command = TypeVar("Command", bound=Callable[..., Any])


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", ctx, param)
        name = name.strip(" ")
        if name in found:
            raise click.BadParameter(f"{name!r} is set twice: leave one out", ctx, param)
        found[name] = text.strip(" ")  # other white space is not seen, and reported
    return found


def _path(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    if value is None:
        return None
    from pathlib import Path  # brings URLs and addresses of the internet, which the lint of a file does without

    return Path(value)


def recipe_options(command: Command) -> Command:
    """`--set` as `params` and `--root` as `root`."""
    params = click.option(
        "--set", "params", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Set a param of the recipe."
    )
    root = click.option(
        "--root",
        type=click.Path(exists=True, file_okay=False),
        callback=_path,
        help="The folder that imports and lists stay in.",
    )
    return root(params(command))


def read_recipe(recipe: str) -> tuple[str | Path, str]:
    """What to compile and what to call it: `-` is standard input."""
    if recipe != "-":
        from pathlib import Path

        return Path(recipe), recipe
    data = sys.stdin.buffer.read()
    return data.decode("utf-8", "surrogateescape"), "<stdin>"
