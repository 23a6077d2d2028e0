"""Reports that stood in an OUT before: set aside under `report/earlier`, numbered, and never removed.

The paths of pictures in them stay relative to `OUT/report`. `written.json` has the digests of what was written last, so
that a change by another hand is noticed; there is no key in it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tracelang.models.weights import sha256

REPORT = "report"
FORMS = ("report/report.json", "report/report.html", "report/hits.jsonl", "README.md")
"""What a verification writes for readers, by path inside OUT."""
WRITTEN = "report/written.json"
SIGNED = (
    "report/report.intoto.json",
    "report/provenance.intoto.json",
    "report/report.sigstore.json",
    "report/provenance.sigstore.json",
)
"""Attestations of what stands in OUT: of the report and of the edit, with a key and without one."""


def set_aside(out: Path) -> Path:
    """Keep the report in OUT, and the card with it, under a second name in a new folder of `report/earlier`, which is
    returned. Attestations of it go there with it. Raises OSError.
    """
    held = out / REPORT / "earlier"
    number = 1 + max((int(path.name) for path in held.glob("*") if path.name.isdecimal()), default=0)
    while True:
        folder = held / f"{number:04d}"
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
    for name in (*FORMS, *SIGNED):
        if (out / name).is_file():
            keep(out / name, folder / Path(name).name)
    for name in SIGNED:  # they say nothing of what comes instead
        (out / name).unlink(missing_ok=True)
    return folder


def changed(out: Path, readme: str = "") -> Iterator[str]:
    """The forms that are not what was written last, by path inside OUT; `readme` is the digest of `apply`'s card."""
    try:
        digests = json.loads((out / WRITTEN).read_bytes())
        stated = {name: str(digests[name]) for name in FORMS}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        stated = {} if (out / FORMS[0]).exists() else {"README.md": readme}  # nothing is known of what stands there
    for name, digest in stated.items():
        if digest and (out / name).is_file() and sha256(out / name) not in (digest, readme):
            yield name


def note(out: Path) -> str:
    """The text of `written.json` for the forms as they now are."""
    return json.dumps({name: sha256(out / name) for name in FORMS}, indent=2) + "\n"


def carry(out: Path, draft: Path) -> Path | None:
    """Take finished work and all reports in OUT over into `draft`, which is about to replace it: of another edit, or
    of the same one made again. The report itself becomes an earlier one, whose place in OUT is returned.
    """
    if not (out / REPORT).is_dir():
        return None
    left = shutil.ignore_patterns("lock", ".*.part")
    shutil.copytree(out / REPORT, draft / REPORT, symlinks=True, copy_function=keep, ignore=left)
    if not (draft / FORMS[0]).is_file():
        for name in SIGNED:
            (draft / name).unlink(missing_ok=True)
        return None
    if (out / "README.md").is_file():
        keep(out / "README.md", draft / "README.md")
    folder = set_aside(draft)
    for name in (*FORMS, WRITTEN):
        (draft / name).unlink(missing_ok=True)
    return out / folder.relative_to(draft)


def keep(source: str | Path, target: str | Path) -> str:
    """Make `target` another name of the file, or a copy where the file system has no such thing. Raises OSError."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return str(target)
