"""VIEW BRANCHES: layers of which every view has a copy, vmapped over views."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.fields.shared import LayerStyle, apply_layers
from jaxvsnerf.types import Array, Params


class ViewBranch(nn.Module):
    """Layers first ... depth - 1 of one view: (hidden, encoding) -> token [..., width].

    Paper: view-specific layers follow the shared ones; all views have the same shape.

    Attributes: see `apply_layers`.
    """

    size: int
    position: int
    first: int
    depth: int
    width: int
    skip: int
    style: LayerStyle

    @nn.compact
    def __call__(self, hidden: Array | None, encoding: Array) -> Array:
        shape = self.size, self.position, range(self.first, self.depth), self.width, self.skip
        return apply_layers(hidden, encoding, *shape, self.style)


def view_branches(num_views: int, own_inputs: bool, **shape: Any) -> nn.Module:
    """V branches in one module; every parameter has a leading view axis.

    Args:
      num_views: V.
      own_inputs: True if branch v reads inputs[v] (stage 2: each view's own rays), False if all
        branches read the same inputs (stage 3).
      **shape: attributes of `ViewBranch`.

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
    """The parameters of branch `index`, selected from leaves [V, ...]."""
    return jax.tree.map(lambda leaf: leaf[index], views)


def average_branch(views: Params) -> Params:
    """The parameters of an average branch: the mean over views of every parameter.

    Branches are fine-tuned copies of the same branch. The average branch's output therefore stays
    close to the mean of all outputs, at the cost of one branch.
    """
    return jax.tree.map(lambda leaf: jnp.mean(leaf, 0), views)


def branch_spread(views: Params) -> Array:
    """Spread [] of the branches: squared distance of parameters to their mean, view average."""
    return sum(
        jnp.sum((leaf - jnp.mean(leaf, 0)) ** 2) / len(leaf) for leaf in jax.tree.leaves(views)
    )
