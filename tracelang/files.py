"""Files appear whole or not at all, whoever writes them. Onto a path that a user names, what is no file is never
replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CACHE_LIMIT = 8 * 2**30
"""Bytes, where nobody says."""
WAIT = 10.0
"""Seconds that a named pipe may lack a reader."""
LINKS = 40
WITHOUT_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
"""What a file system answers that has no hard links, as those of memory cards."""


@contextlib.contextmanager
def whole(file: Path, *, force: bool = True, durable: bool = True) -> Iterator[Path]:
    """An empty draft beside `file`, which becomes it when the block ends: a stop or a power cut leaves the old file or
    the new one. Where the block fails, nothing is left.

    A file that is there keeps its owner and permissions; without `force` it stays as it is: FileExistsError. Of a
    cache, whose files are checked when they are read, a power cut may take one: not `durable`, it need not be waited
    for. Raises OSError, which names `file` even where a full disk does not.
    """
    draft = None
    try:
        handle, name = tempfile.mkstemp(prefix=".tracec-", suffix=".part", dir=file.parent)
        os.close(handle)
        draft = Path(name)
        yield draft
        with draft.open("rb+") as stream:
            _as_before(stream.fileno(), file)
            if durable:
                os.fsync(stream.fileno())
        if force:
            draft.replace(file)
        else:
            named(draft, file)
        if durable:
            sync(file.parent)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(draft)):
            error.filename = str(file)
        raise
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def contents(file: Path, most: int) -> bytes:
    """The first `most` bytes of a regular file and one more, so that a longer one is seen; a link may lead to it. What
    is no regular file is refused at once: a pipe could keep whoever reads it waiting for ever. Raises OSError.
    """
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "no regular file: put what is in it into one", str(file))
        with open(handle, "rb", closefd=False) as stream:
            return stream.read(most + 1)
    finally:
        os.close(handle)


def write_text(file: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; folders above are made. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file) as draft:
        draft.write_bytes(text.encode())


def cache_folder(kind: str) -> Path:
    """`$TRACELANG_CACHE/KIND`, by default `~/.cache/tracelang/KIND`."""
    root = os.environ.get("TRACELANG_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "tracelang") / kind


def cache_limit() -> int:
    """Bytes that each folder of the cache with text states or trajectories may hold: `$TRACELANG_CACHE_LIMIT` GiB.

    Raises ValueError, one line, where that is no number above 0.
    """
    written = os.environ.get("TRACELANG_CACHE_LIMIT", "")
    if not written:
        return CACHE_LIMIT
    try:
        found = int(float(written) * 2**30)
    except (ValueError, OverflowError):
        found = 0
    if found < 1:
        raise ValueError(f"TRACELANG_CACHE_LIMIT is a number of GiB above 0, such as 20, and not {written!r}")
    return found


def sync(folder: Path) -> None:
    """fsync a folder, so that a rename in it survives a power cut; a no-op where the system has no such thing."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
    target = Path(os.path.realpath(path))
    if found is None or (stat.S_ISREG(found.st_mode) and _same(target, found)):
        with whole(target, force=force) as draft:
            draft.write_bytes(data)
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


def _same(target: Path, found: os.stat_result) -> bool:
    """Is it the file that was found? A deleted one that some process holds open has no name to replace it by."""
    try:
        return os.path.samestat(os.stat(target), found)
    except FileNotFoundError:
        return False


def _as_before(handle: int, file: Path) -> None:
    """Owner and permissions of the file that stands there; of a new one, what the process gives its files."""
    try:
        found = file.stat()
    except FileNotFoundError:
        os.fchmod(handle, 0o666 & ~_umask())
        return
    with contextlib.suppress(OSError):  # only root may give a file away
        os.fchown(handle, found.st_uid, found.st_gid)
    os.fchmod(handle, stat.S_IMODE(found.st_mode))


def named(draft: Path, file: Path) -> None:
    """A name for a file that is there; unlike a rename, FileExistsError where another has it."""
    try:
        os.link(draft, file)
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            draft.replace(file)
        except OSError:
            os.unlink(file)
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
