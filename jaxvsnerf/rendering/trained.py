"""A trained field: renders any camera, and queries density and colour at points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.build import MODES, Field
from jaxvsnerf.fields.decode import at_points
from jaxvsnerf.fields.neus import unit
from jaxvsnerf.geometry.cameras import HALF_EXTENT, camera_centers, optical_axes
from jaxvsnerf.rendering.grid import DensityGrid, lookup
from jaxvsnerf.rendering.images import (
    COMBINED,
    Picture,
    RenderPlan,
    make_image_renderer,
    plan_rendering,
)
from jaxvsnerf.rendering.plan import power_of_two, render_elements
from jaxvsnerf.rendering.program import Program, made_once
from jaxvsnerf.rendering.sampling import Level
from jaxvsnerf.types import Array, Cameras, Context, Params


@dataclass(frozen=True)
class TrainedField:
    """One stage's field with parameters; every method takes and returns numpy arrays.

    Attributes:
      field: functions of the field.
      params: parameters of the field.
      grid: density grid, or None.
      context: context of the field.
      cameras: of the branches: of the input views, then of the photo if there is a photo; all
        pictures have the input views' size.
      background: [3] colour.
      levels: sampling levels of renderings.
      mode: how views are combined: single, canonical, nearest, average or fused.
      combined: samples of a ray that fused and canonical combine, see `RenderPlan`.
      opaque: transmittance below which a ray ends, see `march`; 0 never ends a ray.
      photo: the photo's camera with the photo's own picture size, None without a photo.
    """

    field: Field
    params: Params
    grid: DensityGrid | None
    context: Context
    cameras: Cameras
    background: Array
    levels: tuple[Level, ...]
    mode: str
    combined: int = 0
    opaque: float = 5e-4
    photo: Cameras | None = None

    def __post_init__(self):
        allowed = [mode for mode in MODES if mode != "per_view"]
        if self.mode not in allowed:
            raise InputError(f"mode: expected one of {', '.join(allowed)}, got {self.mode!r}")

    def branch(self, view: int) -> TrainedField:
        """The field of one view's branch; the branches of all views share compiled programs."""
        own = jax.tree.map(lambda leaf: leaf[view : view + 1], self.params["views"])
        rest = {name: group for name, group in self.params.items() if name != "attention"}
        return replace(self, params={**rest, "views": own}, mode="single")

    @property
    def _spec(self) -> RenderPlan:
        shape = self.field.spec
        return plan_rendering(
            self.mode,
            self.levels,
            HALF_EXTENT,
            self.combined,
            self.opaque,
            shape.num_views,
            self.field.features,
            render_elements(jax.local_devices()[0]),
        )

    def _render_calls(self, cameras: Cameras) -> Iterator[tuple]:
        """Arguments of the program calls that render V cameras."""
        count, together = len(cameras.w2c), self._spec.pictures(cameras.width, cameras.height)
        centers = camera_centers(cameras)
        for start in range(0, count, together):
            # Padded to a constant number of cameras, so that one program serves any number.
            index = np.minimum(np.arange(start, start + together), count - 1)
            nearest = nearest_views(self.cameras, centers[start : start + 1])[0]
            yield (
                self.params,
                self.grid,
                self.context.replace(branch=np.int32(nearest)),
                cameras.replace(
                    intrinsics=np.asarray(cameras.intrinsics)[index],
                    w2c=np.asarray(cameras.w2c)[index],
                ),
                np.int32(min(count - start, together)),
                np.asarray(self.background),
            )

    def render(self, cameras: Cameras) -> Picture:
        """Renders V cameras: rgb [V, H, W, 3], acc [V, H, W], distance [V, H, W]."""
        renderer = _make_renderer(self.field, self._spec)
        # All calls are dispatched before the first result is waited for.
        pictures = jax.device_get([renderer(*args) for args in self._render_calls(cameras)])
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(cameras.w2c)], *pictures)

    def trace_render(self, width: int, height: int) -> Callable[[], None]:
        """Traces the renderer of a picture size; the returned function compiles the renderer."""
        one = self.cameras.replace(
            intrinsics=self.cameras.intrinsics[:1],
            w2c=self.cameras.w2c[:1],
            width=width,
            height=height,
        )
        return _make_renderer(self.field, self._spec).trace(*next(self._render_calls(one)))

    def _query_calls(
        self, points: np.ndarray, directions: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, tuple]]:
        """Arguments of the program calls that query points, each with the indices of its points.

        Points are padded to the same number in all calls.
        """
        shape = self.field.spec
        # In mode nearest a call evaluates one view's branch. With a V-th of the points per call,
        # the padding of V such calls is no larger than that of one call in another mode.
        several = self.mode in (*COMBINED, "nearest")
        views = shape.num_views if several else 1
        limit = render_elements(jax.local_devices()[0]) // (views * self.field.features)
        chunk = power_of_two(limit, 1024, 2**20)
        given = points, np.zeros_like(points) if directions is None else directions
        for view, members in self._by_branch(points, directions):
            context = self.context.replace(branch=np.int32(view))
            for start in range(0, len(members), chunk):
                rows = members[start : start + chunk]
                missing = chunk - len(rows)
                parts = [np.pad(part[rows], ((0, missing), (0, 0))) for part in given]
                yield rows, (self.params, self.grid, context, *parts, directions is not None)

    def _by_branch(
        self, points: np.ndarray, directions: np.ndarray | None
    ) -> list[tuple[int, np.ndarray]]:
        """Views whose branches are evaluated, each with the indices of the view's points."""
        if self.mode != "nearest":
            return [(0, np.arange(len(points)))]
        nearest = nearest_views(self.cameras, points, directions)
        return [(int(view), np.flatnonzero(nearest == view)) for view in np.unique(nearest)]

    def _ask(
        self, ask: Program, points: np.ndarray, directions: np.ndarray | None, *sizes: int
    ) -> list[np.ndarray]:
        """Calls a program of points; answers [N, size] for each of the sizes, [N] for size 0."""
        points = np.asarray(points, np.float32)
        directions = None if directions is None else np.asarray(directions, np.float32)
        # All calls are dispatched before the first result is waited for.
        asked = [(rows, ask(*args)) for rows, args in self._query_calls(points, directions)]
        answers = [np.zeros((len(points), size)[: 1 + (size > 0)], np.float32) for size in sizes]
        for rows, found in jax.device_get(asked):
            for answer, part in zip(answers, found, strict=True):
                answer[rows] = part[: len(rows)]
        return answers

    def query(
        self, points: np.ndarray, directions: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Evaluates density and colour at points.

        In mode `nearest`, each point is evaluated by the branch of one input view, chosen by
        `nearest_views`.

        Args:
          points: [N, 3] in the cube.
          directions: [N, 3] unit viewing directions, or None.

        Returns:
          Density [N] per cube side, without a direction and zero outside the grid's support, and
          rgb [N, 3].
        """
        density, rgb = self._ask(_make_query(self.field, self.mode), points, directions, 0, 3)
        return density, rgb

    def surface(self, points: np.ndarray) -> np.ndarray:
        """Evaluates the values whose level `field.level` is the surface, at points [N, 3].

        Returns:
          [N], larger inside; outside the grid's support `outside`.
        """
        return self._ask(_make_surface(self.field, self.mode), points, None, 0)[0]

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Unit normals [N, 3], outward, of the level sets of `surface` at points [N, 3]."""
        return self._ask(_make_normals(self.field, self.mode), points, None, 3)[0]

    @property
    def level(self) -> float | None:
        """The value of `surface` at the surface; None if the values must tell."""
        return self.field.level

    @property
    def outside(self) -> float:
        """The value of `surface` where the grid's support says that nothing is."""
        return outside_value(self.field)

    def trace_query(self) -> Callable[[], None]:
        """Traces `query` with directions; the returned function compiles the program."""
        point = np.zeros((1, 3), np.float32)
        _, args = next(self._query_calls(point, point))
        return _make_query(self.field, self.mode).trace(*args)

    def trace_surface(self) -> Callable[[], None]:
        """Traces `surface`; the returned function compiles the program."""
        _, args = next(self._query_calls(np.zeros((1, 3), np.float32), None))
        return _make_surface(self.field, self.mode).trace(*args)


def nearest_views(
    cameras: Cameras, points: np.ndarray, directions: np.ndarray | None = None
) -> np.ndarray:
    """Index of the view that the mode `nearest` uses for each point; the first of equals.

    Choice: with directions, the view that sees the point at the smallest angle to the point's
    viewing direction. A point on a ray of an input view's picture then gets that view, as in a
    rendering, which uses the view whose camera is nearest to the rendered camera. For other
    cameras a rendering uses one view for the whole picture, this function one view per ray.
    Without directions (queries of the volume), the view whose camera is nearest to the point.

    Args:
      cameras: V cameras of the views.
      points: [N, 3] in the cube.
      directions: [N, 3] unit viewing directions, or None.

    Returns:
      [N] int32, 0 to V - 1.
    """
    points = np.asarray(points, np.float64)
    chosen, best = np.zeros(len(points), np.int32), np.full(len(points), -np.inf)
    centers, axes = camera_centers(cameras), np.asarray(optical_axes(cameras))
    perspective = np.asarray(cameras.intrinsics)[:, 2, 2] != 0
    # A loop over views: an array [N, V, 3] for a mesh's lattice would not fit memory.
    for view, (center, axis) in enumerate(zip(centers, axes, strict=True)):
        sight = points - center
        distance = np.linalg.norm(sight, axis=-1)
        if directions is None:
            likeness = -distance
        elif perspective[view]:
            likeness = np.einsum("nc,nc->n", sight, directions) / np.maximum(distance, 1e-9)
        else:
            likeness = directions @ axis
        better = likeness > best
        chosen[better], best[better] = view, likeness[better]
    return chosen


@made_once  # stages, commands and objects of the same shape share compiled programs
def _make_renderer(field: Field, spec: RenderPlan) -> Program:
    return Program(make_image_renderer(field.apply, spec))


@made_once
def _make_query(field: Field, mode: str) -> Program:
    @partial(jax.jit, static_argnames="directed")
    def ask(params, grid, context, points, directions, directed):
        samples = at_points(points).replace(viewdirs=directions if directed else None)
        out = field.apply(params, samples, context, mode)
        # The layers below are the same for both, and computed once.
        density = field.density(params, points, context, mode)
        if grid is not None:
            density = jnp.where(lookup(grid, grid.support, points), density, 0.0)
        return density, out.rgb[:, 0]

    return Program(ask)


@made_once
def _make_surface(field: Field, mode: str) -> Program:
    @partial(jax.jit, static_argnames="directed")
    def ask(params, grid, context, points, directions, directed):
        values = field.surface(params, points, context, mode)
        if grid is not None:
            exists = lookup(grid, grid.support, points)
            values = jnp.where(exists, values, outside_value(field))
        return (values,)

    return Program(ask)


@made_once
def _make_normals(field: Field, mode: str) -> Program:
    @partial(jax.jit, static_argnames="directed")
    def ask(params, grid, context, points, directions, directed):
        return (unit(-field.gradient(params, points, context, mode)),)

    return Program(ask)


def outside_value(field: Field) -> float:
    """The value of a field's `surface` far outside: no density, or a distance of a cube's side."""
    return 0.0 if field.level is None else field.level - 1.0
