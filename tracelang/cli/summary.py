"""What a lint found, in a line and in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tracelang.diagnostics import Diagnostic
from tracelang.diagnostics.codes import CODES


def summary(files: int, told: Iterable[Diagnostic], allowed: int, rewritten: int) -> str:
    """`5 files, 2 warnings, 1 fixable`; what there is none of is left out."""
    found = list(told)
    counts = Counter(one.severity for one in found)
    parts = [_counted(files, "file")]
    parts += [_counted(counts[severity], severity) for severity in ("error", "warning", "note") if counts[severity]]
    fixable = sum(one.fix is not None and one.fix.safe for one in found)
    parts += [f"{count} {word}" for count, word in ((fixable, "fixable"), (allowed, "allowed")) if count]
    if rewritten:
        parts.append(f"{_counted(rewritten, 'file')} rewritten")
    return ", ".join(parts if found or allowed or rewritten else [*parts, "nothing found"])


def table(found: Iterable[Diagnostic]) -> str:
    """The number of findings of each code, the most frequent first."""
    counts = Counter((one.code, "allowed" if one.allowed is not None else one.severity) for one in found)
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return "".join(f"{count:>6}  {code}  {severity:<7}  {CODES[code]}\n" for (code, severity), count in rows)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
