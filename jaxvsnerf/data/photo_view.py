"""The photo itself as one more view: its picture, and the camera that it was taken with.

A generator is given the photo cut out, scaled and centred. From where it was taken is known, but
neither how far it is zoomed nor where its middle lies: a scale and a shift within the picture,
which are found by laying the photo's outline over that of the generated views' visual hull.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import minimize

from jaxvsnerf.data.images import composite, read_picture
from jaxvsnerf.data.masks import border_color, mask_from_background
from jaxvsnerf.geometry.cameras import (
    HALF_EXTENT,
    camera_centers,
    image_rays,
    join_cameras,
    optical_axes,
    orbit_cameras,
    project,
)
from jaxvsnerf.geometry.hull import grid_centers
from jaxvsnerf.types import Array, Cameras, Photo, ViewSet

# The photo's longer side in pixels at most, four times that of most generated views.
MAX_SIDE = 1024
# Background that is kept around the object, as a share of its longer side.
MARGIN = 0.1
# Cells of the hull along an axis, samples of a ray through it, pixels of the frame that outlines
# are compared in, and how much more it shows than a view, so that no outline runs out of it.
HULL_CELLS, HULL_SAMPLES, FRAME, WIDER = 96, 128, 160, 1.25
# Masks are blurred by this share of a cell, so that the hull's surface lies between its cells.
BLUR = 0.35
# Seven real strips overlap with their photos by 0.81 to 0.99 at 30 degrees, and by 0.02 to 0.25
# less at 20 and 40 (experiments/photo_view).
LEAST_OVERLAP, BETTER, STEP_DEG = 0.7, 0.01, 10.0
SCANNED_DEG = (-30.0, 80.0)
SAME_AXIS = 0.9998  # cosine of a degree


class Placement(NamedTuple):
    """How one outline lies over another: place in the photo = scale * place in the frame + shift.

    Attributes:
      scale: pixels of the photo per pixel of the frame.
      shift: [2] (x, y) in pixels of the photo.
      overlap: intersection over union of the outlines, 0 to 1.
    """

    scale: float
    shift: np.ndarray
    overlap: float


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
        raise ValueError(
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
        raise ValueError(
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
        raise ValueError(
            f"{path}: expected a photo with alpha or before a background of one colour; "
            "`python -m jaxvsnerf.cutout` removes a background"
        )
    rows, columns = np.nonzero(mask > 0.5)
    if not rows.size:
        raise ValueError(f"{path} shows no object: its mask is empty")
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


def soft_hull(views: ViewSet) -> Array:
    """[G, G, G] the least mask of all views that count, at cells' centres; 0.5 is the surface."""
    cameras = views.cameras
    distance = np.linalg.norm(camera_centers(cameras)[0])
    k = np.asarray(cameras.intrinsics)[0]
    cell_px = 2.0 * HALF_EXTENT / HULL_CELLS * k[0, 0] / (distance if k[2, 2] else 1.0)
    masks = gaussian_filter(np.asarray(views.masks), (0.0, BLUR * cell_px, BLUR * cell_px))
    if views.weights is not None:
        masks = np.where(views.weights[:, None, None] > 0, masks, np.float32(1.0))
    return _least_mask(grid_centers(HULL_CELLS, HALF_EXTENT), cameras, masks)


@jax.jit
def _least_mask(points: Array, cameras: Cameras, masks: Array) -> Array:
    def carve(least, view):
        intrinsics, w2c, mask = view
        pixels, _ = project(intrinsics, w2c, points)
        at = [pixels[..., 1] - 0.5, pixels[..., 0] - 0.5]
        # The border goes on beyond it, as in `visual_hull` that bounds the field.
        seen = jax.scipy.ndimage.map_coordinates(mask, at, order=1, mode="nearest")
        return jnp.minimum(least, seen), None

    views = (jnp.asarray(cameras.intrinsics), jnp.asarray(cameras.w2c), jnp.asarray(masks))
    return jax.lax.scan(carve, jnp.ones(points.shape[:-1]), views)[0]


def frame_camera(views: ViewSet, elevation_deg: float) -> Cameras:
    """The camera of the frame: the input view's azimuth, distance and lens, a wider picture.

    Raises:
      ValueError: the input view looks straight down or up, which leaves the azimuth open.
    """
    cameras, axis = views.cameras, np.asarray(views.input_axis, np.float64)
    if np.hypot(axis[0], axis[1]) < 1e-3:
        raise ValueError("photo: the input view looks along the z axis, so its azimuth is unknown")
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


