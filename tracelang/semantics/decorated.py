"""Lines of a list that look like something else than a text: quotes, cells, comments, another format."""

from __future__ import annotations

import re

from tracelang.diagnostics import Findings, Source
from tracelang.semantics.rows import warn as warn_about
from tracelang.syntax import tree

PLAIN = "write one text a line, without marks around it"
SORTS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r'[\[{]|[\]}],?|---|\[["\[{].*|\{".*|[\w ]+:'),
        "this looks like a file of JSON or YAML, and is read as lines of text",
        "write one text a line",
    ),
    (re.compile(r".*\t.*"), "this line has a tab in it, like cells of a table, and is taken whole", PLAIN),
    (
        re.compile(r"""(["'`\u201c]).*(["'`\u201d])[,;]?|.*[,;]"""),
        "the quotes and commas around this line are part of the text",
        PLAIN,
    ),
    (
        re.compile(r".*\s(#|//)\s.*"),
        "a comment behind a text is part of it",
        "put the comment on a line of its own",
    ),
    (re.compile(r"[-*\u2022]\s.*"), "the bullet before this line is part of the text", PLAIN),
)
CELLS = {",": re.compile(r",(?=\S)"), ";": re.compile(";"), "|": re.compile(r"\|")}


def warn(source: Source, taken: list[tuple[int, str]], node: tree.ListFile, report: Findings) -> None:
    """A warning for each sort of line that is most often no text; `taken` are lines and where they begin."""
    starts: dict[int, list[int]] = {}
    for start, line in taken:
        bare = line.strip()
        for i, (pattern, _, _) in enumerate(SORTS):
            if pattern.fullmatch(bare):
                starts.setdefault(i, []).append(start)
                break
    for i, (_, message, help) in enumerate(SORTS):
        warn_about(source, starts.get(i, []), message, help, node, report)
    if len(taken) > 1 and not starts:
        for mark, pattern in CELLS.items():
            counts = {len(pattern.findall(line)) for _, line in taken}
            if len(counts) == 1 and counts != {0}:
                message = f"these lines look like rows of cells, parted by `{mark}`, and are taken whole"
                help = 'name the column of a CSV: `list "…" column "…"`'
                warn_about(source, [start for start, _ in taken], message, help, node, report)
                return
