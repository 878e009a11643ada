"""Uses the input photo as an additional view: reads the photo and finds its camera.

A generator sees the photo cut out, scaled and centred. The photo's direction is known, but not
its zoom and centre. Aligning the photo's outline with the outline of the generated views' visual
hull gives both, as a scale and a shift within the picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from jaxvsnerf.data.borders import THRESHOLD, border_color
from jaxvsnerf.data.cutouts import look
from jaxvsnerf.data.images import composite, read_picture
from jaxvsnerf.data.masks import mask_on_background
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import camera_centers, join_cameras, optical_axes, orbit_cameras
from jaxvsnerf.preprocess.outlines import (
    FRAME,
    WIDER,
    Placement,
    outline,
    place_outlines,
    soft_hull,
)
from jaxvsnerf.types import Cameras, Photo, ViewSet

# Largest length of the photo's longer side in pixels: four times that of most generated views.
MAX_SIDE = 1024
# Margin of background around the object, as a share of the object's longer side.
MARGIN = 0.1
# Least accepted overlap, gain of another elevation that triggers a scan, and step of the scan.
# Seven real strips overlap with their photos by 0.81 to 0.99 at 30 degrees, and by 0.02 to 0.25
# less at 20 and 40 (experiments/photo_view).
LEAST_OVERLAP, BETTER, STEP_DEG = 0.7, 0.01, 10.0
SCANNED_DEG = (-30.0, 80.0)
SAME_AXIS = 0.9998  # cosine of 1 degree


def load_photo(
    path: str | Path, views: ViewSet, elevation_deg: float, weight: float, threshold: float | None
) -> Photo:
    """Reads the photo that views were generated from and finds its camera.

    Args:
      path: PNG or WebP with alpha, or an object on a background of one colour.
      views: the generated views in the object's cube, with masks and the input view's axis.
      elevation_deg: elevation from which the photo was taken, within [-90, 90].
      weight: weight of the photo's rays, positive, see `Photo`.
      threshold: in (0, 1) or None, see `masks.mask_on_background`.

    Returns:
      The photo, cropped to the object, its longer side at most 1024 pixels.

    Raises:
      MissingFile: no such file.
      InputError: no object to cut out, no fit to the views, or no masks or known input view.
    """
    if views.masks is None or views.input_axis is None:
        raise InputError(
            "photo: expected views with masks, whose outlines give the photo's camera, and with a "
            "known input view; set data.mask or data.input_view"
        )
    image, mask = read_object(path, views.background, threshold)
    hull = soft_hull(views)

    def fit(angle_deg: float) -> tuple[Cameras, Placement]:
        frame = frame_camera(views, angle_deg)
        return frame, place_outlines(mask, outline(hull, frame))

    frame, placement = fit(elevation_deg)
    best_deg, best = elevation_deg, placement.overlap
    near = [elevation_deg - STEP_DEG, elevation_deg + STEP_DEG]
    # Without the input view, the hull is least carved near the photo's direction.
    axes = np.asarray(optical_axes(views.cameras))
    telling = float(np.max(axes @ np.asarray(views.input_axis))) > SAME_AXIS
    if best < LEAST_OVERLAP or (
        telling and max(fit(d)[1].overlap for d in near if abs(d) <= 90) > best + BETTER
    ):
        scanned = np.arange(SCANNED_DEG[0], SCANNED_DEG[1] + 1.0, STEP_DEG)
        best, best_deg = max((fit(float(d))[1].overlap, float(d)) for d in scanned)
    if placement.overlap < LEAST_OVERLAP:
        raise InputError(
            f"{path} does not fit the views: at an elevation of {elevation_deg:g} degrees the "
            f"outline of the photo overlaps the outline of the views by {placement.overlap:.2f}, "
            f"expected at least {LEAST_OVERLAP}; the largest overlap, {best:.2f}, is at "
            f"{best_deg:g} degrees. Give the photo's elevation (data.input_elevation_deg), give "
            "the photo that the views were made from, or train without a photo view (without "
            "data.photo, --photo_view)"
        )
    view = ViewSet(
        images=image[None],
        masks=mask[None],
        cameras=placed_camera(frame, placement, mask.shape[1], mask.shape[0]),
        background=views.background,
        names=("photo",),
        input_axis=views.input_axis,
    )
    return Photo(view, weight, placement.overlap, best_deg, best)


def all_cameras(views: ViewSet, photo: Photo | None) -> Cameras:
    """Cameras of all branches of a field: the views', then the photo's if there is a photo."""
    return join_cameras(views.cameras, photo.view.cameras) if photo else views.cameras


def read_object(
    path: str | Path, background: np.ndarray, threshold: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a photo, cuts out the object and crops the picture to the object.

    Args:
      path: PNG or WebP with alpha, or an object on a background of one colour.
      background: [3] in [0, 1], colour to put behind the object.
      threshold: see `load_photo`.

    Returns:
      Picture [H, W, 3] on the background and mask [H, W], both float32 in [0, 1].

    Raises:
      MissingFile: no such file.
      InputError: no readable picture, no background that can be removed, or no object.
    """
    seen = look(read_picture(path, upright=True), trusted=False)
    image, mask, hidden = seen.rgb, seen.alpha, seen.hidden
    if mask is not None:
        image = composite(image, mask, background)
    elif (own := border_color(image, threshold or THRESHOLD, hidden)) is not None:
        mask = mask_on_background(image, own, threshold, hidden)
        image = np.where(mask[..., None] > 0, image, np.asarray(background, np.float32))
    else:
        raise InputError(
            f"{path}: expected a photo with alpha or before a background of one colour; "
            "`python -m jaxvsnerf.cutout` removes a background"
        )
    rows, columns = np.nonzero(mask > 0.5)
    if not rows.size:
        raise InputError(f"{path} shows no object: its mask is empty")
    room = int(MARGIN * max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    part = tuple(slice(axis.min(), axis.max() + 1) for axis in (rows, columns))
    # Photos are often cut out without a margin: pad instead of widening the crop.
    mask = np.pad(mask[part], room)
    image = np.pad(image[part], ((room, room), (room, room), (0, 0)))
    image[mask == 0] = background
    return shrink_to(image, MAX_SIDE), shrink_to(mask, MAX_SIDE)


def shrunk_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height in pixels after shrinking the longer side to at most `side`.

    Args:
      width: of the picture in pixels.
      height: of the picture in pixels.
      side: largest length of the longer side in pixels.
    """
    scale = min(side / max(height, width), 1.0)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def shrink_to(array: np.ndarray, side: int) -> np.ndarray:
    """Box-filters [H, W] or [H, W, C] to float32 with a longer side of at most `side` pixels."""
    height, width = array.shape[:2]
    size = shrunk_size(width, height, side)
    planes = np.moveaxis(np.asarray(array, np.float32).reshape(height, width, -1), -1, 0)
    shrunk = [
        np.asarray(Image.fromarray(np.ascontiguousarray(one)).resize(size, Image.Resampling.BOX))
        for one in planes
    ]
    return np.stack(shrunk, -1).reshape(*size[::-1], *array.shape[2:])


def shrink_view(view: ViewSet, side: int) -> ViewSet:
    """Shrinks the picture, mask and camera of one view, see `shrink_to`."""
    image, mask = shrink_to(view.images[0], side), shrink_to(view.masks[0], side)
    cameras = shrunk_cameras(view.cameras, side)
    return view.replace(images=image[None], masks=mask[None], cameras=cameras)


def shrunk_cameras(cameras: Cameras, side: int) -> Cameras:
    """Cameras of pictures shrunk to a longer side of at most `side` pixels."""
    width, height = shrunk_size(cameras.width, cameras.height, side)
    scale = np.array([[width / cameras.width], [height / cameras.height], [1.0]])
    intrinsics = (np.asarray(cameras.intrinsics) * scale).astype(np.float32)
    return cameras.replace(intrinsics=intrinsics, width=width, height=height)


def frame_camera(views: ViewSet, elevation_deg: float) -> Cameras:
    """Camera of the frame: the input view's azimuth, distance and lens, in a wider picture.

    Args:
      views: the generated views, with `input_axis`.
      elevation_deg: elevation of the camera, within [-90, 90].

    Raises:
      InputError: the input view looks straight down or up, which leaves the azimuth undefined.
    """
    cameras, axis = views.cameras, np.asarray(views.input_axis, np.float64)
    if np.hypot(axis[0], axis[1]) < 1e-3:
        raise InputError("photo: the input view looks along the z axis, so its azimuth is unknown")
    nearest = int(np.argmax(np.asarray(optical_axes(cameras)) @ axis))
    azimuth_deg = float(np.rad2deg(np.arctan2(-axis[1], -axis[0])))
    distance = float(np.linalg.norm(camera_centers(cameras)[nearest]))
    k = np.asarray(cameras.intrinsics)[nearest]
    focal_px = float(k[0, 0]) * FRAME / (WIDER * max(cameras.width, cameras.height))
    parallel = bool(k[2, 2] == 0)
    return orbit_cameras([azimuth_deg], elevation_deg, distance, focal_px, FRAME, FRAME, parallel)


def placed_camera(frame: Cameras, placement: Placement, width: int, height: int) -> Cameras:
    """Camera of the photo: the frame's camera, zoomed and shifted.

    Args:
      frame: camera of the frame, see `frame_camera`.
      placement: of the photo's outline in the frame.
      width: of the photo in pixels.
      height: of the photo in pixels.
    """
    k = np.array(frame.intrinsics, np.float64)
    k[:, :2, :2] *= placement.scale
    k[:, :2, 2] = placement.scale * k[:, :2, 2] + placement.shift
    return frame.replace(intrinsics=k.astype(np.float32), width=width, height=height)
