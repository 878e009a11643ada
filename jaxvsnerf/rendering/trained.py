"""A trained field as functions: render any camera, ask for density and colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.build import MODES, Field
from jaxvsnerf.geometry.cameras import HALF_EXTENT, camera_centers
from jaxvsnerf.rendering.grid import DensityGrid, lookup
from jaxvsnerf.rendering.images import (
    COMBINED,
    Picture,
    RenderSpec,
    make_image_renderer,
    plan_rendering,
)
from jaxvsnerf.rendering.plan import power_of_two, render_elements
from jaxvsnerf.rendering.program import Program
from jaxvsnerf.rendering.sampling import Level
from jaxvsnerf.types import Array, Cameras, Context, Params, Samples


@dataclass(frozen=True)
class TrainedField:
    """One stage's field with its parameters; every method takes and returns numpy.

    Attributes:
      field: the functions.
      params: the parameters.
      grid: density grid, or None.
      context: of the field.
      cameras: of the input views.
      background: [3].
      levels: where a rendering samples.
      mode: how views are combined: single, canonical, nearest, average or fused.
      combined: samples of a ray that fused and canonical combine, see `RenderSpec`.
      opaque: transmittance that counts as none, see `march`; 0 asks for everything.
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

    def __post_init__(self):
        allowed = [mode for mode in MODES if mode != "per_view"]
        if self.mode not in allowed:
            raise InputError(f"mode: expected one of {', '.join(allowed)}, got {self.mode!r}")

    def branch(self, view: int) -> TrainedField:
        """The field that a view's own branch alone is; all views share its programs."""
        own = jax.tree.map(lambda leaf: leaf[view : view + 1], self.params["views"])
        rest = {name: group for name, group in self.params.items() if name != "attention"}
        return replace(self, params={**rest, "views": own}, mode="single")

    @property
    def _spec(self) -> RenderSpec:
        shape = self.field.spec
        return plan_rendering(
            self.mode,
            self.levels,
            HALF_EXTENT,
            self.combined,
            self.opaque,
            shape.num_views,
            shape.width,
            render_elements(jax.local_devices()[0]),
        )

    def _render_calls(self, cameras: Cameras) -> Iterator[tuple]:
        """The arguments of the calls that make pictures of V cameras."""
        count, together = len(cameras.w2c), self._spec.pictures(cameras.width, cameras.height)
        own, centers = np.asarray(self.context.view_centers), camera_centers(cameras)
        for start in range(0, count, together):
            # So many cameras that one program serves any number of them.
            index = np.minimum(np.arange(start, start + together), count - 1)
            nearest = np.argmin(np.linalg.norm(own - centers[start], axis=-1))
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
        """Pictures of V cameras: rgb [V, H, W, 3], acc [V, H, W], distance [V, H, W]."""
        renderer = _make_renderer(self.field, self._spec)
        # All are under way before the first is waited for.
        pictures = jax.device_get([renderer(*args) for args in self._render_calls(cameras)])
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(cameras.w2c)], *pictures)

    def trace_render(self, width: int, height: int) -> Callable[[], None]:
        """Traces the rendering of pictures of a size; the returned function compiles it."""
        one = self.cameras.replace(
            intrinsics=self.cameras.intrinsics[:1],
            w2c=self.cameras.w2c[:1],
            width=width,
            height=height,
        )
        return _make_renderer(self.field, self._spec).trace(*next(self._render_calls(one)))

    def _query_calls(self, points: np.ndarray, directions: np.ndarray | None) -> Iterator[tuple]:
        """The arguments of the calls that ask at points, padded to one size."""
        shape = self.field.spec
        views = shape.num_views if self.mode in COMBINED else 1
        limit = render_elements(jax.local_devices()[0]) // (views * shape.width)
        chunk = power_of_two(limit, 1024, 2**20)
        given = points, np.zeros_like(points) if directions is None else directions
        for start in range(0, len(points), chunk):
            missing = max(start + chunk - len(points), 0)
            parts = [np.pad(rows[start : start + chunk], ((0, missing), (0, 0))) for rows in given]
            yield self.params, self.grid, self.context, *parts, directions is not None

    def query(
        self, points: np.ndarray, directions: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Density and colour at points.

        Args:
          points: [N, 3] in the cube.
          directions: [N, 3] unit directions of looking, or None.

        Returns:
          density [N] per cube side (zero outside the grid's support) and rgb [N, 3].
        """
        points = np.asarray(points, np.float32)
        directions = None if directions is None else np.asarray(directions, np.float32)
        ask = _make_query(self.field, self.mode)
        answers = [(np.zeros(0, np.float32), np.zeros((0, 3), np.float32))]
        answers += jax.device_get([ask(*args) for args in self._query_calls(points, directions)])
        density, rgb = (np.concatenate(part)[: len(points)] for part in zip(*answers, strict=True))
        return density, rgb

    def trace_query(self, directed: bool) -> Callable[[], None]:
        """Traces `query`, with directions or without; the returned function compiles it."""
        point = np.zeros((1, 3), np.float32)
        calls = self._query_calls(point, point if directed else None)
        return _make_query(self.field, self.mode).trace(*next(calls))


@cache  # stages, commands and objects of the same shape share what was compiled
def _make_renderer(field: Field, spec: RenderSpec) -> Program:
    return Program(make_image_renderer(field.apply, spec))


@cache
def _make_query(field: Field, mode: str) -> Program:
    @partial(jax.jit, static_argnames="directed")
    def ask(params, grid, context, points, directions, directed):
        ones = jnp.ones((len(points), 1))
        samples = Samples(
            means=points[:, None],
            covs=None,
            t_edges=jnp.concatenate([0 * ones, ones], -1),
            lengths=ones,
            viewdirs=directions if directed else None,
        )
        out = field.apply(params, samples, context, mode)
        density = out.optical_depth[:, 0]
        if grid is not None:
            density = jnp.where(lookup(grid, grid.support, points), density, 0.0)
        return density, out.rgb[:, 0]

    return Program(ask)
