"""Mask files: the file of a picture, its values, sets whose object is black."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxvsnerf.data.borders import THRESHOLD, border_color, border_pixels
from jaxvsnerf.data.cutouts import is_cutout
from jaxvsnerf.data.images import SUFFIXES, Picture, read_picture, shrink
from jaxvsnerf.data.masks import mask_on_background
from jaxvsnerf.errors import InputError

# Names of folders of masks, in any case, the most usual first.
FOLDERS = ("masks", "mask", "segmentations", "segmentation", "silhouettes", "silhouette")
# Names of a picture's mask file beside the picture's own name and stem.
NAMES = ("{}", "{}_mask", "{}-mask", "{}.mask", "mask_{}")
# Share of the border that the masks of a set with a black object cover: at the median, at least.
# The border is asked at this depth (a share of the smaller side), within lines around the mask.
INVERTED, LEAST_INVERTED = 0.75, 0.5
DEPTH = 0.05
# Choice: masks that overlap less with what stands out from a plain background are told of. On twelve
# views of the toy of 64x48 pixels, masks 2 pixels too wide overlap by 0.65, masks of the next view
# by 0.55. A background is plain from this share of the border's pixels on.
LEAST_OVERLAP, PLAIN = 0.75, 0.95


def mask_folder(*places: Path) -> Path | None:
    """The first folder of masks in some places; None if there is none."""
    for place in places:
        there = sorted(place.iterdir()) if place.is_dir() else []
        named = {one.name.lower(): one for one in reversed(there) if one.is_dir()}
        if found := next((named[name] for name in FOLDERS if name in named), None):
            return found
    return None


def mask_beside(picture: Path) -> str | None:
    """The mask of a picture in the picture's own folder: `v00_mask.png` of `v00.jpg`, or None."""
    return mask_of(picture.name, picture.parent, NAMES[1:])


def mask_of(name: str, masks: Path, patterns: Sequence[str] = NAMES) -> str | None:
    """Finds the mask of a picture by its name or stem, in any format and case.

    Args:
      name: the picture's path in its folder, such as `v00.jpg` or `left/v00.jpg`.
      masks: the folder of the masks.
      patterns: names of a mask, {} is the picture's own name or stem.

    Returns:
      The mask's path in its folder, or None.
    """
    picture = Path(name)
    folder = masks / picture.parent
    if not folder.is_dir():
        return None
    there = {file.name.lower(): file.name for file in sorted(folder.iterdir())}
    for stem in (picture.name, picture.stem):  # COLMAP's v00.jpg.png before v00.png
        for pattern in patterns:
            for suffix in SUFFIXES:
                if found := there.get(pattern.format(stem.lower()) + suffix):
                    return (picture.parent / found).as_posix()
    return None


def unused_note(masks: Path | None, mend: str) -> tuple[str, ...]:
    """A line on a folder of masks that is not used, or nothing if there is no such folder.

    Args:
      masks: the folder, see `mask_folder`.
      mend: how to use the masks.
    """
    if masks is None or not any(one.suffix.lower() in SUFFIXES for one in masks.iterdir()):
        return ()
    return (f"warning: the masks in {masks} are not used; {mend}",)


def check_all_masked(masked: Sequence[bool], wheres: Sequence[str]) -> None:
    """Checks that all pictures have a mask, or none.

    Args:
      masked: whether each picture has a mask.
      wheres: what has or lacks the mask, for the message.

    Raises:
      InputError: names the pictures without a mask.
    """
    without = [where for where, has in zip(wheres, masked, strict=True) if not has]
    if without and len(without) < len(masked):
        more = f" and {len(without) - 3} more" if len(without) > 3 else ""
        raise InputError(
            f"no mask for {', '.join(without[:3])}{more}, while {sum(masked)} of {len(masked)} "
            "pictures have a mask file: add the missing masks, leave the pictures out with "
            "data.views, or remove all masks"
        )


