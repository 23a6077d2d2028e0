"""`tracec`: what the installed command calls. `main` and its commands bring click, when they are first asked for."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from tracelang.cli.commands import COMMANDS, WORDS, main, show

__all__ = ["COMMANDS", "WORDS", "main", "run", "show"]

COMPLETING = "_TRACEC_COMPLETE"
"""The variable by which a shell asks click what a word may go on with."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("tracelang.cli.commands"), name)
    raise AttributeError(f"module 'tracelang.cli' has no attribute {name!r}")


def run(name: str | None = None) -> NoReturn:
    """What the installed `tracec` calls: a command, and then out.

    A short command's objects need not be taken apart one by one at its end, for the system takes their memory back
    whole; that would be a tenth of a lint. What asked to be told of the end is told. A process that loaded torch ends
    as others do, threads and all.
    """
    try:
        if _only_files(sys.argv[1:]) and COMPLETING not in os.environ:
            _lint(tuple(sys.argv[2:]))
        import_module("tracelang.cli.commands").main(prog_name=name)
    except SystemExit as end:
        if "torch" in sys.modules or not isinstance(end.code, int):
            raise
        code = end.code
    import atexit

    atexit._run_exitfuncs()
    os._exit(code)


def _only_files(words: list[str]) -> bool:
    """Is it `lint` with files and nothing else: what editors, hooks and people call, and no option to parse?"""
    return (
        words[:1] == ["lint"]
        and len(words) > 1
        and all(word[0:1] != "-" and os.path.isfile(word) for word in words[1:])
    )


def _lint(files: tuple[str, ...]) -> NoReturn:
    """`lint` with every option as it is when it is not given, without the half of the time that click takes to load."""
    from tracelang.cli.collecting import without_collecting

    with without_collecting():
        from tracelang.cli.linting import Asked, lint
        from tracelang.cli.streams import guarded

        with guarded():
            try:
                code = lint(files, Asked())
            except KeyboardInterrupt:  # as click says it
                print("\nAborted!", file=sys.stderr)
                code = 1
    sys.exit(code)
