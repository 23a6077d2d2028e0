"""The standard streams of a command, which may be closed, full or broken.

Output that nobody gets is no outcome: it ends the command with one line and the exit code 2, whatever the command was
about to say of a recipe. A reader that has enough, as in `tracec lint . | head`, ends it in silence with 141, as it
ends other programs.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

FAILED = 2
BROKEN = 141  # 128 + SIGPIPE: what a shell shows of a program that a broken pipe ended


class Lost(SystemExit):
    """A standard stream failed, which has been said. No `except Exception` stands in its way."""


class _Stream(io.RawIOBase):
    """A standard stream, or one that is closed."""

    def __init__(self, stream: Any) -> None:
        self.inner = None if stream is None else getattr(stream.buffer, "raw", stream.buffer)
        self.lost = False

    def fileno(self) -> int:
        return super().fileno() if self.inner is None else int(self.inner.fileno())

    def isatty(self) -> bool:
        return self.inner is not None and bool(self.inner.isatty())

    def _open(self) -> Any:
        if self.inner is None:
            raise OSError(errno.EBADF, "it is closed")
        return self.inner

    def _fail(self, doing: str, error: OSError) -> Lost:
        self.lost = True
        if isinstance(error, BrokenPipeError):
            return Lost(BROKEN)
        print(f"error: cannot {doing}: {(error.strerror or str(error)).lower()}", file=sys.stderr, flush=True)
        return Lost(FAILED)


class _Input(_Stream):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        try:
            found: int | None = self._open().readinto(buffer)
        except OSError as error:
            raise self._fail("read standard input", error) from None
        return found


class _Output(_Stream):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write some of it. After a failure the rest is dropped: what is still in the buffers has nowhere to go."""
        try:
            while not self.lost:
                written: int | None = self._open().write(data)
                if written is not None:
                    return written
                self._wait()
        except OSError as error:
            raise self._fail("write to standard output", error) from None
        return len(data)

    def _wait(self) -> None:
        """Until there is room again in a pipe that somebody made one that does not wait."""
        from select import select

        select((), (self.fileno(),), ())


class _Errors(_Stream):
    """What cannot be said is not said; the exit code still tells the outcome."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with suppress(OSError):
            self._open().write(data)
        return len(data)


@contextmanager
def guarded() -> Iterator[None]:
    """Standard streams, for the length of the block, whose failures end in `Lost`.

    Where a descriptor of theirs is closed it is taken, so that no file which is opened later is written to by what
    means the stream.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stderr = _over(_Errors, sys.stderr, line_buffering=True)
    sys.stdout = _over(_Output, sys.stdout)
    sys.stdin = _over(_Input, sys.stdin)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _over(kind: type[_Stream], stream: Any, line_buffering: bool = False) -> Any:
    """A stream like `stream`, over `kind`; one without a descriptor, as a test has it, stays as it is."""
    if stream is not None:
        try:
            stream.fileno(), stream.buffer
        except (AttributeError, OSError, ValueError):
            return stream
    raw = kind(stream)
    buffered = io.BufferedReader(raw) if kind is _Input else io.BufferedWriter(raw)
    line_buffering = line_buffering or getattr(stream, "line_buffering", False)
    encoding, errors = getattr(stream, "encoding", "utf-8"), getattr(stream, "errors", "backslashreplace")
    return io.TextIOWrapper(buffered, encoding, errors, line_buffering=line_buffering)
