"""Checksums by which damage of stored numbers is noticed.

Choice: CRC-32. It notices every flipped bit and every damage of up to 32 bits in a row, overlooks
one of 4e9 of any other kind, and takes 4 GB/s. A cryptographic hash would only add safety against
forgery, which a checksum beside the numbers cannot give.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

CHUNK = 2**24


def array_checksums(tree: Any) -> dict[str, str]:
    """Path of each leaf of a tree of host arrays -> its dtype, shape and checksum as a text."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): _array_text(np.asarray(leaf)) for path, leaf in leaves}


def _array_text(array: np.ndarray) -> str:
    # As bytes, since zlib takes no bfloat16.
    crc = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return f"{array.dtype} {list(array.shape)} {crc:08x}"


def json_checksum(values: Mapping[str, Any]) -> str:
    """Checksum of what a JSON file says, whatever the order of its names."""
    return f"{zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}"


def file_checksums(folder: Path) -> dict[str, str]:
    """Path of each file below a folder, with /, -> its checksum. Files are read in threads."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_file_checksum, paths))
    names = (path.relative_to(folder).as_posix() for path in paths)
    return dict(zip(names, found, strict=True))


def _file_checksum(path: Path) -> str:
    crc = 0
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            crc = zlib.crc32(part, crc)
    return f"{crc:08x}"
