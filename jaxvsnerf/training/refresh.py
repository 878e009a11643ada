"""Densities of the field being trained, by which the density grid is updated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from jaxvsnerf.fields.build import Field
from jaxvsnerf.training.stages import RENDER_MODE, StageSpec
from jaxvsnerf.types import Array, Context, Params


def grid_density(
    field: Field, params: Params, context: Context, stage: StageSpec
) -> Callable[[Array], Array]:
    """Density that a stage's grid is updated with.

    Choice: in stage 2 each branch gives the density of an equal share of the points; in stage 3
    with sparse combination, the average branch, which also selects the samples to combine.

    Args:
      field: the field.
      params: parameters of the field.
      context: context of the field.
      stage: the stage being trained.

    Returns:
      A function: points [N, 3] -> density [N] per side of the object's cube.
    """
    ask = partial(field.density, params, context=context)
    if stage.mode == "fused" and stage.combined:
        return partial(ask, mode="average")
    if stage.mode != "per_view":
        return partial(ask, mode=RENDER_MODE[stage.mode])
    num_views = field.spec.num_views

    def density(points: Array) -> Array:
        padding = -points.shape[0] % num_views
        grouped = jnp.pad(points, ((0, padding), (0, 0))).reshape(-1, num_views, 3)
        answers = ask(jnp.swapaxes(grouped, 0, 1), mode="per_view")
        return jnp.swapaxes(answers, 0, 1).reshape(-1)[: points.shape[0]]

    return density
