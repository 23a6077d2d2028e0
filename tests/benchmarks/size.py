"""How large the package is: `python -m tests.benchmarks.size [--against REV]`, in statements by package.

Counted over `tracelang` and `backends` from the syntax tree: every statement, a compound one and each in its body, but
no docstring, comment or line break, so that neither a formatter nor an explanation makes the package larger. Recipes,
grammar and tests are not counted. `--against REV` prints what each package had in that revision, and the difference.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
COUNTED = ("tracelang", "backends")

File = tuple[str, bytes]


def statements(source: bytes) -> int:
    """The statements of a file, docstrings apart."""
    nodes = list(ast.walk(ast.parse(source)))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = sum(isinstance(node, documented) and ast.get_docstring(node) is not None for node in nodes)
    return sum(isinstance(node, ast.stmt) for node in nodes) - docstrings


def package(path: str) -> str:
    """`tracelang/engine/passes/refine.py` belongs to `tracelang/engine`, a file beside the packages to `tracelang`."""
    parents = PurePosixPath(path).parts[:-1]
    return "/".join(parents[:2])


def sizes(files: Iterable[File]) -> Counter[str]:
    """Statements by package."""
    found: Counter[str] = Counter()
    for path, source in files:
        found[package(path)] += statements(source)
    return found


def here() -> Iterator[File]:
    for top in COUNTED:
        for path in sorted((ROOT / top).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_bytes()


def there(revision: str) -> Iterator[File]:
    """The files of a revision, as git has them."""
    listed = git("ls-tree", "-r", "-z", "--name-only", revision, "--", *COUNTED).decode().split("\0")
    for path in listed:
        if path.endswith(".py"):
            yield path, git("show", f"{revision}:{path}")


def git(*words: str) -> bytes:
    result = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True)
    if result.returncode:
        raise SystemExit(result.stderr.decode().strip())
    return result.stdout


def table(now: Counter[str], before: Counter[str] | None) -> list[str]:
    """A line for each package and one for all of them: what it has, what it had, the difference."""
    rows = [(name, now[name], (before or {}).get(name, 0)) for name in sorted({*now, *(before or ())})]
    rows.append(("all", now.total(), before.total() if before else 0))
    if before is None:
        return [f"{name:<28}{new:>7}" for name, new, _ in rows]
    return [f"{name:<28}{new:>7}{old:>9}{new - old:>+8}" for name, new, old in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="REV", help="a revision to compare with")
    revision = parser.parse_args().against
    before = sizes(there(revision)) if revision else None
    print(f"{'statements':<28}{'now':>7}" + (f"{revision[:8]:>9}{'change':>8}" if revision else ""))
    print("\n".join(table(sizes(here()), before)))


if __name__ == "__main__":
    main()
