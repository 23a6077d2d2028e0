"""Whether one window or layer set holds another, without a model: True only if so in every family."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tracelang.semantics.values import (
    BLOCK,
    Auto,
    Difference,
    GlobSites,
    InPlaces,
    Layers,
    ReadsSites,
    RoleSites,
    Union,
    Window,
)

TEXT, DENOISER = ReadsSites("text"), ReadsSites("denoiser")

MAX_FREE = 12
"""So many readings and globs are tried in every combination; past that only equal sets are known to hold each other."""


def window_holds(outer: Window | Auto | None, inner: Window | Auto | None) -> bool:
    """`None` is no window: everywhere. Of windows that are chosen, a lower share takes in more and begins earlier."""
    if outer is None:
        return True
    if isinstance(outer, Auto):
        if not isinstance(inner, Auto) or outer.part != inner.part:
            return False
        return outer.share <= inner.share if outer.part == "inside" else outer.share >= inner.share
    if outer.unit == "progress" and outer.low <= 0 and outer.high >= 1:
        return True
    if isinstance(inner, Auto):
        return False
    return inner is not None and outer.unit == inner.unit and outer.low <= inner.low and inner.high <= outer.high


def layers_hold(outer: Layers, inner: Layers) -> bool:
    """Is every site of `inner` one of `outer`?

    A site has at most one role and lies in at most one place; which sites a reading or a glob selects is unknown, so
    each may hold or not for every site. Sound for that reason: what holds for all such sites holds for a model's. Of
    `denoiser` it is known: all of `text`, and whatever has a role in a block.
    """
    if outer == inner:
        return True
    parts = [*_parts(outer), *_parts(inner)]
    roles = sorted(
        {part.role for part in parts if isinstance(part, RoleSites)} | {*(BLOCK if DENOISER in parts else ())}
    )
    places = sorted({place for part in parts if isinstance(part, InPlaces) for place in part.places})
    free = list(dict.fromkeys(part for part in parts if isinstance(part, ReadsSites | GlobSites) and part != DENOISER))
    if len(free) > MAX_FREE:
        return False
    for role, place in product([*roles, None], [*places, None]):
        for held in product((False, True), repeat=len(free)):
            selected: set[Layers] = {part for part, holds in zip(free, held, strict=True) if holds}
            if _in(inner, role, place, selected) and not _in(outer, role, place, selected):
                return False
    return True


def _parts(layers: Layers) -> Iterator[Layers]:
    yield layers
    match layers:
        case InPlaces():
            yield from _parts(layers.of)
        case Difference():
            yield from _parts(layers.left)
            yield from _parts(layers.right)
        case Union():
            for one in layers.members:
                yield from _parts(one)


def _in(layers: Layers, role: str | None, place: str | None, selected: set[Layers]) -> bool:
    """Does a site of this role and place, one of the selected, belong to the set?"""
    match layers:
        case RoleSites():
            return layers.role == role
        case ReadsSites(reads="denoiser"):
            return role in BLOCK or TEXT in selected
        case InPlaces():
            return place in layers.places and _in(layers.of, role, place, selected)
        case Difference():
            return _in(layers.left, role, place, selected) and not _in(layers.right, role, place, selected)
        case Union():
            return any(_in(one, role, place, selected) for one in layers.members)
        case _:
            return layers in selected
