"""Functions compiled as a whole, which takes a fraction of compiling each operation of them."""

from functools import partial

import jax

from jaxvsnerf.fields.build import Field, FieldSpec, build_field
from jaxvsnerf.geometry import cameras as geometry
from jaxvsnerf.rendering import grid as grids
from jaxvsnerf.rendering import intervals, render

image_rays = jax.jit(geometry.image_rays)
lookup = jax.jit(grids.lookup)
make_samples = jax.jit(render.make_samples)
invert_cdf = jax.jit(intervals.invert_cdf)
importance_edges = jax.jit(intervals.importance_edges, static_argnums=2)
uniform_edges = jax.jit(intervals.uniform_edges, static_argnums=2)


def field(spec: FieldSpec) -> Field:
    """The field of a spec, see `whole`."""
    return whole(build_field(spec))


def whole(built: Field) -> Field:
    """A field each of whose functions is one program per mode and shape."""
    return built._replace(
        init=jax.jit(built.init, static_argnums=1),
        init_attention=jax.jit(built.init_attention),
        trunk=jax.jit(built.trunk, static_argnums=3),
        apply=jax.jit(built.apply, static_argnums=3),
        density=jax.jit(built.density, static_argnums=3),
        surface=jax.jit(built.surface, static_argnums=3),
    )


def render_rays(field, rays, levels, grid, background, keys=None):
    """`render.render_rays` as one program."""
    program = jax.jit(lambda *arrays: render.render_rays(field, arrays[0], levels, *arrays[1:]))
    return program(rays, grid, background, keys)


@partial(jax.jit, static_argnums=(1, 3))
def update_grid(grid, density, key, num):
    """`grid.update_grid` as one program."""
    return grids.update_grid(grid, density, key, num)
