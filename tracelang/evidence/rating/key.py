"""The key of an export: which picture is which. Whoever gives one back is not trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from tracelang.evidence.rating.errors import RatingError
from tracelang.evidence.schema import Count, Frozen
from tracelang.files import contents, write_text

LARGEST = 16 * 2**20
"""Bytes of a key."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Asked(Frozen):
    """What raters look for: `concept` as the recipe calls it, `word` as they do."""

    concept: str
    word: str


class Exported(Frozen):
    """The picture `name` of the export: which one of the `row` of a unit it is, and the sha256 of its file."""

    name: str
    unit: str
    row: Count
    side: Literal["base", "after"]
    sha256: Digest


class Key(Frozen):
    """`run` is the digest of the run whose pictures these are, picked and put in order by `seed`."""

    format_version: Literal[1] = 1
    run: Digest
    seed: Count
    asked: tuple[Asked, ...] = Field(min_length=1)
    pictures: tuple[Exported, ...] = Field(min_length=1)


def write(key: Key, file: Path) -> None:
    write_text(file, key.model_dump_json(indent=1) + "\n")


def read(file: Path) -> Key:
    """Raises RatingError."""
    try:
        data = contents(file, LARGEST)
        if len(data) > LARGEST:
            raise RatingError(f"{file}: is too large for a key of `tracec rate export`")
        key = Key.model_validate_json(data)
    except OSError as error:
        raise RatingError(f"{file}: cannot be read ({error.strerror}); `tracec rate export` writes the key") from None
    except (ValidationError, ValueError, RecursionError):
        raise RatingError(f"{file}: is no key of `tracec rate export`; give the file that it wrote") from None
    for what, names in (
        ("pictures", [one.name for one in key.pictures]),
        ("words", [one.word.casefold() for one in key.asked]),
    ):
        if len({*names}) < len(names):
            raise RatingError(f"{file}: names two {what} alike; give the file that `tracec rate export` wrote")
    return key
