"""The finished report in all its forms, beside or in place of what stands there."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tracelang.checkpoint import earlier
from tracelang.evidence.artifact import Artifact
from tracelang.evidence.report.against import compare
from tracelang.evidence.report.card import model_card
from tracelang.evidence.report.compose import compose
from tracelang.evidence.report.html import write_html
from tracelang.evidence.schema import Hit, Report
from tracelang.evidence.work import Work
from tracelang.files import write_text


def publish(
    artifact: Artifact, work: Work, other: Report | None = None, say: Callable[[str], None] = warnings.warn
) -> Report:
    """Compose the report of finished work, compared with an `other`, and write all forms of it.

    A report that stands there and says anything else is set aside first, and `say` is told; so it is of one that was
    changed since it was written. Raises WorkError where units are missing or were changed.
    """
    report, hits = compose(artifact, work.run, work.records())
    if other is not None:
        report = report.model_copy(update={"comparison": compare(report, other)})
    folder, text = artifact.report, report.model_dump_json(indent=2) + "\n"
    for line in _make_room(artifact, text):
        say(line)
    write_text(folder / "report.json", text)
    write_hits(hits, folder / "hits.jsonl")
    write_html(report, folder)
    write_text(artifact.out / "README.md", model_card(report, artifact.plan, artifact.out))
    write_text(artifact.out / earlier.WRITTEN, earlier.note(artifact.out))
    return report


def write_hits(hits: Sequence[Hit], file: Path) -> None:
    """Write a JSON object a line. No hits give an empty file, which says that they were looked for."""
    write_text(file, "".join(f"{hit.model_dump_json()}\n" for hit in hits))


def _make_room(artifact: Artifact, text: str) -> Iterator[str]:
    """Set the report aside that stands where `text` is to stand, unless it is that very one. What there is to say."""
    out, stands = artifact.out, artifact.report / "report.json"
    touched = list(earlier.changed(out, artifact.manifest["files"].get("README.md", "")))
    old = stands.read_bytes() if stands.exists() else None
    if touched or old not in (None, text.encode()):
        kept = earlier.set_aside(out)
        for name in touched:
            yield f"{out / name}: was changed after it was written; it is written anew, and kept as it was in {kept}"
        if not touched:
            yield f"{stands}: said something else ({_verdict(old)}); it is kept in {kept}"
    (out / earlier.WRITTEN).unlink(missing_ok=True)


def _verdict(report: bytes | None) -> str:
    try:
        return str(json.loads(report or b"")["verdict"])[:40]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "not readable"
