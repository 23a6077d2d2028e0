"""Layer selectors met with a model's sites."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from tracelang.plan.family import Site
from tracelang.plan.types import Difference, GlobSites, InPlaces, Layers, ReadsSites, RoleSites, Union


class SelectionError(ValueError):
    """A selector, or a part of one, that matches nothing in this model. One line that names what there is."""


def select(layers: Layers, sites: Sequence[Site]) -> tuple[Site, ...]:
    """The sites that `layers` selects, in the order of `sites`.

    Every part must match something: a misspelt name in a difference would otherwise widen the edit in silence.
    Raises `SelectionError`.
    """
    chosen = _match(layers, sites)
    return tuple(site for site in sites if site in chosen)


def render(layers: Layers) -> str:
    """The selector in the language's own words."""
    match layers:
        case ReadsSites():
            return layers.reads
        case RoleSites():
            return layers.role
        case GlobSites():
            return f'"{layers.pattern}"'
        case InPlaces():
            places = ", ".join(layers.places)
            return f"{_grouped(layers.of, InPlaces)} in {f'({places})' if len(layers.places) > 1 else places}"
        case Difference():
            return f"{_grouped(layers.left, Union)} - {_grouped(layers.right, Union | Difference)}"
        case Union():
            return ", ".join(render(member) for member in layers.members)


def _grouped(layers: Layers, looser: object) -> str:
    looser = Union | Difference if looser is InPlaces else looser
    return f"({render(layers)})" if isinstance(layers, looser) else render(layers)  # type: ignore[arg-type]


def _match(layers: Layers, sites: Sequence[Site]) -> set[Site]:
    match layers:
        case ReadsSites(reads="prompt"):
            chosen = {site for site in sites if site.reads is not None}
        case ReadsSites():
            chosen = {site for site in sites if site.text}
        case RoleSites():
            chosen = {site for site in sites if site.role == layers.role}
        case GlobSites():
            chosen = {site for site in sites if fnmatchcase(site.tensor, layers.pattern)}
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
        names = [name for site in sites for name in (site.tensor, site.module)]
        close = get_close_matches(layers.pattern.replace("*", ""), names, n=3, cutoff=0.3)
        return "the nearest names are " + ", ".join(close or [site.tensor for site in sites[:3]])
    if isinstance(layers, InPlaces):
        inside = select(layers.of, sites)
        return f"{render(layers.of)} lies in " + ", ".join(dict.fromkeys(site.place for site in inside))
    if isinstance(layers, Difference):
        return "the right side takes away all of the left"
    return "it has the roles " + ", ".join(dict.fromkeys(site.role for site in sites))
