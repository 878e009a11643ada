"""The support of a density grid along rays: its borders, and intervals without its gaps."""

from __future__ import annotations

import jax.numpy as jnp

from jaxvsnerf.rendering.grid import DensityGrid, lookup
from jaxvsnerf.rendering.intervals import Intervals, importance_edges, middles_of
from jaxvsnerf.types import Array, Rays

# Least distance of a sample from a gap, as a share of t: some 80 roundings in float32. Rounding
# would put a sample right at a border outside the support.
MARGIN = 1e-5


def ray_points(rays: Rays, t: Array) -> Array:
    """Points [..., S, 3] of rays [...] at t [..., S]."""
    return rays.origins[..., None, :] + t[..., None] * rays.directions[..., None, :]


def edges_at_borders(grid: DensityGrid, rays: Rays, t_edges: Array, exists: Array) -> Array:
    """Moves the edges between probes to the faces of cells at which the support begins or ends.

    Args:
      grid: the grid.
      rays: [...] rays.
      t_edges: [..., P + 1] edges of the probes.
      exists: [..., P] whether the middle of each probe lies in the support.

    Returns:
      [..., P + 1] edges. An edge moves only if one of its two probes lies in the support and the
      other does not, and stays between the middles of the two. Exact if the ray crosses at most
      two faces between the middles.
    """
    middles = middles_of(t_edges)
    behind, ahead = _cell_faces(grid, ray_points(rays, middles), rays.directions)
    leaves, enters = (middles + ahead)[..., :-1], (middles + behind)[..., 1:]
    # The cell between the two probes' cells belongs to one of them.
    between = lookup(grid, grid.support, ray_points(rays, 0.5 * (leaves + enters)))
    border = jnp.where(between == exists[..., :-1], enters, leaves)
    border = jnp.clip(border, middles[..., :-1], middles[..., 1:])
    inner = jnp.where(exists[..., :-1] != exists[..., 1:], border, t_edges[..., 1:-1])
    return jnp.concatenate([t_edges[..., :1], inner, t_edges[..., -1:]], -1)


def _cell_faces(grid: DensityGrid, points: Array, directions: Array) -> tuple[Array, Array]:
    """Where rays enter and leave the cells of points.

    Args:
      grid: the grid.
      points: [..., S, 3].
      directions: [..., 3] directions of the rays.

    Returns:
      [..., S] t from each point back to the face where the ray enters the point's cell, at most
      0, and on to the face where the ray leaves the cell, at least 0.
    """
    scale = 0.5 * grid.support.shape[0]
    place = (points / grid.half_extent + 1.0) * scale
    place -= jnp.floor(place)  # in the cell, 0 to 1
    speed = directions[..., None, :] * (scale / grid.half_extent)
    moves = speed != 0
    speed = jnp.where(moves, speed, 1.0)
    ahead = jnp.where(moves, (jnp.where(speed > 0, 1.0, 0.0) - place) / speed, jnp.inf)
    behind = jnp.where(moves, (jnp.where(speed > 0, 0.0, 1.0) - place) / speed, -jnp.inf)
    return jnp.max(behind, -1), jnp.min(ahead, -1)


def intervals_in_support(
    t_edges: Array, exists: Array, weights: Array, num: int, keys: Array | None
) -> Intervals:
    """Draws intervals from weights along the support alone, as if its pieces touched each other.

    The lengths of a ray's intervals sum to the length of the support on the ray, whatever their
    number, and no sample lies in a gap.

    Args:
      t_edges: [..., P + 1] edges of the probes.
      exists: [..., P] whether each probe is part of the support, at least one of a ray.
      weights: [..., P], at least 0, and 0 outside the support.
      num: S.
      keys: [...] PRNG keys, or None for equal quantiles.

    Returns:
      The intervals. An edge at a gap lies at the gap's end; the interval before this edge includes
      the gap, and its length does not.
    """
    widths = jnp.where(exists, 0.0, jnp.diff(t_edges, axis=-1))
    gaps = jnp.concatenate([jnp.zeros_like(widths[..., :1]), jnp.cumsum(widths, -1)], -1)
    near = t_edges[..., :1]
    inside = t_edges - near - gaps  # length of the support before each edge
    drawn = importance_edges(inside, weights, num, keys)
    before = jnp.concatenate([jnp.zeros_like(exists[..., :1]), exists[..., :-1]], -1)
    pieces = inside[..., :-1], near + gaps[..., :-1], exists & ~before
    return Intervals(
        edges=_unfold(drawn, *pieces, margin=0.0 * near),
        middles=_unfold(middles_of(drawn), *pieces, margin=MARGIN * t_edges[..., -1:]),
        lengths=jnp.maximum(jnp.diff(drawn, axis=-1), 0.0),
    )


def _unfold(length: Array, starts: Array, shifts: Array, first: Array, margin: Array) -> Array:
    """The t at which a ray has passed a length of the support.

    Args:
      length: [..., Q] lengths of the support.
      starts: [..., P] length of the support before each probe.
      shifts: [..., P] t minus length, at each probe.
      first: [..., P] whether a piece of the support begins with the probe.
      margin: [..., 1] least t behind the beginning of a piece.

    Returns:
      [..., Q] t; at a gap the t of the gap's end.
    """
    starts, shifts, first = starts[..., None, :], shifts[..., None, :], first[..., None, :]
    length, margin = length[..., None], margin[..., None]
    # The last piece that begins before has the largest t. One reduction, for few pieces of many
    # rays, is faster than a search.
    t = shifts + jnp.maximum(length, starts + margin)
    return jnp.max(jnp.where(first & (starts <= length + margin), t, -jnp.inf), -1)
