"""An option that is a share: `1%` or `0.01`."""

from __future__ import annotations

from collections.abc import Callable

import click


def share(fits: Callable[[float], bool], bounds: str) -> Callable[[click.Context, click.Parameter, str], float]:
    """The option's callback; `bounds` says in words what `fits` asks."""

    def read(ctx: click.Context, param: click.Parameter, value: str) -> float:
        try:
            number = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            number = float("nan")
        if not fits(number):
            raise click.BadParameter(f"{value!r} is no share {bounds}", ctx, param)
        return number

    return read
