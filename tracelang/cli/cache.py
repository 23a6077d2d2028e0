"""`tracec cache`."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from tracelang.cli.writing import cannot
from tracelang.files import cache_folder, cache_limit
from tracelang.text import safe

ABANDONED = 24 * 3600
"""Seconds after which a draft is taken for what a killed run left."""
HEX = r"[0-9a-f]{64}"


@dataclass(frozen=True, slots=True)
class Kind:
    """What lies in one folder of the cache: the names of its files or folders, and whether its size has a limit."""

    what: str
    name: str
    folders: bool = False
    limited: bool = False


KINDS: dict[str, Kind] = {
    "states": Kind("text states", rf"{HEX}\.safetensors", limited=True),
    "trajectories": Kind("trajectories, and states of priors", rf"(prior-)?{HEX}\.safetensors", limited=True),
    "expected": Kind("what configs ask of weights", rf"{HEX}\.json"),
    "digests": Kind("digests of weights files", rf"{HEX}\.json"),
    "models": Kind("unpacked embedded models", r"[\w-]+-[0-9a-f]{16}", folders=True),
    "single": Kind("stand-ins for single files", r"[0-9a-f]{32}|stock-[\w-]+", folders=True),
}
DRAFT = re.compile(r"\.(tracec-[a-z0-9_]+\.part|[a-z0-9_]{8})")


@dataclass
class Held:
    """What one folder of the cache holds: entries that are the cache's own, and how many things in it are not."""

    where: Path
    own: list[tuple[Path, os.stat_result, int]] = field(default_factory=list)
    others: int = 0
    link: bool = False

    @property
    def size(self) -> int:
        return sum(size for _, _, size in self.own)


HELP = f"""Show what is kept between runs: how much of it, and when it was last used.

--clear removes it, all or of one KIND: {", ".join(KINDS)}. What is needed is made anew."""


@click.command(help=HELP)
@click.option("--clear", is_flag=True, help="Remove it.")
@click.argument("kind", required=False, metavar="[KIND]", type=click.Choice(list(KINDS)))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(clear: bool, kind: str | None, as_json: bool) -> None:
    try:
        limit = cache_limit()
    except ValueError as error:
        raise click.ClickException(safe(str(error))) from error
    chosen = [kind] if kind else list(KINDS)
    try:
        found = {name: _held(name) for name in chosen}
        removed = {name: _cleared(held) for name, held in found.items()} if clear else {}
    except OSError as error:
        raise cannot("look through", Path(error.filename or cache_folder(".")), error) from error
    if as_json:
        click.echo(json.dumps(_facts(found, removed if clear else None, limit), indent=2))
        return
    for line in _lines(found, removed if clear else None, limit):
        click.echo(safe(line))


def _held(name: str) -> Held:
    """What lies there, links not followed."""
    kind, held = KINDS[name], Held(cache_folder(name))
    try:
        status = held.where.lstat()
    except FileNotFoundError:
        return held
    if not stat.S_ISDIR(status.st_mode):
        held.link, held.others = stat.S_ISLNK(status.st_mode), 1
        return held
    with os.scandir(held.where) as entries:
        for entry in entries:
            known = entry.stat(follow_symlinks=False)
            fits = stat.S_ISDIR(known.st_mode) if kind.folders else stat.S_ISREG(known.st_mode)
            draft = DRAFT.fullmatch(entry.name) is not None
            if draft and time.time() - known.st_mtime < ABANDONED:
                continue  # somebody may be writing it
            if (draft and not stat.S_ISLNK(known.st_mode)) or (fits and re.fullmatch(kind.name, entry.name)):
                held.own.append((Path(entry.path), known, _size(Path(entry.path), known)))
            else:
                held.others += 1
    return held


def _size(path: Path, known: os.stat_result) -> int:
    if not stat.S_ISDIR(known.st_mode):
        return known.st_size
    return sum(below.lstat().st_size for below in _below(path))


def _below(folder: Path) -> Iterator[Path]:
    for root, _, files in os.walk(folder, followlinks=False):
        yield from (Path(root) / name for name in files)


def _cleared(held: Held) -> tuple[int, int]:
    """Remove what is the cache's own and nobody has locked; how many entries, and bytes, went."""
    entries = size = 0
    for path, known, bytes_ in held.own:
        if stat.S_ISDIR(known.st_mode):
            if any(_locked(file) for file in _below(path)):
                continue
            shutil.rmtree(path)
        elif _locked(path):
            continue
        else:
            path.unlink(missing_ok=True)
        entries, size = entries + 1, size + bytes_
    return entries, size


def _locked(file: Path) -> bool:
    """Does some process hold a lock on it? Of what cannot be opened, nobody knows: it is left."""
    import fcntl

    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return not file.is_symlink()
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _lines(found: dict[str, Held], removed: dict[str, tuple[int, int]] | None, limit: int) -> Iterator[str]:
    yield f"{cache_folder('')}  (TRACELANG_CACHE names another place)"
    for name, held in found.items():
        if removed is not None:
            entries, size = removed[name]
            left = len(held.own) - entries
            kept = f", {left} left that are in use" if left else ""
            yield f"  {name:13} {entries:7,} removed  {_bytes(size):>9}  {KINDS[name].what}{kept}{_foreign(held)}"
        else:
            count, amount = f"{len(held.own):7,} held   ", f"{_bytes(held.size):>9}"
            yield f"  {name:13} {count}  {amount}  {KINDS[name].what}{_ages(held)}{_foreign(held)}"
    if removed is None:
        yield f"states and trajectories hold at most {_bytes(limit)} each: TRACELANG_CACHE_LIMIT=GIB sets another limit"


def _foreign(held: Held) -> str:
    if held.link:
        return "; the folder is a link, which is not followed"
    return f"; {held.others} beside them that are not the cache's own" if held.others else ""


def _ages(held: Held) -> str:
    if not held.own:
        return ""
    now = time.time()
    days = [max(0.0, (now - known.st_mtime) / 86400) for _, known, _ in held.own]
    return f", last used {min(days):.0f} to {max(days):.0f} days ago"


def _bytes(size: int) -> str:
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"


def _facts(found: dict[str, Held], removed: dict[str, tuple[int, int]] | None, limit: int) -> dict[str, Any]:
    return {
        "format_version": 1,
        "folder": str(cache_folder("")),
        "limit": limit,
        "kinds": {
            name: {
                "what": KINDS[name].what,
                "entries": len(held.own),
                "bytes": held.size,
                "limited": KINDS[name].limited,
                "not_own": held.others,
                "oldest": min((known.st_mtime for _, known, _ in held.own), default=None),
                "newest": max((known.st_mtime for _, known, _ in held.own), default=None),
                **({"removed": removed[name][0], "removed_bytes": removed[name][1]} if removed is not None else {}),
            }
            for name, held in found.items()
        },
    }
