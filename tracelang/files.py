"""Bytes onto a path that a user names: a file appears whole or not at all, and what is no file is never replaced."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
import time
from pathlib import Path

WAIT = 10.0
"""Seconds that a named pipe may lack a reader."""
LINKS = 40
WITHOUT_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
"""What a file system answers that has no hard links, as those of memory cards."""


def put(path: Path, data: bytes, *, force: bool = True) -> None:
    """Write `data` to what `path` means, as a shell's `>` would, but a file whole or not at all.

    A link leads to its file, which is replaced in its own folder and keeps its permissions. A device, a pipe or an open
    descriptor (`/dev/stdout`) is written into. Without `force` a file that is there stays: FileExistsError.
    Raises OSError, and ValueError where the path cannot be one.
    """
    number = descriptor(path)
    if number is not None:
        _into(os.dup(number), data)
        return
    found = None
    with contextlib.suppress(FileNotFoundError):  # also of a link that leads to no file yet
        found = os.stat(path)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # Only what has contents can lose them: a device that is none, or a pipe, takes what comes.
    lasting = found is not None and (stat.S_ISREG(found.st_mode) or stat.S_ISBLK(found.st_mode))
    if lasting and not force:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    target = os.path.realpath(path)
    if found is None or (stat.S_ISREG(found.st_mode) and _same(target, found)):
        _replace(target, data, found, force)
    else:
        _into(_opened(path, stat.S_ISFIFO(found.st_mode)), data)


def descriptor(path: Path | str) -> int | None:
    """The number of this process's own descriptor that a path means, as `/dev/stdout` and `/dev/fd/3` do."""
    own = re.compile(rf"/dev/fd|/proc/{os.getpid()}(/task/\d+)?/fd")
    here = os.path.abspath(path)
    for _ in range(LINKS):
        folder, name = os.path.split(here)
        if name.isdecimal() and own.fullmatch(os.path.realpath(folder)):
            return int(name)
        try:
            here = os.path.join(folder, os.readlink(here))
        except (OSError, ValueError):
            return None
    return None


def _same(target: str, found: os.stat_result) -> bool:
    """Is it the file that was found? A deleted one that some process holds open has no name to replace it by."""
    try:
        return os.path.samestat(os.stat(target), found)
    except FileNotFoundError:
        return False


def _replace(target: str, data: bytes, found: os.stat_result | None, force: bool) -> None:
    handle, name = tempfile.mkstemp(prefix=".tracec-", suffix=".tmp", dir=os.path.dirname(target))
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        if found is None:
            os.chmod(name, 0o666 & ~_umask())
        else:
            with contextlib.suppress(OSError):  # only root may give a file away
                os.chown(name, found.st_uid, found.st_gid)
            os.chmod(name, stat.S_IMODE(found.st_mode))
        if force:
            os.replace(name, target)
        else:
            _named(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def _named(name: str, target: str) -> None:
    """A name for a file that is there; unlike a rename, FileExistsError where another has it."""
    try:
        os.link(name, target)
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            os.replace(name, target)
        except OSError:
            os.unlink(target)
            raise


def _opened(path: Path, pipe: bool) -> int:
    """A descriptor to write to a device or a pipe; a pipe waits for its reader, and not for ever."""
    flags = os.O_WRONLY | getattr(os, "O_NOCTTY", 0)
    if not pipe:
        return os.open(path, flags)
    until = time.monotonic() + WAIT
    while True:
        try:
            handle = os.open(path, flags | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() >= until:
                reason = f"nobody opened this pipe for reading within {WAIT:g} seconds"
                raise OSError(errno.ENXIO, reason, str(path)) from None
            time.sleep(0.02)
        else:
            os.set_blocking(handle, True)
            return handle


def _into(handle: int, data: bytes) -> None:
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
