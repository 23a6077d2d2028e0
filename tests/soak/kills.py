"""SIGKILL at random moments of `apply`: no OUT or a whole one, and with `--force` always a whole one."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.soak.command import Pair, finished, forked, recipe, tree, words


def kill(at: Path, pair: Pair, count: int, random: Random) -> Counter[str]:
    """Kill `count` runs, every second one with `--force` over a whole OUT; count what was found afterwards.

    Raises AssertionError: half an OUT, more left behind than one draft, or a base that is not what it was.
    """
    at.mkdir()
    base, form, whole = pair.base, pair.form, pair.whole
    given, out, untouched = recipe(at), at / "place" / "out", tree(base.at)
    seen = Counter[str]()
    for i in range(count):
        force = i % 2 == 1
        if force:
            code, said, _ = finished(words(base, given, form, out, "--force"), at / "said")
            assert code == 0 and tree(out) == whole, said
        elif out.exists():
            shutil.rmtree(out)
        child = forked(words(base, given, form, out, *(["--force"] if force else [])), at / "said")
        time.sleep(random.uniform(0, 1.1 * pair.seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        said = at / "said"  # killed at once, it said nothing
        assert not said.exists() or "Traceback" not in said.read_text(errors="replace")
        ended = "ended first" if os.WIFEXITED(status) else "killed"
        there = out.exists()
        assert not there or tree(out) == whole, f"half an OUT after {ended}"
        assert there or not force, "an OUT that stood is gone"
        left = [path.name for path in out.parent.iterdir() if path.name != "out"] if out.parent.exists() else []
        assert len(left) <= 1 and all(name.startswith(".out.") for name in left), left
        seen[f"{ended}, {'whole OUT' if there else 'no OUT'}"] += 1
        seen["drafts left"] += len(left)
        assert tree(base.at) == untouched, "the base was touched"
    code, said, _ = finished(words(base, given, form, out, "--force"), at / "said")
    assert code == 0 and tree(out) == whole and [path.name for path in out.parent.iterdir()] == ["out"], said
    return seen