def outline(hull: Array, frame: Cameras) -> np.ndarray:
    """[FRAME, FRAME] bool, where the hull is seen."""
    return np.asarray(_most_met(hull, frame)) > 0.5


@jax.jit
def _most_met(hull: Array, frame: Cameras) -> Array:
    """The most of the soft hull that each pixel's ray meets."""
    rays = image_rays(frame, 0)

    def step(index, most):
        t = rays.near + (index + 0.5) / HULL_SAMPLES * (rays.far - rays.near)
        cells = (rays.origins + t * rays.directions) / (2.0 * HALF_EXTENT) + 0.5
        at = list(jnp.moveaxis(cells * len(hull) - 0.5, -1, 0))
        return jnp.maximum(most, jax.scipy.ndimage.map_coordinates(hull, at, order=1))

    return jax.lax.fori_loop(0, HULL_SAMPLES, step, jnp.zeros(rays.view_index.shape))


def place_roughly(mask: np.ndarray, seen: np.ndarray) -> Placement:
    """The placement in closed form.

    Args:
      mask: [H, W] of the photo in [0, 1].
      seen: [h, w] bool of the frame, not empty.

    Returns:
      That which brings bounding boxes to one area and one middle, or outlines to one area and
      one centroid: what overlaps more, since a speck moves a box and a missing part a centroid.
    """
    placements = []
    for measure in (_box, _centroid):
        (middle, area), (frame_middle, frame_area) = measure(mask > 0.5), measure(seen)
        scale = float(np.sqrt(area / frame_area))
        shift = middle - scale * frame_middle
        placements.append(Placement(scale, shift, overlap(mask, seen, scale, shift)))
    return max(placements, key=lambda one: one.overlap)


def place_outlines(mask: np.ndarray, seen: np.ndarray) -> Placement:
    """The placement of most overlap, from `place_roughly` on; arguments alike.

    An empty frame overlaps with nothing.
    """
    if not seen.any():
        return Placement(1.0, np.zeros(2), 0.0)
    start = place_roughly(mask, seen)
    middle = np.array(seen.shape[::-1]) / 2.0

    def unpack(x: np.ndarray) -> tuple[float, np.ndarray]:
        # Scaled about the frame's middle, so that the three numbers hardly depend on each other.
        scale = start.scale * np.exp(x[0])
        return scale, start.shift + start.scale * (middle + x[1:]) - scale * middle

    found = minimize(
        lambda x: -overlap(mask, seen, *unpack(x)),
        np.zeros(3),
        method="Nelder-Mead",
        options={
            "initial_simplex": np.vstack([np.zeros(3), np.diag([0.03, 2.0, 2.0])]),
            "xatol": 1e-3,
            "fatol": 1e-5,
            "maxfev": 200,
        },
    )
    return Placement(*unpack(found.x), -float(found.fun))


def overlap(mask: np.ndarray, seen: np.ndarray, scale: float, shift: np.ndarray) -> float:
    """Intersection over union, in the frame, of a photo's mask [H, W] and an outline [h, w]."""
    y, x = np.mgrid[: seen.shape[0], : seen.shape[1]] + 0.5
    at = np.stack([scale * y + shift[1] - 0.5, scale * x + shift[0] - 0.5])
    photo = map_coordinates(np.asarray(mask, np.float32), at, order=1, mode="grid-constant")
    both = float(np.minimum(photo, seen).sum())
    # All of the photo counts, also what lies outside the frame.
    return both / (float(seen.sum()) + float(mask.sum()) / scale**2 - both)


def _box(inside: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle [2] (x, y) and area of the bounding box, in pixels."""
    rows, columns = np.nonzero(inside)
    low = np.array([columns.min(), rows.min()], np.float64)
    high = np.array([columns.max(), rows.max()]) + 1.0
    return (low + high) / 2.0, float(np.prod(high - low))


def _centroid(inside: np.ndarray) -> tuple[np.ndarray, float]:
    """Centroid [2] (x, y) and area, in pixels."""
    rows, columns = np.nonzero(inside)
    return np.array([columns.mean(), rows.mean()]) + 0.5, float(rows.size)
