"""JSON Schemas of what is written for other programs: plans, what `lint` finds, what `diff` finds.

`python -m tracelang.cli.schemas` writes docs/schemas again; `--check` only compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tracelang.plan.types import Plan

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DIGEST = "^[0-9a-f]{64}$"


class Record(BaseModel):
    """What is written holds these fields and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Place(Record):
    """A stretch of a file: lines and columns from 1, the end exclusive. `text` is said of it."""

    path: str
    line: int = Field(ge=1)
    column: int = Field(ge=1)
    end_line: int = Field(ge=1)
    end_column: int = Field(ge=1)
    text: str


class Fix(Record):
    """`text` of an edit is what goes in the place of its stretch. A safe fix changes no meaning."""

    message: str
    safe: bool
    edits: list[Place]


class Finding(Record):
    """One finding. `help` and `note` are empty where there is nothing to say. `allowed` is the reason of the comment
    that allows it, null where none does.
    """

    code: str = Field(pattern=r"^TL[0-9]{3}$")
    severity: Literal["error", "warning", "note"]
    message: str
    primary: Place
    secondary: list[Place]
    help: str
    note: str
    fix: Fix | None
    allowed: str | None


class Lint(Record):
    """What `tracec lint --format json` prints."""

    format_version: Literal[1]
    diagnostics: list[Finding]


class Change(Record):
    """`field` of `subject` went from `before` to `after`, as a recipe writes them. `+`, `-`: it came or went whole."""

    sign: Literal["+", "-", "~"]
    part: Literal["header", "concept", "erase", "preserve", "method", "control", "expect"]
    subject: str
    field: str
    before: str
    after: str


class Diff(Record):
    """What `tracec diff --format json` prints. `before` and `after` are the digests of the two plans."""

    format_version: Literal[1]
    same: bool
    before: str = Field(pattern=DIGEST)
    after: str = Field(pattern=DIGEST)
    changes: list[Change]


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by the name of its file."""
    plan = Plan.model_json_schema(mode="validation")
    plan["properties"]["digest"] = {"type": "string", "pattern": DIGEST, "title": "Digest"}
    plan["required"] = sorted({*plan["required"], "digest"})
    found = {"plan": plan, "lint": Lint.model_json_schema(), "diff": Diff.model_json_schema()}
    return {f"{name}.schema.json": {"$schema": DIALECT, **schema} for name, schema in found.items()}


def main(arguments: list[str]) -> int:
    stale = []
    for name, schema in schemas().items():
        text, path = json.dumps(schema, indent=2) + "\n", FOLDER / name
        if "--check" in arguments:
            stale += [name] if not path.is_file() or path.read_text("utf-8") != text else []
        else:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    told = f"{', '.join(stale)} stale: run python -m tracelang.cli.schemas" if stale else "docs/schemas is current"
    print(told if "--check" in arguments else f"wrote {', '.join(schemas())}")
    return int(bool(stale))


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
