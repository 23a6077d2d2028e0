"""The configs and CLIP's tokenizer that the package ships, for files that hold weights alone. Torch-free.

`stock/NAME.json` holds the JSON files of a folder in diffusers layout by path, as facts of the published models
(stable-diffusion-v1-5, stable-diffusion-2-1 and -2-1-base, stable-diffusion-xl-base-1.0): their sizes, schedule and
scaling; `sdxl-v` is what models trained on from SDXL to predict v share. `clip_words.txt.bz2` is OpenAI's, see
`stock/NOTICE`; all these models share it.
"""

from __future__ import annotations

import bz2
import json
import os
import shutil
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

from tracelang.models.single import reference

FILES = Path(__file__).parent / "stock"
NAMES = tuple(sorted(path.stem for path in FILES.glob("*.json")))
START, END = "<|startoftext|>", "<|endoftext|>"


def table(name: str) -> dict[str, dict[str, Any]]:
    """The JSON files of a stock model, by path; `like` another one, keys that differ."""
    told: dict[str, Any] = json.loads((FILES / f"{name}.json").read_text("utf-8"))
    like = told.pop("like", None)
    files = table(like) if like else {}
    return {path: files.get(path, {}) | told.get(path, {}) for path in sorted(files.keys() | told.keys())}


def merges() -> list[str]:
    """CLIP's merges, the first one first.

    The file has what each of them makes, whose halves are what the merges before leave of it. It stands there
    backwards, with a tab in front where it ends no word, and no mark where it does: so they pack best.
    """
    ranks = dict[str, int]()
    for line in bz2.decompress((FILES / "clip_words.txt.bz2").read_bytes()).decode().splitlines():
        letters = list(line[:0:-1]) if line.startswith("\t") else [*line[:0:-1], f"{line[0]}</w>"]
        ranks[" ".join(_halves(letters, ranks))] = len(ranks)
    return list(ranks)


def _halves(parts: list[str], ranks: dict[str, int]) -> list[str]:
    """Merge what comes first among the merges, until two parts are left."""
    while len(parts) > 2:
        at = min(range(len(parts) - 1), key=lambda i: ranks.get(f"{parts[i]} {parts[i + 1]}", len(ranks)))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def vocabulary(pairs: list[str]) -> dict[str, int]:
    """CLIP's tokens and their numbers: the bytes, the bytes that end a word, what is merged, and the two marks."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(rest))]
    merged = ("".join(pair.split()) for pair in pairs)
    return {word: i for i, word in enumerate(chain(letters, (f"{x}</w>" for x in letters), merged, (START, END)))}


def folder(name: str) -> Path:
    """A stock model's configs and tokenizers as a folder in the user's cache, without weights. Raises OSError."""
    where = reference.folder() / f"stock-{name}"
    if (where / "model_index.json").is_file():
        return where
    where.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".", dir=where.parent))
    try:
        pairs = merges()
        for path, value in table(name).items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        for tokenizer in draft.glob("tokenizer*"):
            lines = ["#version: 0.2", *pairs]
            (tokenizer / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            (tokenizer / "vocab.json").write_text(json.dumps(vocabulary(pairs), ensure_ascii=False), encoding="utf-8")
        publish(draft, where)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return where


def publish(draft: Path, where: Path) -> None:
    """Give a finished folder its name; another process may have been faster, with the same contents."""
    try:
        os.rename(draft, where)
    except OSError:
        if not where.is_dir():
            raise
