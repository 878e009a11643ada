"""Temporary files and folders that do not outlive their process for long.

A process that is killed leaves what it was writing. Each temporary therefore has a file beside it
that its process keeps locked. The system opens the lock when the process ends, however it ends, and
who next makes a temporary in the same folder removes those whose lock is open.

Choice: locks, not process ids, which containers repeat. Some network file systems keep locks to one
machine: what another machine left is removed only if it is also a day old. The machine is known by
its boot, so that this holds for what was left before a crash of the machine too. Where a system has
no such locks, nothing is removed.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PREFIX, LOCK = ".jaxvsnerf-", ".lock"
BOOT = Path("/proc/sys/kernel/random/boot_id")
DAY_SECONDS = 24 * 3600.0


@contextlib.contextmanager
def temporary(folder: Path, suffix: str = "") -> Iterator[Path]:
    """A path at which nothing is; what lies there when the block ends is removed.

    What killed processes left in the folder is removed first.

    Args:
      folder: an existing folder.
      suffix: end of the path's name. A second path that needs the same care begins like this one.

    Yields:
      A path in the folder.

    Raises:
      OSError: nothing can be made in the folder; the error names the folder.
    """
    _remove_left(folder)
    with _claimed(folder) as stem:
        path = folder / f"{stem}{suffix}"
        try:
            yield path
        finally:
            remove(path)


def remove(path: Path) -> None:
    """Removes a file or a folder with all that it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[str]:
    """The start of names in a folder, which are this process's own while the block lasts."""
    while True:
        stem = f"{PREFIX}{_machine()}-{uuid.uuid4().hex[:12]}"
        lock = folder / f"{stem}{LOCK}"
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except OSError as error:
            error.filename = str(folder)
            raise
        # Another process may take an open lock for a dead process's, and remove the file.
        if _taken(descriptor) is not False and os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)
    try:
        yield stem
    finally:
        if fcntl is None:  # Windows removes no open file
            os.close(descriptor)
            lock.unlink(missing_ok=True)
        else:
            try:
                lock.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _taken(descriptor: int) -> bool | None:
    """Takes the lock of an open file: whether this process has it now, None without locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _remove_left(folder: Path) -> None:
    """Removes what dead processes left in a folder, as far as one may."""
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(folder) if name.startswith(PREFIX)]
        for lock in (name for name in names if name.endswith(LOCK)):
            with contextlib.suppress(OSError):
                stem = lock.removesuffix(LOCK)
                _remove_one(folder / lock, [folder / n for n in names if n.startswith(stem)])


def _remove_one(lock: Path, paths: list[Path]) -> None:
    """Removes paths, which the lock is among, if no process has the lock."""
    here = lock.name.startswith(f"{PREFIX}{_machine()}-")
    if not here and time.time() - lock.stat().st_mtime < DAY_SECONDS:
        return
    descriptor = os.open(lock, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        if _taken(descriptor):
            for path in paths:
                if path != lock:
                    remove(path)
            lock.unlink()  # last, since nothing tells the others without it
    finally:
        os.close(descriptor)


def _machine() -> str:
    """Eight digits that tell machines apart, and a machine's boots where the system counts them."""
    try:
        known = BOOT.read_text()
    except OSError:
        known = platform.node()
    return f"{zlib.crc32(known.encode()):08x}"
