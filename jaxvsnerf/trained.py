"""A trained field as functions: render any camera, ask for density and colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

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
from jaxvsnerf.rendering.program import first_alone
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
            raise ValueError(f"mode: expected one of {', '.join(allowed)}, got {self.mode!r}")

    @property
    def _renderer(self) -> Callable[..., Picture]:
        shape = self.field.spec
        spec = plan_rendering(
            self.mode,
            self.levels,
            HALF_EXTENT,
            self.combined,
            self.opaque,
            shape.num_views,
            shape.width,
            render_elements(jax.local_devices()[0]),
        )
        return _make_renderer(self.field, spec)

    def render(self, cameras: Cameras) -> Picture:
        """Pictures of V cameras: rgb [V, H, W, 3], acc [V, H, W], distance [V, H, W]."""
        own = np.asarray(self.context.view_centers)
        # One camera at a time, so that one program serves any number of them; all are
        # under way before the first is waited for.
        pictures = [
            self._renderer(
                self.params,
                self.grid,
                self.context.replace(
                    branch=np.int32(np.argmin(np.linalg.norm(own - center, axis=-1)))
                ),
                cameras.replace(
                    intrinsics=np.asarray(cameras.intrinsics[view : view + 1]),
                    w2c=np.asarray(cameras.w2c[view : view + 1]),
                ),
                np.int32(0),
                np.asarray(self.background),
            )
            for view, center in enumerate(np.asarray(camera_centers(cameras)))
        ]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *jax.device_get(pictures))

    def rehearse(self, width: int, height: int) -> None:
        """Compiles what renders pictures of this size."""
        one = self.cameras.replace(
            intrinsics=self.cameras.intrinsics[:1],
            w2c=self.cameras.w2c[:1],
            width=width,
            height=height,
        )
        self.render(one)

    def rehearse_queries(self) -> None:
        """Compiles `query`, with directions and without."""
        self.query(np.zeros((1, 3)))
        self.query(np.zeros((1, 3)), np.eye(3)[:1])

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
        shape = self.field.spec
        views = shape.num_views if self.mode in COMBINED else 1
        limit = render_elements(jax.local_devices()[0]) // (views * shape.width)
        chunk = power_of_two(limit, 1024, 2**20)
        ask = _make_query(self.field, self.mode)
        points = np.asarray(points, np.float32)
        directed = directions is not None
        given = np.asarray(directions, np.float32) if directed else np.zeros_like(points)
        density, rgb = [np.zeros(0, np.float32)], [np.zeros((0, 3), np.float32)]
        for start in range(0, len(points), chunk):
            part = points[start : start + chunk]
            padding = ((0, chunk - len(part)), (0, 0))
            answer = ask(
                self.params,
                self.grid,
                self.context,
                np.pad(part, padding),
                np.pad(given[start : start + chunk], padding),
                directed,
            )
            density.append(np.asarray(answer[0])[: len(part)])
            rgb.append(np.asarray(answer[1])[: len(part)])
        return np.concatenate(density), np.concatenate(rgb)


@cache  # stages, commands and objects of the same shape share what was compiled
def _make_renderer(field: Field, spec: RenderSpec) -> Callable[..., Picture]:
    return first_alone(make_image_renderer(field.apply, spec))


@cache
def _make_query(field: Field, mode: str) -> Callable:
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

    return first_alone(ask)
