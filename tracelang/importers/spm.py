"""SPM: LECO's files with a second action, `erase_with_la`, which also holds words near the concept.

The direction is taken from `neutral` here, not from `unconditional`.
"""

from __future__ import annotations

from tracelang.diagnostics import Report, Source
from tracelang.importers.draft import Draft, shown
from tracelang.importers.leco import BARE, erase, finish, method, read

HELD = "blank {}\nkeep {}"


def convert(source: Source, folder: str, report: Report) -> Draft | None:
    """A recipe that erases what SPM's file erases, by a `steer` pass with SPM's settings."""
    draft = Draft("SPM", source, report)
    found = read(draft, folder)
    if found is None:
        return None
    entries, training = found
    strengths, bare, anchored = [], False, False
    for entry in entries:
        action = entry.text("action") or "erase"
        if action not in ("erase", "erase_with_la"):
            report.error("TL131", f"SPM knows no action {shown(action)}", entry.place("action"))
            continue
        strengths += erase(draft, entry, relative_to_neutral=True)
        bare = bare or not entry.truth("use_template")
        entry.number("la_strength")
        if action == "erase_with_la":
            anchored = True
            message = "SPM holds random words near the concept; a recipe holds what `preserve` names"
            draft.changed(message, entry.place("la_strength"), help="add `preserve` with what is near the concept")
    finish(draft, entries, strengths)
    if bare:
        draft.templates["object"] = BARE
        draft.remarks.append("SPM takes each text as it stands. Without the line `templates` the usual wordings hold.")
    draft.remarks.append("SPM gates its adapters by the prompt; an edit of a recipe is always there.")
    draft.method = method(draft, "spm", training, strengths, HELD if anchored else "")
    return draft