def masked_pictures(
    paths: Sequence[Path],
    masks: Sequence[Path | None],
    wheres: Sequence[str],
    downscale: int = 1,
) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Decodes V pictures with their mask files.

    Masks whose object is black are turned. An alpha channel that cuts the picture out as well
    multiplies its mask.

    Args:
      paths: V pictures.
      masks: V mask files, None for a picture without one.
      wheres: V names of the pictures for messages.
      downscale: factor by which pictures and masks shrink as they are read, see `shrink_picture`.

    Returns:
      The pictures, and lines for the user.

    Raises:
      InputError: some pictures have masks and others have not, or a size differs.
    """
    check_all_masked([mask is not None for mask in masks], wheres)
    pictures = tuple(read_picture(path, downscale=downscale) for path in paths)
    if None in masks or not masks:
        return pictures, ()
    alphas = [shrink(read_mask(mask), downscale) for mask in masks]
    for path, mask, alpha, picture in zip(paths, masks, alphas, pictures, strict=True):
        height, width = picture.rgb.shape[:2]
        if alpha.shape != (height, width):
            raise InputError(
                f"the mask {mask} is {downscale * alpha.shape[1]} x {downscale * alpha.shape[0]}, "
                f"its picture {path.name} is {downscale * width} x {downscale * height} (width x "
                "height); bring both to one size"
            )
    check_different(masks)
    notes = ()
    if are_inverted(alphas):
        alphas = [1.0 - alpha for alpha in alphas]
        notes = (
            f"warning: the object is black in the {len(masks)} mask files, such as {masks[0]} "
            "(white covers the borders), so they are turned; save them with the object white",
        )
    alphas = list(map(without_lines, alphas))
    notes += misfit_note(pictures, alphas)
    return tuple(map(_masked, pictures, alphas)), notes


def misfit_note(pictures: Sequence[Picture], masks: Sequence[np.ndarray]) -> tuple[str, ...]:
    """A line on mask files that are not those of their pictures, as far as the pictures tell.

    A picture before a plain background tells what stands out from it: masks of other pictures,
    mirrored masks, boxes around the object and masks that are much too wide or narrow differ.

    Args:
      pictures: V pictures without their mask files.
      masks: V masks [height, width], the object is 1.
    """
    overlaps = []
    for picture, mask in zip(pictures, masks, strict=True):
        seen = _standing_out(picture)
        if seen is not None:
            inside = mask > 0.5
            overlaps.append(np.sum(seen & inside) / max(np.sum(seen | inside), 1))
    if 2 * len(overlaps) < len(masks) or np.median(overlaps) >= LEAST_OVERLAP:
        return ()
    return (
        f"warning: the mask files overlap by {np.median(overlaps):.0%} with what stands out from "
        "the plain background of their pictures: are they the masks of these pictures, neither "
        "wider nor shifted? --config.data.mask=background takes what stands out",
    )


def _standing_out(picture: Picture) -> np.ndarray | None:
    """[height, width] bool, what is not the plain background; None if there is none."""
    if picture.alpha is not None:
        return None
    color = border_color(picture.rgb)
    if color is None:
        return None
    plain = np.abs(border_pixels(picture.rgb) - color).max(-1) <= THRESHOLD
    seen = mask_on_background(picture.rgb, color) > 0.5
    return seen if plain.mean() >= PLAIN and 0 < seen.mean() < PLAIN else None


def check_different(masks: Sequence[Path]) -> None:
    """Refuses one mask file for two pictures.

    Raises:
      InputError: names the file.
    """
    for index, mask in enumerate(masks):
        if mask in masks[:index]:
            raise InputError(
                f"the mask {mask} belongs to two pictures or more; each picture needs a mask of "
                "its own. A mask of the lens or of the whole capture is no silhouette: leave it out"
            )


def _ring(mask: np.ndarray, depth: int) -> np.ndarray:
    """[N] bool, the mask's pixels at a distance of `depth` pixels from the border."""
    inner = mask[depth : mask.shape[0] - depth, depth : mask.shape[1] - depth] > 0.5
    return np.concatenate([inner[0], inner[-1], inner[1:-1, 0], inner[1:-1, -1]])


def _depth(mask: np.ndarray) -> int:
    return min(max(round(DEPTH * min(mask.shape)), 1), (min(mask.shape) - 1) // 2)


def without_lines(mask: np.ndarray) -> np.ndarray:
    """A mask [height, width] without white lines around the picture, at most DEPTH wide."""
    most = _depth(mask)
    white = [_ring(mask, depth).mean() >= 0.9 for depth in range(most + 1)]
    lines = next((depth for depth, one in enumerate(white) if not one), 0)
    if not lines or _ring(mask, lines).mean() > 0.5:
        return mask
    mask = mask.copy()
    for edge in (np.s_[:lines], np.s_[-lines:], np.s_[:, :lines], np.s_[:, -lines:]):
        mask[edge] = 0.0
    return mask


def _masked(picture: Picture, mask: np.ndarray) -> Picture:
    alpha = picture.alpha
    if alpha is not None and is_cutout(picture.rgb, alpha):
        mask = mask * alpha
    return Picture(picture.rgb, mask, mask_file=True)


def read_mask(path: Path) -> np.ndarray:
    """Reads a mask file: the object is white or opaque.

    A mask in an alpha channel counts, whatever its colours. A mask of two values, 0 and another
    number such as 1, is scaled to 0 and 1.

    Returns:
      [height, width] float32 in [0, 1].

    Raises:
      MissingFile, InputError: see `read_picture`; or several values below the middle, which may
        be the numbers of several objects.
    """
    picture = read_picture(path)
    alpha = picture.alpha
    in_alpha = alpha is not None and (alpha < 0.5).any() and (alpha >= 0.5).any()
    mask = alpha if in_alpha else picture.rgb.max(-1)
    top = float(mask.max())
    if top > 0 and np.all((mask == 0) | (mask == top)):
        return (mask > 0).astype(np.float32)
    if 0 < top < 0.5:
        raise InputError(
            f"the mask {path} holds values up to {top * 255:.0f} of 255: expected 0 around the "
            "object and 255 (or 1) on the object; write the object's pixels as 255"
        )
    return mask


def are_inverted(masks: Sequence[np.ndarray]) -> bool:
    """Whether the masks of a set have a black object: the white covers the borders."""
    covered = np.array([_ring(mask, _depth(mask)).mean() for mask in masks])
    black = np.array([(mask <= 0.5).mean() for mask in masks])
    return bool(
        np.median(covered) >= INVERTED and covered.min() >= LEAST_INVERTED and black.min() > 0
    )
