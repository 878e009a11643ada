"""Files and names that are still there after a crash of the machine."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

# What a file system answers that cannot wait for a thing of this kind.
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF)


def sync_file(path: Path) -> None:
    """Waits until what a file holds is on the disk."""
    # Open for writing, as Windows asks for.
    _sync(os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0)))


def sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on the disk, where the system can."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder in which one may write, but not look
        return
    _sync(descriptor)


def sync_tree(path: Path) -> None:
    """Waits until a folder and all that lies below it are on the disk; not its own name.

    In threads, since a disk takes many things in hardly more time than one.
    """
    waits = []
    for home, _, names in os.walk(path):
        waits += [partial(sync_file, Path(home, name)) for name in names]
        waits.append(partial(sync_folder, Path(home)))
    with ThreadPoolExecutor(max_workers=16) as pool:
        for wait in [pool.submit(wait) for wait in waits]:
            wait.result()


def _sync(descriptor: int) -> None:
    """Waits for an open file or folder, and closes it."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
