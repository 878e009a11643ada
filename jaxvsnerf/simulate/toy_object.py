"""The toy: an elephant teapot as a signed distance with a procedural texture.

The toy is asymmetric (one patched ear, a spotted and a striped side) and has a hole (the
handle), thin parts (ears) and fine texture, so that errors of a reconstruction become visible.
The toy fits the object's cube of side 1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.types import Array

# Azimuth that the face looks to, so that view 0 (azimuth 0) shows the face.
FACE_DEG = 25.0
# Scale and shift that make the object fill the cube up to a margin, centred in height.
ZOOM = 1.12
RAISE = np.array([0.0, 0.0, 0.094])
LIGHT = np.array([0.55, -0.25, 0.80]) / np.linalg.norm([0.55, -0.25, 0.80])
AMBIENT, DIFFUSE = 0.62, 0.48
# Slope by which each ear leans outwards.
LEFT_TILT, RIGHT_TILT = 0.30, 0.05
# Distance over which the colours of neighbouring parts mix, to avoid steps in the texture.
COLOR_BLEND = 0.0015


def toy_sdf(points: Array) -> Array:
    """Signed distance to the toy's surface: a lower bound outside, negative inside.

    Args:
      points: [..., 3] in the object's cube.

    Returns:
      [...] in sides of the cube.
    """
    skin, others = _parts(_to_face_frame(points))
    return ZOOM * jnp.minimum(skin, jnp.min(jnp.stack(others, -1), -1))


def toy_color(points: Array) -> Array:
    """Lit, view-independent colour of surface points.

    Args:
      points: [..., 3] on the surface.

    Returns:
      [..., 3] in [0, 1]: albedo under one lamp, ambient light and ambient occlusion.
    """
    normal = toy_normal(points)
    lamp = jnp.clip(0.5 + 0.5 * jnp.sum(normal * LIGHT.astype(np.float32), -1), 0.0, 1.0)
    light = AMBIENT + DIFFUSE * lamp**1.5
    # Ambient occlusion: how much closer the surface is than free space would have it.
    steps = jnp.array([0.02, 0.05, 0.09])
    probes = points[..., None, :] + normal[..., None, :] * steps[:, None]
    weights = jnp.array([5.0, 2.5, 1.5])
    closed = jnp.sum(weights * jnp.clip(steps - toy_sdf(probes), 0.0, None), -1)
    shade = light * jnp.clip(1.0 - closed, 0.45, 1.0)
    return jnp.clip(toy_albedo(points) * shade[..., None], 0.0, 1.0)


def toy_normal(points: Array) -> Array:
    """[..., 3] unit gradient of the distance, by finite differences on a tetrahedron."""
    corners = jnp.array([[1.0, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    values = toy_sdf(points[..., None, :] + 1e-3 * corners)
    gradient = jnp.sum(values[..., None] * corners, -2)
    return gradient / jnp.maximum(jnp.linalg.norm(gradient, axis=-1, keepdims=True), 1e-9)


def toy_albedo(points: Array) -> Array:
    """[..., 3] unlit colour in [0, 1] of surface points."""
    p = _to_face_frame(points)
    skin, others = _parts(p)
    distances = jnp.stack([skin, *others], -1)
    share = jax.nn.softmax(-distances / COLOR_BLEND, axis=-1)
    white, dark = jnp.array([0.98, 0.98, 0.95]), jnp.array([0.13, 0.12, 0.18])
    colors = [_skin_color(p), _ear_color(p), _lid_color(p), jnp.array([0.93, 0.25, 0.22])]
    colors += [_handle_color(p), white, dark, jnp.array([0.99, 0.90, 0.72])]
    stacked = jnp.stack([jnp.broadcast_to(c, p.shape) for c in colors], -2)
    return jnp.sum(share[..., None] * stacked, -2)


def _to_face_frame(points: Array) -> Array:
    """Moves points to the frame in which the face looks along +x and parts are defined below."""
    angle = np.deg2rad(FACE_DEG)
    turn = jnp.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    return jnp.einsum(
        "...j,ji->...i", (points - RAISE) / ZOOM, turn, precision=jax.lax.Precision.HIGHEST
    )


def _parts(p: Array) -> tuple[Array, list[Array]]:
    """Distances to the skin, and to ears, lid, knob, handle, eyes, pupils, tusks with toes."""
    side = jnp.stack([p[..., 0], jnp.abs(p[..., 1]), p[..., 2]], -1)
    body = _ellipsoid(p, (0.0, 0.0, -0.10), (0.265, 0.25, 0.215))
    trunk = _cone(p, (0.20, 0.0, -0.09), (0.335, 0.0, -0.12), 0.085, 0.055)
    trunk = _blend(trunk, _cone(p, (0.335, 0.0, -0.12), (0.40, 0.0, -0.03), 0.055, 0.042), 0.03)
    trunk = _blend(trunk, _cone(p, (0.40, 0.0, -0.03), (0.425, 0.0, 0.10), 0.042, 0.050), 0.03)
    # The mouth of the spout.
    trunk = jnp.maximum(trunk, -_cone(p, (0.418, 0.0, 0.06), (0.43, 0.0, 0.19), 0.026, 0.036))
    feet = jnp.minimum(
        _cone(side, (0.13, 0.125, -0.24), (0.145, 0.14, -0.385), 0.070, 0.078),
        _cone(side, (-0.13, 0.125, -0.24), (-0.145, 0.14, -0.385), 0.070, 0.078),
    )
    feet = jnp.maximum(feet, -0.425 - p[..., 2])
    skin = _blend(_blend(body, trunk, 0.05), feet, 0.04)
    ears = jnp.minimum(_ear(p, 1.0, LEFT_TILT), _ear(p, -1.0, RIGHT_TILT))
    lid = _ellipsoid(p, (0.0, 0.0, 0.085), (0.165, 0.165, 0.075))
    lid = jnp.minimum(lid, _torus(p, (0.0, 0.0, 0.085), 0.165, 0.022, axis=2))
    knob = _sphere(p, (0.0, 0.0, 0.205), 0.055)
    handle = _torus(p, (-0.285, 0.0, -0.07), 0.125, 0.032, axis=1)
    eyes = _sphere(side, (0.185, 0.105, 0.005), 0.056)
    pupils = _sphere(side, (0.215, 0.112, 0.012), 0.033)
    tusks = _cone(side, (0.22, 0.08, -0.155), (0.325, 0.105, -0.165), 0.027, 0.012)
    toes = [_sphere(side, (x + 0.072, y, -0.40), 0.026) for x, y in ((0.14, 0.11), (0.125, 0.165))]
    tusks = jnp.minimum(tusks, jnp.minimum(*toes))
    return skin, [ears, lid, knob, handle, eyes, pupils, tusks]


def _ear(p: Array, side: float, tilt: float) -> Array:
    """Distance to a thin dish on one side (+1 left, -1 right) that leans outwards by `tilt`."""
    return 0.7 * _ellipsoid(_ear_frame(p, side, tilt), (0.0, 0.0, 0.0), (0.030, 0.135, 0.150))


def _ear_frame(p: Array, side: float, tilt: float) -> Array:
    """Coordinates in which the ear is a flat ellipsoid whose front looks along +x."""
    local = (p - jnp.array([0.02, side * 0.30, 0.00])) * jnp.array([1.0, side, 1.0])
    x, y = local[..., 0], local[..., 1]
    # The bend is clipped at the ear's edge: beyond, it would overestimate distances.
    bend = jnp.clip(y, -0.15, 0.15)
    return jnp.stack([x + tilt * y + 1.2 * bend * bend, y - tilt * x, local[..., 2]], -1)


def _skin_color(p: Array) -> Array:
    """Blue with dots on the left side, wavy stripes on the right, rings on the trunk."""
    blue, deep = jnp.array([0.42, 0.66, 0.84]), jnp.array([0.20, 0.38, 0.66])
    yellow, pink = jnp.array([0.99, 0.84, 0.36]), jnp.array([0.97, 0.62, 0.66])
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    color = jnp.broadcast_to(blue, p.shape)
    azimuth = jnp.arctan2(y, x)
    # Dots: cells of azimuth and height, odd rows shifted by half a cell.
    row = z / 0.082
    shifted = azimuth * 3.2 + 0.5 * (jnp.floor(row) % 2)
    cell = jnp.stack([shifted - jnp.floor(shifted) - 0.5, row - jnp.floor(row) - 0.5], -1)
    dots = _step(0.30 - jnp.linalg.norm(cell, axis=-1), 0.05)
    on_body = _step(jnp.abs(z + 0.10) * -1.0 + 0.165, 0.01) * _step(0.16 - x, 0.02)
    color = _mix(color, yellow, dots * on_body * _step(y, 0.02))
    stripes = _step(jnp.sin(55.0 * z + 3.0 * jnp.sin(4.0 * azimuth)) - 0.25, 0.25)
    color = _mix(color, deep, stripes * on_body * _step(-y, 0.02))
    # Rings on the trunk, a pink mouth, dark soles.
    rings = _step(jnp.sin(95.0 * x + 60.0 * z) - 0.55, 0.3) * _step(x - 0.30, 0.01)
    color = _mix(color, deep, 0.6 * rings)
    color = _mix(color, pink, _step(z - 0.085, 0.008) * _step(x - 0.35, 0.01))
    cheeks = jnp.exp(-((x - 0.20) ** 2 + (jnp.abs(y) - 0.145) ** 2 + (z + 0.085) ** 2) / 0.0016)
    return _mix(color, pink, 0.9 * cheeks)


def _ear_color(p: Array) -> Array:
    """Pink inside, blue outside; a checked patch on the left ear's back."""
    blue, pink = jnp.array([0.36, 0.58, 0.80]), jnp.array([0.97, 0.66, 0.70])
    left = p[..., 1] > 0
    flat = jnp.where(
        left[..., None], _ear_frame(p, 1.0, LEFT_TILT), _ear_frame(p, -1.0, RIGHT_TILT)
    )
    radius = jnp.hypot(flat[..., 1] / 0.135, flat[..., 2] / 0.150)
    front = _step(flat[..., 0], 0.004)
    color = _mix(jnp.broadcast_to(blue, p.shape), pink, _step(0.72 - radius, 0.04) * front)
    checks = _step(jnp.sin(85.0 * flat[..., 1]) * jnp.sin(85.0 * flat[..., 2]), 0.12)
    cloth = _mix(jnp.array([0.99, 0.93, 0.80]), jnp.array([0.30, 0.62, 0.38]), checks)
    patch = _step(0.66 - radius, 0.03) * (1.0 - front) * left
    return _mix(color, cloth, patch)


