"""SPM: LECO's files with a second action, `erase_with_la`, which also holds words near the concept.

The direction is taken from `neutral` here, not from `unconditional`.
"""

from __future__ import annotations

from tracelang.diagnostics import Findings, Source
from tracelang.importers.draft import Draft, shown
from tracelang.importers.leco import BARE, Defaults, Numbers, Taken, erase, finish, greatest, method, read

DEFAULTS: Defaults = {"rank": 1, "alpha": 1, "iterations": 3000, "lr": 1e-4, "max_denoising_steps": 30}
"""SPM's, https://github.com/Con6924/SPM, src/configs/config.py; below, src/configs/prompt.py."""
ANCHORING = 1000.0


def convert(source: Source, folder: str, report: Findings) -> Draft | None:
    """A recipe that erases what SPM's file erases, by a `steer` pass with SPM's settings."""
    draft = Draft("SPM", source, report)
    found = read(draft, folder, DEFAULTS)
    if found is None:
        return None
    entries, training = found
    taken, bare = Taken(), False
    holding: Numbers = []
    for entry in entries:
        action = entry.text("action") or "erase"
        if action not in ("erase", "erase_with_la"):
            report.error("TL131", f"SPM knows no action {shown(action)}", entry.place("action"))
            continue
        erase(draft, entry, taken, relative_to_neutral=True)
        bare = bare or not entry.truth("use_template")
        weight = entry.number("la_strength", ANCHORING)
        if action == "erase_with_la":
            holding.append((ANCHORING if weight is None else weight, entry.place("la_strength")))
            message = "SPM holds random words near the concept; a recipe holds what `preserve` names"
            draft.changed(message, entry.place("la_strength"), help="add `preserve` with what is near the concept")
        elif entry.has("la_strength"):
            draft.left_out("`la_strength` without the action `erase_with_la`", entry.place("la_strength"))
    finish(draft, entries, taken)
    if bare:
        draft.templates["object"] = BARE
        draft.remarks.append("SPM takes each text as it stands. Without the line `templates` the usual wordings hold.")
    draft.remarks.append("SPM gates its adapters by the prompt; an edit of a recipe is always there.")
    draft.method = method(draft, "spm", training, taken, _held(draft, holding))
    return draft


def _held(draft: Draft, holding: Numbers) -> str:
    """The term that holds what stays, by the greatest strength that an entry asks for."""
    if not holding:
        return ""
    weight = draft.setting("steer", "weight", *greatest(draft, "`la_strength`", holding), term="keep")
    return f"keep {{ {weight} }}" if weight else "keep {}"
