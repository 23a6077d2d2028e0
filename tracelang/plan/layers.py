"""Layer selectors met with a model's sites."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from tracelang.plan.family import Site
from tracelang.plan.types import Difference, GlobSites, InPlaces, Layers, ReadsSites, RoleSites, Union
from tracelang.semantics.values import BLOCK
from tracelang.syntax.text import quote


class SelectionError(ValueError):
    """A selector, or a part of one, that matches nothing in this model. One line that names what there is; `at` is the
    setting that it stands in, once known.
    """

    at: str = ""


def select(layers: Layers, sites: Sequence[Site]) -> tuple[Site, ...]:
    """The sites that `layers` selects, in the order of `sites`.

    Every part must match something: a misspelt name in a difference would otherwise widen the edit in silence.
    Raises `SelectionError`.
    """
    chosen = _match(layers, sites)
    return tuple(site for site in sites if site in chosen)


def render(layers: Layers, level: int = 0) -> str:
    """The selector as a recipe writes it, in parentheses where something that binds as tightly as `level` is around."""
    match layers:
        case ReadsSites():
            return layers.reads
        case RoleSites():
            return layers.role
        case GlobSites():
            return quote(layers.pattern)
        case Union():
            own, text = 0, ", ".join(render(member, 1) for member in layers.members)
        case Difference():
            own, text = 1, f"{render(layers.left, 1)} - {render(layers.right, 2)}"
        case InPlaces():
            own, text = 2, f"{render(layers.of, 3)} in ({', '.join(layers.places)})"
    return f"({text})" if level > own else text


def _match(layers: Layers, sites: Sequence[Site]) -> set[Site]:
    match layers:
        case ReadsSites(reads="prompt"):
            chosen = {site for site in sites if site.reads is not None}
        case ReadsSites(reads="text"):
            chosen = {site for site in sites if site.text}
        case ReadsSites(reads="cross"):
            chosen = {site for site in sites if site.text or site.cross}
        case ReadsSites(reads="denoiser"):
            chosen = {site for site in sites if site.text or site.role in BLOCK}
        case ReadsSites():
            chosen = set(sites)
        case RoleSites():
            chosen = {site for site in sites if site.role == layers.role}
        case GlobSites():
            found = {site for site in sites if any(fnmatchcase(n, layers.pattern) for n in (site.tensor, site.module))}
            chosen = {site for site in found if not site.outside} or found
        case InPlaces():
            chosen = {site for site in _match(layers.of, sites) if site.place in layers.places}
        case Difference():
            chosen = _match(layers.left, sites) - _match(layers.right, sites)
        case Union():
            chosen = set().union(*(_match(member, sites) for member in layers.members))
    if not chosen:
        raise SelectionError(f"the layers {render(layers)} match nothing in this model; {_nearest(layers, sites)}")
    return chosen


def _nearest(layers: Layers, sites: Sequence[Site]) -> str:
    if isinstance(layers, GlobSites):
        wanted = layers.pattern.replace("*", "")
        for outside in (False, True):
            names = [name for site in sites if site.outside == outside for name in (site.tensor, site.module)]
            close = get_close_matches(wanted, names, n=3, cutoff=0.3)
            if close:
                break
        return "the nearest names are " + ", ".join(close or [site.tensor for site in sites[:3]])
    if isinstance(layers, InPlaces):
        inside = dict.fromkeys(site.place or "no block" for site in select(layers.of, sites))
        return f"{render(layers.of)} lies in " + ", ".join(inside)
    if isinstance(layers, Difference):
        return "the right side takes away all of the left"
    return "it has the roles " + ", ".join(dict.fromkeys(site.role for site in sites))
