"""A blind sample of a run's pictures, for people to say what is in them: a folder to hand on, and a key to keep."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

from tracelang.evidence import artifact as artifacts
from tracelang.evidence.rating import key as keys
from tracelang.evidence.rating.errors import RatingError
from tracelang.evidence.rating.kept import asked, places, sensitive
from tracelang.evidence.rating.key import Exported, Key
from tracelang.evidence.rating.page import instructions, page
from tracelang.evidence.rating.sheets import PICTURE, SHEET, SHOWS
from tracelang.evidence.report.standing import standing
from tracelang.models.weights import sha256


def export(out: Path, folder: Path, key_file: Path, *, n: int = 50, seed: int = 0) -> Key:
    """`n` of the pictures of the run that OUT's report is of, base and edited mixed, picked and put in order by `seed`,
    in a new `folder`: numbered pictures, a sheet to fill, a page to click through, and how to go about it. Which
    picture is which stands in the key alone, outside of the folder.

    Raises RatingError, EvidenceError, WorkError; nothing is written then.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RatingError(f"{folder}: is there already; name a new folder with -o")
    if key_file.resolve().is_relative_to(folder.resolve()):
        raise RatingError(f"{key_file}: lies in the folder that raters get, and would tell them; name another place")
    if key_file.exists():
        raise RatingError(f"{key_file}: is there already, and the only key to its export; name another with --key")
    artifact = artifacts.read(out)
    _, work = standing(artifact)
    concepts = asked(artifact.plan, work.run)
    if not concepts:
        raise RatingError(f"{out}: no judge of its run knows any concept of the recipe; verify it with --judge")
    kept = places(artifact, work)
    if n > len(kept):
        raise RatingError(f"{out}: its run drew {len(kept):,} pictures of plain prompts; give --n {len(kept)} or less")
    chosen = random.Random(seed).sample(list(kept), n)
    names = [f"{i:0{len(str(n))}d}.png" for i in range(1, n + 1)]
    key = Key(
        run=work.run.digest,
        seed=seed,
        asked=concepts,
        pictures=tuple(
            Exported(name=name, unit=one.unit, row=one.row, side=one.side, sha256=sha256(kept[one]))
            for name, one in zip(names, chosen, strict=True)
        ),
    )
    words = [one.word for one in concepts]
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".tracec-", dir=folder.parent))
    try:
        (draft / "pictures").mkdir()
        for name, one in zip(names, chosen, strict=True):
            shutil.copyfile(kept[one], draft / "pictures" / name)
        rows = "".join(f"{name},\n" for name in names)
        (draft / SHEET).write_text(f"{PICTURE},{SHOWS}\n{rows}", "utf-8")
        (draft / "README.txt").write_text(instructions(words), "utf-8")
        (draft / "index.html").write_text(page(names, words, sensitive(artifact.plan)), "utf-8")
        draft.chmod(0o755)
        keys.write(key, key_file)  # before the folder, which is worth nothing without it
        try:
            draft.replace(folder)
        except OSError:
            key_file.unlink(missing_ok=True)
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return key