def _lid_color(p: Array) -> Array:
    """A hat of red and cream sectors with a green brim."""
    azimuth = jnp.arctan2(p[..., 1], p[..., 0])
    radius = jnp.hypot(p[..., 0], p[..., 1])
    sectors = _step(jnp.sin(6.0 * azimuth + 9.0 * radius), 0.15)
    color = _mix(jnp.array([0.99, 0.93, 0.78]), jnp.array([0.91, 0.36, 0.28]), sectors)
    return _mix(color, jnp.array([0.28, 0.58, 0.42]), _step(radius - 0.148, 0.006))


def _handle_color(p: Array) -> Array:
    """Orange and violet bands along the ring."""
    angle = jnp.arctan2(p[..., 2] + 0.07, p[..., 0] + 0.285)
    bands = _step(jnp.sin(9.0 * angle), 0.2)
    return _mix(jnp.array([0.98, 0.66, 0.24]), jnp.array([0.52, 0.36, 0.70]), bands)


def _mix(a: Array, b: Array, share: Array) -> Array:
    return a + (b - a) * share[..., None]


def _step(value: Array, width: float) -> Array:
    """Smooth step from 0 to 1 as `value` rises from -width to width."""
    t = jnp.clip(0.5 + 0.5 * value / width, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _blend(a: Array, b: Array, width: float) -> Array:
    """Smooth union (polynomial minimum)."""
    h = jnp.clip(width - jnp.abs(a - b), 0.0, None) / width
    return jnp.minimum(a, b) - 0.25 * width * h * h


def _sphere(p: Array, center: tuple[float, float, float], radius: float) -> Array:
    return jnp.linalg.norm(p - jnp.array(center), axis=-1) - radius


def _ellipsoid(
    p: Array, center: tuple[float, float, float], radii: tuple[float, float, float]
) -> Array:
    """First-order distance to an ellipsoid."""
    q = p - jnp.array(center)
    r = jnp.array(radii)
    k0 = jnp.linalg.norm(q / r, axis=-1)
    k1 = jnp.linalg.norm(q / (r * r), axis=-1)
    return k0 * (k0 - 1.0) / jnp.maximum(k1, 1e-6)


def _torus(
    p: Array, center: tuple[float, float, float], major: float, minor: float, axis: int
) -> Array:
    q = p - jnp.array(center)
    first, second = (i for i in range(3) if i != axis)
    ring = jnp.hypot(q[..., first], q[..., second]) - major
    return jnp.hypot(ring, q[..., axis]) - minor


def _cone(
    p: Array,
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    radius_start: float,
    radius_end: float,
) -> Array:
    """Distance to a capsule whose radius changes linearly, slightly underestimated."""
    a, b = jnp.array(start), jnp.array(end)
    t = jnp.clip(jnp.sum((p - a) * (b - a), -1) / jnp.sum((b - a) ** 2), 0.0, 1.0)
    near = a + t[..., None] * (b - a)
    distance = jnp.linalg.norm(p - near, axis=-1) - (radius_start + t * (radius_end - radius_start))
    return 0.95 * distance
