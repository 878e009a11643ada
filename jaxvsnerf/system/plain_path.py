"""A path without characters that storage libraries take for a pattern."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxvsnerf.errors import StorageError
from jaxvsnerf.system.temporary import temporary

# Orbax looks for the parts of a checkpoint by a pattern that begins with the checkpoint's path, and
# misses or mixes parts where the path has one of the first four. TensorStore turns the last into /.
SPECIAL = frozenset("*?[]\\")


@contextmanager
def plain_path(folder: Path) -> Iterator[Path]:
    """An absolute path of a folder that orbax and TensorStore take literally.

    The path is the folder's own, or leads through a link that lies in a private temporary folder
    until the block ends.

    Args:
      folder: the folder; it is created if a link is needed.

    Raises:
      StorageError: the temporary folder has such a path too, or the system makes no links.
    """
    folder = folder.absolute()
    if not SPECIAL.intersection(str(folder)):
        yield folder
        return
    with temporary(Path(tempfile.gettempdir()).absolute()) as home:
        home.mkdir(mode=0o700)
        link = home / "folder"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if SPECIAL.intersection(str(link)):
                raise OSError(f"the temporary folder {home} has such a path too")
            link.symlink_to(folder, target_is_directory=True)
        except (OSError, NotImplementedError) as error:
            raise StorageError(
                f"expected a folder without any of {' '.join(sorted(SPECIAL))} in its path, got "
                f"{folder} ({error}); take another folder"
            ) from error
        yield link
