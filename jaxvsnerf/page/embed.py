"""Encodes pictures and files as data URIs within a page's size budget."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import features

from jaxvsnerf.pictures.images import on_white, resize
from jaxvsnerf.system.png import to_pillow

# Longest sides in pixels, tried in order until all pictures fit the page's budget.
SIDES = (256, 192, 128, 96, 64)


def data_uri(kind: str, data: bytes) -> str:
    """Encodes bytes as a `data:` URI of the media type `kind`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def thumbnail(image: np.ndarray, side: int) -> str:
    """Encodes a picture as a data URI, in WebP if Pillow supports it, else in PNG.

    Args:
      image: [H, W, 3], [H, W, 4] or [H, W], float in [0, 1]; alpha is composited over white.
      side: largest longer side in pixels; smaller pictures keep their size.

    Returns:
      The URI.
    """
    rgb = on_white(image)
    height, width = rgb.shape[:2]
    factor = min(1.0, side / max(height, width))
    picture = to_pillow(resize(rgb, max(1, round(width * factor)), max(1, round(height * factor))))
    data = io.BytesIO()
    if features.check("webp"):
        picture.save(data, format="WEBP", quality=90, method=4)
        return data_uri("image/webp", data.getvalue())
    picture.save(data, format="PNG", optimize=True)
    return data_uri("image/png", data.getvalue())


def thumbnails(images: Sequence[np.ndarray | None], budget: int) -> list[str | None]:
    """Encodes pictures as data URIs at the largest of SIDES that fits the budget.

    Args:
      images: N pictures as for `thumbnail`; None stays None.
      budget: largest number of characters of all URIs together; exceeded only if even the
        smallest size does not fit.

    Returns:
      N URIs.
    """
    with ThreadPoolExecutor() as pool:
        for side in SIDES:
            fit = partial(_thumbnail_or_none, side=side)
            uris = list(pool.map(fit, images))
            if sum(len(uri) for uri in uris if uri) <= budget:
                break
    return uris


def _thumbnail_or_none(image: np.ndarray | None, side: int) -> str | None:
    return None if image is None else thumbnail(image, side)


def file_uri(kind: str, path: str | Path, limit: int) -> str | None:
    """Encodes a file as a data URI.

    Args:
      kind: media type.
      path: the file.
      limit: largest size in bytes.

    Returns:
      The URI, or None if the file is larger than `limit`.

    Raises:
      FileNotFoundError: no such file.
    """
    path = Path(path)
    return None if path.stat().st_size > limit else data_uri(kind, path.read_bytes())
