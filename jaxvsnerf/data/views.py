"""Builds a checked `ViewSet` from decoded pictures and their cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxvsnerf.data.borders import THRESHOLD, find_backgrounds
from jaxvsnerf.data.cutouts import Seen, look
from jaxvsnerf.data.images import Picture, composite
from jaxvsnerf.data.mask_sources import choose_mask_sources, object_masks
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import take
from jaxvsnerf.types import Cameras, ViewSet


@dataclass(frozen=True)
class PosedPictures:
    """Decoded pictures with cameras in the source's frame.

    Attributes:
      pictures: V pictures of one size, straight alpha.
      cameras: V cameras.
      names: V unique names.
      notes: see `ViewSet`.
    """

    pictures: tuple[Picture, ...]
    cameras: Cameras
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def choose_views(posed: PosedPictures, views: Sequence[int]) -> PosedPictures:
    """Selects views by index, in the given order; () selects all.

    Raises:
      InputError: an index is out of range or occurs twice.
    """
    if not views:
        return posed
    check_views(views, len(posed.names))
    return PosedPictures(
        tuple(posed.pictures[i] for i in views),
        take(posed.cameras, views),
        tuple(posed.names[i] for i in views),
        posed.notes,
    )


def check_views(views: Sequence[int], count: int) -> None:
    """Checks that `views` are different indices below `count`.

    Raises:
      InputError: an index is out of range or occurs twice.
    """
    wrong = [i for i in views if not 0 <= i < count]
    if wrong:
        raise InputError(
            f"data.views {wrong} do not exist: the source has {count} views, 0 to {count - 1}"
        )
    if len(set(views)) != len(views):
        raise InputError(f"data.views must differ from each other, got {tuple(views)}")


def check_sizes(pictures: Sequence[Picture], names: Sequence[str]) -> tuple[int, int]:
    """(width, height) of pictures of one size.

    Raises:
      InputError: sizes differ; the message names the first picture of another size.
    """
    height, width = pictures[0].rgb.shape[:2]
    for picture, name in zip(pictures, names, strict=True):
        if picture.rgb.shape[:2] != (height, width):
            raise InputError(
                f"pictures of different sizes: {names[0]} is {width} x {height}, {name} is "
                f"{picture.rgb.shape[1]} x {picture.rgb.shape[0]} (width x height); bring them to "
                "one size, or load them as separate data sets"
            )
    return width, height


def make_view_set(
    posed: PosedPictures,
    background: np.ndarray | None,
    mask: str = "auto",
    mask_threshold: float | None = None,
    need_masks: bool | None = False,
) -> ViewSet:
    """Composites and masks pictures.

    Args:
      posed: V pictures and their cameras.
      background: [3] colour behind the object, in [0, 1]; None detects the colour per picture.
      mask: 'auto', 'alpha', 'background' or 'none'.
      mask_threshold: see `masks.mask_on_background`.
      need_masks: see `mask_sources.choose_mask_sources`.

    Returns:
      The views in numpy float32, cameras in the source's frame.

    Raises:
      InputError: sizes differ, a view shows no object, or no masks.
    """
    width, height = check_sizes(posed.pictures, posed.names)
    seen = [look(picture, trusted=mask == "alpha") for picture in posed.pictures]
    if background is None:
        shows = [one.alpha is None for one in seen]
        hidden = [one.hidden for one in seen]
        rgbs = [one.rgb for one in seen]
        own = find_backgrounds(rgbs, hidden, shows, mask_threshold or THRESHOLD)
        background = np.median(own, axis=0)
    else:
        own = np.broadcast_to(background, (len(posed.names), 3))
    seen = [_on_background(*pair, background) for pair in zip(seen, own, strict=True)]
    sources = choose_mask_sources(mask, seen, own, mask_threshold, posed.names, need_masks)
    masks = object_masks(sources, seen, own, posed.names, mask_threshold)
    images = np.empty((len(seen), height, width, 3), np.float32)
    repaint = np.abs(own - background).max() > (mask_threshold or THRESHOLD)
    for index, (one, source) in enumerate(zip(seen, sources, strict=True)):
        rgb = one.rgb
        if source == "background" and repaint:
            # A run composites on one background: repaint each picture's background with it.
            rgb = np.where(masks[index][..., None] > 0, rgb, background)
        images[index] = rgb
    return ViewSet(
        images=images,
        masks=masks,
        cameras=posed.cameras,
        background=np.asarray(background, np.float32),
        names=posed.names,
        mask_sources=() if masks is None else sources,
        notes=posed.notes,
    )


def _on_background(one: Seen, own: np.ndarray, background: np.ndarray) -> Seen:
    """A picture on a background: cut-outs on the common one, hidden pixels on the picture's own."""
    if one.alpha is not None:
        return one._replace(rgb=composite(one.rgb, one.alpha, background))
    return one._replace(rgb=np.where(one.hidden[..., None], np.float32(own), one.rgb))


def shrink_cameras(cameras: Cameras, factor: int) -> Cameras:
    """Cameras of pictures shrunk by an integer factor (pixel centres at +0.5)."""
    scale = np.diag([1.0 / factor, 1.0 / factor, 1.0])
    return cameras.replace(
        intrinsics=(scale @ np.asarray(cameras.intrinsics, np.float64)).astype(np.float32),
        width=cameras.width // factor,
        height=cameras.height // factor,
    )
