"""`tracec doctor`."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import click

from tracelang.files import cache_folder, cache_limit
from tracelang.text import safe

EXTRAS: dict[str, str] = {
    "run": "plan, apply, patch, sample",
    "eval": "verify, merge, reproduce",
    "import": "import of YAML and of folders that hold it",
    "attest": "attest, verify --attested",
    "nsfw": "the judge of nudity that verify takes",
}
"""What each extra is for; one that the package has besides is named without it."""
LEFT_OUT = ("dev",)
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,-]+)\])?([^;]*)(?:;.*extra == [\"'](\w+)[\"'])?")
TWINS = "tracelang-micro-twins"

Status = Literal["ok", "missing", "broken"]


@dataclass(frozen=True, slots=True)
class Check:
    """A line. `needed`: without it the basic commands do not run."""

    name: str
    status: Status
    detail: str
    needed: bool = False


@click.command(
    help="Tell what is installed here and what is missing for which command, a line each. Exits with 1 only if "
    "compile, lint and the like cannot run."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    found = list(checks())
    good = not any(one.needed and one.status != "ok" for one in found)
    if as_json:
        click.echo(json.dumps({"format_version": 1, "ok": good, "checks": [asdict(one) for one in found]}, indent=2))
    else:
        for one in found:
            click.echo(safe(f"{one.status:8} {one.name:10} {one.detail}"))
    ctx.exit(0 if good else 1)


def checks() -> Iterator[Check]:
    """Everything that is looked at. torch is imported only where it is installed, to ask it for devices."""
    own = _version("tracelang")
    here = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("tracelang", "ok", f"{own or 'from its source'}, in {Path(__file__).parents[1]}", True)
    good = sys.version_info >= (3, 11)
    yield Check("python", "ok" if good else "broken", f"{here}{'' if good else '; 3.11 or newer is needed'}", True)
    needs = _needs()
    for name, bound in needs.pop("", {}).items():
        status, detail = _package(name, bound)
        yield Check(name, status, detail, True)
    for extra in [*EXTRAS, *(name for name in needs if name not in EXTRAS)]:
        if extra in needs and extra not in LEFT_OUT:
            yield _extra(extra, needs[extra], set() if extra == "run" else set(needs.get("run", {})))
    yield _devices()
    yield _plugins("models", "tracelang.models", lambda package: package != TWINS, "pip install tracelang-micro")
    yield _plugins("twins", "tracelang.models", lambda package: package == TWINS, f"pip install {TWINS}")
    yield _plugins("families", "tracelang.backends", lambda package: True, "install tracelang again")
    yield _plugins("judges", "tracelang.judges", lambda package: True, "install tracelang again")
    git = shutil.which("git")
    yield Check("git", "ok" if git else "missing", git or "diff and breaking cannot read revisions; install git")
    yield _cache()


def _needs() -> dict[str, dict[str, str]]:
    """What the package asks for: by extra (nothing: always) the packages and their versions."""
    own: dict[str, dict[str, str]] = {"": {}}
    leads: dict[str, list[str]] = {}
    try:
        lines = requires("tracelang") or []
    except PackageNotFoundError:
        lines = ["lark", "pydantic", "click", "rich"]
    for line in lines:
        found = REQUIREMENT.match(line)
        if found is None:
            continue
        name, inner, bound, extra = found[1], found[2], found[3].strip(), found[4] or ""
        if name == "tracelang":
            leads.setdefault(extra, []).extend((inner or "").split(","))
        else:
            own.setdefault(extra, {})[name] = bound
    for extra, others in leads.items():
        for other in others:
            own[extra] = own.get(other, {}) | own.get(extra, {})
    return own


def _package(name: str, bound: str) -> tuple[Status, str]:
    found = _version(name)
    if found is None:
        return "missing", f"pip install '{name}{bound}'"
    if not _within(found, bound):
        return "broken", f"{found} is here, {bound} is needed: pip install '{name}{bound}'"
    return "ok", found


def _extra(extra: str, packages: dict[str, str], told_of: set[str]) -> Check:
    """`told_of` are packages of which another line tells what is here."""
    told = {name: _package(name, bound) for name, bound in packages.items()}
    use = EXTRAS.get(extra, "")
    bad = {name: one for name, one in told.items() if one[0] != "ok"}
    if bad:
        absent = any(status == "missing" for status, _ in bad.values())
        listed = ", ".join(
            name if status == "missing" else f"{name} ({detail})" for name, (status, detail) in bad.items()
        )
        need = f"{use}: need" if use else "needs"
        return Check(extra, "missing" if absent else "broken", f"{need} {listed}; pip install 'tracelang[{extra}]'")
    listed = ", ".join(f"{name} {detail}" for name, (_, detail) in told.items() if name not in told_of)
    return Check(extra, "ok", f"{f'{use}: ' if use else ''}{listed}")


def _within(found: str, bound: str) -> bool:
    """Is the version inside the bounds `>=a,<b`? Others than these are taken as kept."""
    for part in bound.split(","):
        sign = re.match(r"\s*(>=|<)\s*([\d.]+)", part)
        if sign is None:
            continue
        least = _numbers(found) >= _numbers(sign[2])
        if least != (sign[1] == ">="):
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.split(r"[^\d.]", text)[0].split(".") if part]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _devices() -> Check:
    if find_spec("torch") is None:
        return Check("devices", "missing", "torch is not installed: nothing can be computed here")
    try:
        import torch

        found = [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
        found += ["mps"] if torch.backends.mps.is_available() else []
    except Exception as error:  # a library that does not fit this machine may raise anything
        return Check("devices", "broken", f"torch cannot be used: {' '.join(str(error).split())[:200]}")
    return Check("devices", "ok", ", ".join([*found, f"cpu ({os.cpu_count()} cores)"]))


def _plugins(name: str, group: str, wanted: Callable[[str], bool], remedy: str) -> Check:
    points: dict[str, set[str]] = {}
    for point in sorted(entry_points(group=group), key=lambda one: one.name):
        package = str(point.dist.name) if point.dist else ""
        if wanted(package):
            points.setdefault(f"{package} {_version(package) or ''}".strip(), set()).add(point.name)
    if not points:
        return Check(name, "missing", f"none is installed: {remedy}")
    return Check(name, "ok", "; ".join(f"{', '.join(sorted(names))} ({package})" for package, names in points.items()))


def _cache() -> Check:
    where = cache_folder("")
    try:
        limit = f"at most {cache_limit() / 2**30:.3g} GiB a kind"
        there = next(place for place in (where, *where.parents) if place.is_dir())
        free = shutil.disk_usage(there).free
        if not os.access(there, os.W_OK):
            return Check("cache", "broken", f"{where}: cannot be written to; set TRACELANG_CACHE to a folder that can")
    except (ValueError, OSError) as error:
        return Check("cache", "broken", " ".join(str(error).split()))
    return Check("cache", "ok", f"{where}, {free / 2**30:.3g} GiB free, {limit}; `tracec cache` shows what it holds")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
