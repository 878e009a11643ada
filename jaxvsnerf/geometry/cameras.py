"""Perspective and orthographic cameras: orbits, projection, rays, changes of frame.

All float32, except changes of frame, which are float64 for sources far from the origin.
`Cameras` defines how K distinguishes the two kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.types import Array, Cameras, Rays, Similarity

HIGHEST = jax.lax.Precision.HIGHEST
# Half the side of the sampled cube: the object's cube (0.5) plus a margin for generated pictures,
# which zoom and drift.
HALF_EXTENT = 0.6
# Length of the interval of a ray that misses the cube: finite, with vanishing optical depth.
MISS_LENGTH = 1e-6


def orbit_cameras(
    azimuth_deg: Sequence[float],
    elevation_deg: float | Sequence[float],
    distance: float,
    focal_px: float,
    width: int,
    height: int,
    orthographic: bool = False,
) -> Cameras:
    """Cameras on a sphere that look at the origin, z up.

    Args:
      azimuth_deg: V angles, counter-clockwise seen from +z, 0 on +x.
      elevation_deg: angle above the horizon, one for all cameras or V angles.
      distance: camera centre to origin, positive.
      focal_px: focal length in pixels; orthographic: pixels per unit of length.
      width: picture width in pixels.
      height: picture height in pixels.
      orthographic: whether rays are parallel; `distance` is then only where rays start.

    Returns:
      V cameras with the principal point in the middle of the picture.
    """
    azimuth = np.deg2rad(np.asarray(azimuth_deg, np.float64))
    elevation = np.deg2rad(np.broadcast_to(np.asarray(elevation_deg, np.float64), azimuth.shape))
    ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(elevation), np.sin(elevation)
    zero = np.zeros_like(ca)
    rotation = np.stack(
        [
            np.stack([-sa, ca, zero], -1),
            np.stack([se * ca, se * sa, -ce], -1),
            np.stack([-ce * ca, -ce * sa, -se], -1),
        ],
        axis=-2,
    )
    translation = np.broadcast_to(np.array([0.0, 0.0, distance]), (len(azimuth), 3))
    w2c = np.concatenate([rotation, translation[..., None]], -1).astype(np.float32)
    k = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]], np.float32)
    k[2, 2] = not orthographic
    return Cameras(np.broadcast_to(k, (len(azimuth), 3, 3)).copy(), w2c, width, height)


def take(cameras: Cameras, index: Sequence[int]) -> Cameras:
    """Selects cameras by index, in the given order."""
    index = np.asarray(index, np.int64)
    return cameras.replace(intrinsics=cameras.intrinsics[index], w2c=cameras.w2c[index])


def fit_cameras(cameras: Cameras, width: int, height: int) -> Cameras:
    """Changes the picture size of cameras; pixels stay square.

    Args:
      cameras: V cameras.
      width: new picture width in pixels.
      height: new picture height in pixels.

    Returns:
      V cameras whose pictures show the old pictures centred and as large as fits; if the aspect
      ratios differ, the new pictures show more on two sides.
    """
    scale = min(width / cameras.width, height / cameras.height)
    old, new = (np.array(size) for size in ((cameras.width, cameras.height), (width, height)))
    k = np.array(cameras.intrinsics, np.float64)
    k[:, :2] *= scale
    k[:, :2, 2] += (new - scale * old) / 2.0
    return cameras.replace(intrinsics=k.astype(np.float32), width=width, height=height)


def join_cameras(cameras: Cameras, more: Cameras) -> Cameras:
    """Concatenates two sets; the second set's pictures take the size of the first's."""
    more = fit_cameras(more, cameras.width, cameras.height)
    return cameras.replace(
        intrinsics=np.concatenate([cameras.intrinsics, more.intrinsics]),
        w2c=np.concatenate([cameras.w2c, more.w2c]),
    )


def match_cameras(cameras: Cameras, others: Cameras) -> list[int | None]:
    """Finds for each of `cameras` the first of `others` with the same pose and lens, or None."""

    def lens(c: Cameras) -> np.ndarray:
        scale = np.array([[c.width], [c.height], [1.0]])
        return np.concatenate([np.asarray(c.intrinsics) / scale, np.asarray(c.w2c)], -1)

    matches = []
    for camera in lens(cameras):
        same = np.abs(lens(others) - camera).max((1, 2)) < 1e-4
        matches.append(int(same.argmax()) if same.any() else None)
    return matches


def camera_centers(cameras: Cameras) -> np.ndarray:
    """[V, 3] camera centres in the world: -R^T t."""
    w2c = np.asarray(cameras.w2c)
    return -np.einsum("...ji,...j->...i", w2c[..., :3], w2c[..., 3])


def optical_axes(cameras: Cameras) -> Array:
    """[V, 3] unit directions along which the cameras look."""
    return cameras.w2c[..., 2, :3]


def project(intrinsics: Array, w2c: Array, points: Array) -> tuple[Array, Array]:
    """Projects world points into one camera.

    Args:
      intrinsics: [3, 3] K, see `Cameras`.
      w2c: [3, 4] world-to-camera.
      points: [..., 3] in the world.

    Returns:
      Pixels [..., 2] (x, y; the centre of the first pixel is (0.5, 0.5)) and
      depth [...] along the optical axis.
    """
    camera = jnp.einsum("ij,...j->...i", w2c[:, :3], points, precision=HIGHEST) + w2c[:, 3]
    depth, perspective = camera[..., 2], intrinsics[2, 2]
    divisor = perspective * depth + (1.0 - perspective)
    camera = camera.at[..., 2].set(divisor)
    image = jnp.einsum("ij,...j->...i", intrinsics, camera, precision=HIGHEST)
    return image[..., :2] / jnp.maximum(divisor, 1e-9)[..., None], depth


def magnification(cameras: Cameras, depth: np.ndarray) -> np.ndarray:
    """Pixels per unit of length across the optical axis.

    Args:
      cameras: V cameras.
      depth: [V] depth along the optical axis, positive.

    Returns:
      [V, 2] along the picture's x and y.
    """
    k = np.asarray(cameras.intrinsics, np.float64)
    perspective = k[:, 2, 2]
    divisor = perspective * depth + (1.0 - perspective)
    return np.stack([k[:, 0, 0], k[:, 1, 1]], -1) / divisor[:, None]


def cube_interval(origins: Array, directions: Array, half_extent: float) -> tuple[Array, Array]:
    """Intersects rays with the cube [-half_extent, half_extent]^3.

    Args:
      origins: [..., 3].
      directions: [..., 3], none of them zero.
      half_extent: half the side of the cube, positive.

    Returns:
      near and far [..., 1] in units of `directions`, 0 <= near < far; a ray that misses the cube
      gets an interval of length MISS_LENGTH.
    """
    safe = jnp.where(jnp.abs(directions) < 1e-9, 1e-9, directions)
    a, b = (-half_extent - origins) / safe, (half_extent - origins) / safe
    near = jnp.maximum(jnp.max(jnp.minimum(a, b), -1, keepdims=True), 0.0)
    far = jnp.min(jnp.maximum(a, b), -1, keepdims=True)
    return near, jnp.maximum(far, near + MISS_LENGTH)


def pixel_rays(
    cameras: Cameras,
    view_index: Array,
    pixels: Array,
    half_extent: float = HALF_EXTENT,
) -> Rays:
    """Rays through given pixel positions.

    Args:
      cameras: V cameras.
      view_index: [...] int32 index of each ray's camera.
      pixels: [..., 2] positions (x, y) in pixels; a pixel's centre is index + 0.5.
      half_extent: half the side of the sampled cube, for near and far.

    Returns:
      Rays of batch shape [...].
    """
    k, w2c = jnp.asarray(cameras.intrinsics)[view_index], jnp.asarray(cameras.w2c)[view_index]
    y = (pixels[..., 1] - k[..., 1, 2]) / k[..., 1, 1]
    x = (pixels[..., 0] - k[..., 0, 2] - k[..., 0, 1] * y) / k[..., 0, 0]
    # Perspective rays start at the camera centre; orthographic rays start on the image plane.
    perspective = k[..., 2, 2]
    camera_dirs = jnp.stack([perspective * x, perspective * y, jnp.ones_like(x)], -1)
    parallel = 1.0 - perspective
    starts = jnp.stack([parallel * x, parallel * y, jnp.zeros_like(x)], -1) - w2c[..., 3]
    rotation = w2c[..., :3]
    directions = jnp.einsum("...ji,...j->...i", rotation, camera_dirs, precision=HIGHEST)
    origins = jnp.einsum("...ji,...j->...i", rotation, starts, precision=HIGHEST)
    near, far = cube_interval(origins, directions, half_extent)
    norm = jnp.linalg.norm(directions, axis=-1, keepdims=True)
    # Radius of the disc with the variance of a pixel's square: side / sqrt(12) per axis,
    # doubled as in mip-NeRF (arXiv:2103.13415, section 3.1).
    radii = 2.0 / jnp.sqrt(12.0) / k[..., 0, 0][..., None]
    return Rays(
        origins=origins,
        directions=directions,
        viewdirs=directions / norm,
        radii=radii,
        near=near,
        far=far,
        view_index=jnp.asarray(view_index, jnp.int32),
    )


def image_rays(cameras: Cameras, view: int, half_extent: float = HALF_EXTENT) -> Rays:
    """Rays through all pixel centres of one picture.

    Args:
      cameras: V cameras.
      view: index of the picture's camera.
      half_extent: half the side of the sampled cube, for near and far.

    Returns:
      Rays of batch shape [height, width].
    """
    shape = (cameras.height, cameras.width)
    # Computed by the program: numpy's grid would be a constant in every compiled program.
    x, y = (jax.lax.broadcasted_iota(jnp.float32, shape, axis) + 0.5 for axis in (1, 0))
    return pixel_rays(cameras, jnp.full(shape, view, jnp.int32), jnp.stack([x, y], -1), half_extent)


def transform_cameras(cameras: Cameras, similarity: Similarity) -> Cameras:
    """Moves cameras to the frame to which `similarity` maps; their pictures do not change.

    For x' = s Q x + b: w2c' = [R Q^T | s t - R Q^T b], which scales depth by s. The pixels per unit
    of length of orthographic cameras are divided by s.
    """
    w2c = np.asarray(cameras.w2c, np.float64)
    turn = np.asarray(similarity.rotation, np.float64)
    rotation = w2c[..., :3] @ turn.T
    translation = float(similarity.scale) * w2c[..., 3] - rotation @ np.asarray(
        similarity.translation, np.float64
    )
    moved = np.concatenate([rotation, translation[..., None]], -1)
    intrinsics = np.array(cameras.intrinsics, np.float32)
    intrinsics[..., :2, :2] *= np.where(intrinsics[..., 2:, 2:] == 0, 1.0 / similarity.scale, 1.0)
    return cameras.replace(intrinsics=intrinsics, w2c=moved.astype(np.float32))


def transform_points(points: np.ndarray, similarity: Similarity) -> np.ndarray:
    """Moves points [..., 3] by the similarity, in float64."""
    turned = np.asarray(points, np.float64) @ np.asarray(similarity.rotation, np.float64).T
    return np.float64(similarity.scale) * turned + np.asarray(similarity.translation, np.float64)


def inverse_similarity(similarity: Similarity) -> Similarity:
    """Inverts a similarity, in float64."""
    scale = 1.0 / np.float64(similarity.scale)
    rotation = np.asarray(similarity.rotation, np.float64).T
    translation = np.asarray(similarity.translation, np.float64)
    return Similarity(scale, rotation, -scale * (rotation @ translation))


def identity_similarity() -> Similarity:
    """Similarity that maps every point to itself."""
    return Similarity(np.float32(1), np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
