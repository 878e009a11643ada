"""Pictures and files as data URIs, small enough for one page."""

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

# Longest sides tried, in pixels, until all pictures fit the page's budget.
SIDES = (256, 192, 128, 96, 64)


def data_uri(kind: str, data: bytes) -> str:
    """`data:` URI of a media type and bytes."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def thumbnail(image: np.ndarray, side: int) -> str:
    """A picture as a data URI, WebP where Pillow has it, else PNG.

    Args:
      image: [H, W, 3], [H, W, 4] or [H, W], float in [0, 1]; alpha is laid over white.
      side: longest side allowed, in pixels; smaller pictures keep their size.

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
    """All pictures as data URIs of one size, the largest of SIDES that fits.

    Args:
      images: pictures as for `thumbnail`; None stays None.
      budget: characters that all URIs together should not exceed; pictures of the
        smallest size are returned even if they do.

    Returns:
      As many URIs.
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
    """A file as a data URI of that media type, or None where it has more than `limit` bytes.

    Raises:
      FileNotFoundError: no such file.
    """
    path = Path(path)
    return None if path.stat().st_size > limit else data_uri(kind, path.read_bytes())
