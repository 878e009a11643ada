"""The photo itself as one more view: its picture, and the camera that it was taken with.

A generator is given the photo cut out, scaled and centred. From where it was taken is known, but
neither how far it is zoomed nor where its middle lies: a scale and a shift within the picture,
which are found by laying the photo's outline over that of the generated views' visual hull.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from jaxvsnerf.data.images import composite, read_picture
from jaxvsnerf.data.masks import border_color, mask_from_background
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

# The photo's longer side in pixels at most, four times that of most generated views.
MAX_SIDE = 1024
# Background that is kept around the object, as a share of its longer side.
MARGIN = 0.1
# Seven real strips overlap with their photos by 0.81 to 0.99 at 30 degrees, and by 0.02 to 0.25
# less at 20 and 40 (experiments/photo_view).
LEAST_OVERLAP, BETTER, STEP_DEG = 0.7, 0.01, 10.0
SCANNED_DEG = (-30.0, 80.0)
SAME_AXIS = 0.9998  # cosine of a degree


def load_photo(
    path: str | Path, views: ViewSet, elevation_deg: float, weight: float, threshold: float
) -> Photo:
    """Reads the photo that views were generated from and finds its camera.

    Args:
      path: PNG or WebP with alpha, or an object on a background of one colour.
      views: the generated views in the object's cube, with masks and the input view's axis.
      elevation_deg: how far above the horizon the photo was taken.
      weight: of its rays, see `Photo`.
      threshold: see `masks.mask_from_background`.

    Returns:
      The photo, cropped to the object and its longer side at most 1024 pixels.

    Raises:
      FileNotFoundError: no such file.
      ValueError: no picture of one whole object before a background, or one whose outline does
        not fit to what the views show; views without masks or of an unknown input.
    """
    if views.masks is None or views.input_axis is None:
        raise InputError(
            "photo: expected views with masks, to find its camera by their outline, and with a "
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
    # Without the input view the hull is widest where the photo would show most of it.
    axes = np.asarray(optical_axes(views.cameras))
    telling = float(np.max(axes @ np.asarray(views.input_axis))) > SAME_AXIS
    if best < LEAST_OVERLAP or (
        telling and max(fit(d)[1].overlap for d in near if abs(d) <= 90) > best + BETTER
    ):
        scanned = np.arange(SCANNED_DEG[0], SCANNED_DEG[1] + 1.0, STEP_DEG)
        best, best_deg = max((fit(float(d))[1].overlap, float(d)) for d in scanned)
    if placement.overlap < LEAST_OVERLAP:
        raise InputError(
            f"{path} does not fit to the views: seen from {elevation_deg:g} degrees above the "
            f"horizon their outline overlaps with its by {placement.overlap:.2f}, at least "
            f"{LEAST_OVERLAP} is expected; most, {best:.2f}, from {best_deg:g} degrees. Give its "
            "elevation (data.input_elevation_deg), or the photo that the views were made from, or "
            "train without it (without data.photo, --photo_view)"
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
    """The cameras that a field has branches for: the views', and the photo's where it is one."""
    return join_cameras(views.cameras, photo.view.cameras) if photo else views.cameras


def read_object(
    path: str | Path, background: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a photo that shows the object: picture [H, W, 3] on the background, mask [H, W].

    Args: as `load_photo`; background is [3] in [0, 1].

    Raises:
      FileNotFoundError, ValueError: see `load_photo`.
    """
    picture = read_picture(path, upright=True)
    image, mask = picture.rgb, picture.alpha
    if mask is not None and (mask < 1).any():
        image = composite(image, mask, background)
    elif (own := border_color(image, threshold)) is not None:
        mask = mask_from_background(image, own, threshold)
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
    # Photos are often cut out without any margin: it is made, not taken.
    mask = np.pad(mask[part], room)
    image = np.pad(image[part], ((room, room), (room, room), (0, 0)))
    image[mask == 0] = background
    return shrink_to(image, MAX_SIDE), shrink_to(mask, MAX_SIDE)


def shrink_to(array: np.ndarray, side: int) -> np.ndarray:
    """[H, W] or [H, W, C] float32, by area to a longer side of at most `side` pixels."""
    height, width = array.shape[:2]
    scale = min(side / max(height, width), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    planes = np.moveaxis(np.asarray(array, np.float32).reshape(height, width, -1), -1, 0)
    shrunk = [
        np.asarray(Image.fromarray(np.ascontiguousarray(one)).resize(size, Image.Resampling.BOX))
        for one in planes
    ]
    return np.stack(shrunk, -1).reshape(*size[::-1], *array.shape[2:])


def shrink_view(view: ViewSet, side: int) -> ViewSet:
    """One view shrunk by `shrink_to`, its camera with it."""
    image, mask = shrink_to(view.images[0], side), shrink_to(view.masks[0], side)
    height, width = mask.shape
    scale = np.array([[width / view.cameras.width], [height / view.cameras.height], [1.0]])
    intrinsics = (np.asarray(view.cameras.intrinsics) * scale).astype(np.float32)
    cameras = view.cameras.replace(intrinsics=intrinsics, width=width, height=height)
    return view.replace(images=image[None], masks=mask[None], cameras=cameras)


def frame_camera(views: ViewSet, elevation_deg: float) -> Cameras:
    """The camera of the frame: the input view's azimuth, distance and lens, a wider picture.

    Raises:
      ValueError: the input view looks straight down or up, which leaves the azimuth open.
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
    """The camera of the photo: the frame's, zoomed and shifted."""
    k = np.array(frame.intrinsics, np.float64)
    k[:, :2, :2] *= placement.scale
    k[:, :2, 2] = placement.scale * k[:, :2, 2] + placement.shift
    return frame.replace(intrinsics=k.astype(np.float32), width=width, height=height)
