"""Files of a report: each appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tracelang.checkpoint.patch import sync
from tracelang.evidence.report import Hit


def put(file: Path, text: str) -> None:
    """Write `text` as UTF-8 so that a stop or a power cut leaves the old file or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")  # shards may write side by side
    try:
        with part.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except OSError as error:
        if error.errno is not None:
            error.filename = error.filename or str(file)  # a full disk does not say where
        raise
    finally:
        part.unlink(missing_ok=True)
    sync(file.parent)


def write_hits(hits: Sequence[Hit], folder: Path) -> None:
    """Write `hits.jsonl`: a JSON object a line. No hits give an empty file, which says that they were looked for."""
    put(folder / "hits.jsonl", "".join(f"{hit.model_dump_json()}\n" for hit in hits))
