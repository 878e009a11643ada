"""The density grid follows the field while it trains."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from jaxvsnerf.fields.build import Field
from jaxvsnerf.training.stages import RENDER_MODE, StageSpec
from jaxvsnerf.types import Array, Context, Params, Samples


def density_function(
    field: Field, params: Params, context: Context, mode: str
) -> Callable[[Array], Array]:
    """points [..., 3] -> density [...] per cube side, without a direction."""

    def density(points: Array) -> Array:
        ones = jnp.ones((*points.shape[:-1], 1))
        samples = Samples(
            means=points[..., None, :],
            covs=None,
            t_edges=jnp.concatenate([0 * ones, ones], -1),
            lengths=ones,
            viewdirs=None,
        )
        return field.apply(params, samples, context, mode).optical_depth[..., 0]

    return density


def grid_density(
    field: Field, params: Params, context: Context, stage: StageSpec
) -> Callable[[Array], Array]:
    """points [N, 3] -> density [N] by which a stage's grid is refreshed.

    Choice: in stage 2 each branch answers for its share of the points; in stage 3 the
    branch that says which samples are combined, where one does.
    """
    if stage.mode == "fused" and stage.combined:
        return density_function(field, params, context, "average")
    if stage.mode != "per_view":
        return density_function(field, params, context, RENDER_MODE[stage.mode])
    per_view = density_function(field, params, context, stage.mode)
    num_views = field.spec.num_views

    def density(points: Array) -> Array:
        padding = -points.shape[0] % num_views
        grouped = jnp.pad(points, ((0, padding), (0, 0))).reshape(-1, num_views, 3)
        answers = per_view(jnp.swapaxes(grouped, 0, 1))
        return jnp.swapaxes(answers, 0, 1).reshape(-1)[: points.shape[0]]

    return density
