"""VIEW BRANCHES: the layers of which every view has its own copy, vmapped over views."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.fields.shared import apply_layers
from jaxvsnerf.types import Array, Params


class ViewBranch(nn.Module):
    """Layers first ... depth - 1 for one view: (hidden, encoding) -> token [..., width].

    Paper: view-specific layers follow the shared ones; all views have the same shape.
    """

    size: int
    first: int
    depth: int
    width: int
    skip: int
    dtype: Any

    @nn.compact
    def __call__(self, hidden: Array | None, encoding: Array) -> Array:
        layers = range(self.first, self.depth)
        return apply_layers(hidden, encoding, self.size, layers, self.width, self.skip, self.dtype)


def view_branches(num_views: int, own_inputs: bool, **shape: Any) -> nn.Module:
    """V branches whose every parameter has a leading view axis.

    Args:
      num_views: V.
      own_inputs: True where branch v reads inputs[v] (stage 2: each view's rays), False
        where all branches read the same inputs (stage 3).
      **shape: of `ViewBranch`.

    Returns:
      A module (hidden, encoding) -> tokens [V, ..., width].
    """
    return nn.vmap(
        ViewBranch,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=0 if own_inputs else None,
        axis_size=num_views,
    )(**shape)


def one_branch(views: Params, index: Array | int) -> Params:
    """The parameters of branch `index`: choosing a view is indexing."""
    return jax.tree.map(lambda leaf: leaf[index], views)


def average_branch(views: Params) -> Params:
    """The branch whose parameters are the mean of all: one cheap answer for the views.

    Branches are fine-tuned copies of one, so that the mean of their parameters stays close
    to the mean of their answers, at the cost of one branch.
    """
    return jax.tree.map(lambda leaf: jnp.mean(leaf, 0), views)


def branch_spread(views: Params) -> Array:
    """[] how far branches are from their mean: squared distances of parameters, mean over views."""
    return sum(
        jnp.sum((leaf - jnp.mean(leaf, 0)) ** 2) / len(leaf) for leaf in jax.tree.leaves(views)
    )
