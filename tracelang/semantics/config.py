"""What a team says of all its recipes: `tracelang.toml`, or `[tool.tracelang]` in `pyproject.toml`.

The nearest file above a recipe counts, up to the git root; of the files above that one, what they require counts too,
so that no folder can leave a policy. Paths and patterns start at the file's own folder and stay in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tracelang.diagnostics import Diagnostic, Findings, Source, Span
from tracelang.records import dataclass, field, replace
from tracelang.syntax import toml
from tracelang.syntax.read import decode

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("tracelang.toml", "pyproject.toml")
MAX_BYTES = 1 << 20
LISTS = ("exclude", "select", "ignore", "notes-as-warnings", "require")
KEYS = ("root", *LISTS, "per-file-ignores")
CODES_IN = ("select", "ignore", "notes-as-warnings")


@dataclass(frozen=True, slots=True)
class Config:
    """What holds for the recipes below `folder`. `select` and the like hold codes, or how codes begin."""

    folder: str = ""
    file: str = ""
    root: str | None = None
    exclude: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes_as_warnings: tuple[str, ...] = ()
    require: tuple[tuple[str, str], ...] = ()
    """Each required file, and the configuration that names it."""

    def excludes(self, path: str) -> bool:
        """Is a path in a folder left out?"""
        return any(self._holds(pattern, path) for pattern in self.exclude)

    def ignored_in(self, path: str) -> tuple[str, ...]:
        """The codes that `per-file-ignores` names for a file."""
        return tuple(
            code for pattern, codes in self.per_file_ignores.items() if self._holds(pattern, path) for code in codes
        )

    def tells(self, finding: Diagnostic, select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> bool:
        """Whether a finding is told: errors always, of the rest what is selected and not passed over. What a command
        line selects and ignores comes before what is configured.
        """
        if finding.severity == "error":
            return True
        chosen = select or self.select
        passed = ignore or (() if select else self.ignore)
        more = self.ignored_in(finding.primary.span.source.path)
        return (not chosen or finding.code.startswith(chosen)) and not finding.code.startswith((*passed, *more))

    def _holds(self, pattern: str, path: str) -> bool:
        where = os.path.relpath(os.path.abspath(path), self.folder).replace(os.sep, "/")
        return not where.startswith("../") and re.fullmatch(_regex(pattern), where, re.S) is not None


def config_of(folder: str | Path) -> Config:
    """What holds for the recipes of a folder. Raises CompileError with what is wrong in a file."""
    here, found = os.path.abspath(folder), list[Config]()
    while True:
        config = _read(here)
        if config is not None:
            found.append(config)
        above = os.path.dirname(here)
        if above == here or os.path.exists(os.path.join(here, ".git")):
            break
        here = above
    if not found:
        return Config()
    every = dict.fromkeys(one for config in found for one in config.require)
    return replace(found[0], require=tuple(every))


def root_in(folder: str | Path) -> str:
    """The recipe root of a folder: the configuration's, else the git root around it, else the folder itself. Raises
    CompileError where a configuration is wrong.
    """
    root = config_of(folder).root
    if root is not None:
        return root
    here = place = os.path.realpath(folder)
    while not os.path.exists(os.path.join(place, ".git")):
        above = os.path.dirname(place)
        if above == place:
            return here
        place = above
    return place


def unknown_code(codes: Iterable[str]) -> str:
    """Of codes, or beginnings of codes, the first that is none; else nothing."""
    from tracelang.diagnostics.codes import CODES

    return next((one for one in codes if not one or not any(code.startswith(one) for code in CODES)), "")


def _regex(pattern: str) -> str:
    """As in a `.gitignore`: without a slash a name at any depth; what is below a folder goes with it."""
    text = pattern.removeprefix("./").strip("/")
    parts = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    body = re.sub(r"\*\*/|\*\*|\*|\?|[^*?]+", lambda one: parts.get(one[0]) or re.escape(one[0]), text)
    return ("" if "/" in pattern.rstrip("/") else "(?:.*/)?") + body + "(?:/.*)?"


def _read(folder: str) -> Config | None:
    """The configuration in a folder, if there is one."""
    for name in NAMES:
        path = os.path.join(folder, name)
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            continue
        config = _config_in(path, os.path.relpath(path), (found.st_ino, found.st_mtime_ns, found.st_size))
        if config is not None:
            return config
    return None


@lru_cache(maxsize=256)
def _config_in(path: str, shown: str, stamp: tuple[int, ...]) -> Config | None:
    """The configuration in a file as `stamp` knows it, which is read once however many folders lie below."""
    if not os.path.isfile(path):
        return None
    report = Findings()
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        report.error("TL108", f"`{shown}` cannot be read: {reason}", Span(Source(shown, ""), 0, 0))
        data = b""
    whole = path.endswith(NAMES[0])
    if report.failed or not (whole or b"tracelang" in data):
        report.raise_errors()
        return None
    found = decode(data, shown, MAX_BYTES, report)
    report.raise_errors()
    assert found is not None
    config = _Reading(found.source, os.path.dirname(path), report).config(whole=whole)
    report.raise_errors()
    return config


@dataclass(slots=True)
class _Reading:
    """One file, and what is found in it."""

    source: Source
    folder: str
    report: Findings

    def config(self, *, whole: bool) -> Config | None:
        table: Any = toml.parsed(self.source, self.report)
        if table is None:
            return None
        if not whole:
            tool = table.get("tool")
            table = tool.get("tracelang") if isinstance(tool, dict) else None
            if table is None:
                return None
            if not isinstance(table, dict):
                self._wrong("tracelang", "`tool.tracelang` is a table", "write `[tool.tracelang]`")
                return None
        return self._taken(table)

    def _taken(self, table: dict[str, Any]) -> Config:
        from tracelang.diagnostics.diagnostic import did_you_mean

        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in KEYS:
                self.report.error("TL141", f"no key is called `{key}`", self._key(key), help=did_you_mean(key, KEYS))
            elif key == "root":
                values["root"] = self._root(value)
            elif key == "per-file-ignores":
                values["per_file_ignores"] = self._per_file(value)
            else:
                values[key.replace("-", "_")] = self._texts(key, value)
        values["require"] = tuple((path, self.source.path) for path in self._required(values.get("require", ())))
        return Config(self.folder, self.source.path, **values)

    def _root(self, value: object) -> str | None:
        if not isinstance(value, str):
            self._wrong("root", "`root` is a text", 'write `root = "recipes"`')
            return None
        path = self._inside("root", value)
        if path is not None and not os.path.isdir(path):
            self._wrong("root", f"`{value}` is not a folder", "name a folder that is there", value)
            return None
        return path

    def _required(self, paths: Iterable[str]) -> Iterable[str]:
        for path in paths:
            whole = self._inside("require", path)
            if whole is not None and not os.path.isfile(whole):
                self._wrong("require", f"`{path}` is not a file", "name a recipe that is there", path)
            elif whole is not None:
                yield whole

    def _inside(self, key: str, path: str) -> str | None:
        whole = os.path.normpath(os.path.join(self.folder, path))
        if whole != self.folder and not whole.startswith(self.folder.rstrip(os.sep) + os.sep):
            self._wrong(key, f"`{path}` leaves the folder of this file", "name what lies in it", path)
            return None
        return whole

    def _per_file(self, value: object) -> dict[str, tuple[str, ...]]:
        if not isinstance(value, dict):
            help = 'write `per-file-ignores = { "drafts/*" = ["TL401"] }`'
            self._wrong("per-file-ignores", "`per-file-ignores` is a table of patterns", help)
            return {}
        return {pattern: self._texts(pattern, codes, codes_in=True) for pattern, codes in value.items()}

    def _texts(self, key: str, value: object, codes_in: bool = False) -> tuple[str, ...]:
        codes_in = codes_in or key in CODES_IN
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            example = '["TL401"]' if codes_in else '["company/minimum.erase"]'
            self._wrong(key, f"`{key}` is a list of texts", f"write `{key} = {example}`")
            return ()
        unknown = unknown_code(value) if codes_in else ""
        if unknown:
            from tracelang.diagnostics.codes import CODES
            from tracelang.diagnostics.diagnostic import did_you_mean

            help = did_you_mean(unknown, CODES) or "`tracec rule` lists them"
            self._wrong(key, f"no code begins with `{unknown}`", help, unknown)
        return tuple(value)

    def _wrong(self, key: str, message: str, help: str, value: str = "") -> None:
        span = toml.value(self.source, value, self._key(key))
        self.report.error("TL142", message, span, help=help)

    def _key(self, key: str) -> Span:
        """Where a key is written; the start of the file where it is written in some other way."""
        table = re.search(r"tool[\"'\s]*\.[\"'\s]*tracelang", self.source.text)
        return toml.key(self.source, key, table.start() if table else 0)
