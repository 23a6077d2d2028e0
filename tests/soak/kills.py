"""SIGKILL at random moments of `apply` and `patch`: no OUT or a whole one, and with `--force` always a whole one."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.soak.command import Base, Pair, finished, forked, recipe, tree, words


class Moment:
    """When to kill: anywhere in a run, or a little after it."""

    def __init__(self, seconds: float, random: Random) -> None:
        self._seconds, self._random = seconds, random
        self.killed = 0

    def kill(self, child: int) -> str:
        """Kill a child process at a random moment, and say whether it had ended by itself."""
        time.sleep(self._random.uniform(0, 1.1 * self._seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFEXITED(status):
            self.killed += 1
            return "killed"
        self._seconds *= 0.9  # it was measured while the machine was busier
        return "ended first"


def kill(at: Path, pair: Pair, count: int, random: Random) -> Counter[str]:
    """Kill `count` runs, every second one with `--force` over a whole OUT; count what was found afterwards.

    A run that ended before it was killed is counted beside them.

    Raises AssertionError: half an OUT, more left behind than one draft, or a base that is not what it was.
    """
    at.mkdir()
    base, form, whole = pair.base, pair.form, pair.whole
    given, out, untouched = recipe(at), at / "place" / "out", tree(base.at)
    seen, moment = Counter[str](), Moment(pair.seconds, random)
    while moment.killed < count:
        force = moment.killed % 2 == 1
        if force:
            code, said, _ = finished(words(base, given, form, out, "--force"), at / "said")
            assert code == 0 and tree(out) == whole, said
        elif out.exists():
            shutil.rmtree(out)
        child = forked(words(base, given, form, out, *(["--force"] if force else [])), at / "said")
        ended = moment.kill(child)
        said = at / "said"  # killed at once, it said nothing
        assert not said.exists() or "Traceback" not in said.read_text(errors="replace")
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


def kill_patch(at: Path, base: Base, count: int, random: Random) -> Counter[str]:
    """Kill `count` runs of `tracec patch` on a single file, every second one back from the edit to its base.

    A run that ended before it was killed is counted beside them.

    Raises AssertionError: half a file, more left behind than one draft, or a file that was read and has changed.
    """
    at.mkdir()
    code, said, _ = finished(words(base, recipe(at), "single-file,delta", at / "made"), at / "said")
    assert code == 0, said
    delta, edited, out = at / "made" / "delta.safetensors", at / "made" / base.at.name, at / "place" / "out.safetensors"
    sides = (base.at, edited)
    untouched, seen = [tree(one) for one in (*sides, delta)], Counter[str]()
    assert untouched[0] != untouched[1]
    out.parent.mkdir()

    def told(back: bool) -> list[str]:
        return ["patch", str(delta), "--model", str(sides[back]), "--out", str(out), *(["--revert"] if back else [])]

    def patched(back: bool) -> float:
        """Whatever was killed before, the next run is whole and leaves nothing else."""
        out.unlink(missing_ok=True)
        code, said, seconds = finished(told(back), at / "said")
        assert code == 0 and tree(out) == untouched[not back] and [*out.parent.iterdir()] == [out], said
        return seconds

    moment = Moment(min(patched(False), patched(True)), random)
    while moment.killed < count:
        back = moment.killed % 2 == 1
        out.unlink(missing_ok=True)
        child = forked(told(back), at / "said")
        ended = moment.kill(child)
        assert not out.exists() or tree(out) == untouched[not back], f"half a file after {ended}"
        left = [path.name for path in out.parent.iterdir() if path != out]
        assert len(left) <= 1 and all(name.startswith(".out.safetensors.partial-") for name in left), left
        assert [tree(one) for one in (*sides, delta)] == untouched, "a file that is only read was touched"
        seen[f"{ended}, {'whole file' if out.exists() else 'no file'}"] += 1
        seen["drafts left"] += len(left)
        if left:
            patched(back)
    return seen
