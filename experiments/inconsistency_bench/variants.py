"""Variants of `ours` with one change each, and plain methods for comparison.

`run --variants` runs all of them on the tuning objects. The changes that helped became the default.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ml_collections import ConfigDict

from configs import hash as hash_grid
from experiments.inconsistency_bench.losses import DistortedLoss
from experiments.inconsistency_bench.methods import (
    METHODS,
    Entry,
    Parts,
    one_stage,
    plain_nerf,
    train_product,
)
from experiments.inconsistency_bench.variant_fields import (
    low_rank_field,
    random_views_field,
    shared_density_field,
)
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.fields.build import Field
from jaxvsnerf.training.losses import LossSpec

# Seeds of the two damages of each tuning object.
SEEDS = (100, 101)


def low_rank(field: Field, loss: LossSpec, rank: int) -> tuple[Field, LossSpec]:
    """Makes branches of a small rank.

    Args:
      field: the default field.
      loss: the default loss.
      rank: rank of the matrices.
    """
    return low_rank_field(field.spec, rank), loss


def shared_density(field: Field, loss: LossSpec) -> tuple[Field, LossSpec]:
    """Lets views differ in colour alone."""
    return shared_density_field(field.spec), loss


def random_views(field: Field, loss: LossSpec, own: float, others: float) -> tuple[Field, LossSpec]:
    """Hides random views from the combiner during training.

    Args:
      field: the default field.
      loss: the default loss.
      own: share of the rays for which the combiner sees the ray's own view.
      others: share of the rays for which the combiner sees another view.
    """
    return random_views_field(field.spec, own, others), loss


def distorted(field: Field, loss: LossSpec, distortion: float) -> tuple[Field, LossSpec]:
    """Adds the distortion loss.

    Args:
      field: the default field.
      loss: the default loss.
      distortion: weight of the distortion loss.
    """
    return field, DistortedLoss(**vars(loss), distortion=distortion)


def _variant(
    parts: Parts | None = None,
    config: Callable[[], ConfigDict] = default_config,
    **changes: Any,
) -> Entry:
    """Makes an entry; a double underscore in a name means a dot."""
    settings = {"length": 1.0, **{name.replace("__", "."): v for name, v in changes.items()}}
    return Entry(partial(train_product, config, parts), settings, {})


ALL_GROUPS = ("shared", "views", "attention", "heads")
NONE = {"stage2__pull": 0.0}
VARIANTS: dict[str, Entry] = {
    # Trust in views.
    **{f"trust-{one:g}": _variant(loss__trust=one) for one in (0.0, 1.0, 2.0, 3.0)},
    "plain-trust": _variant(
        None,
        plain_nerf,
        length=0.5,
        stage1__lr_init=1e-3,
        loss__terms__mask=0.1,
        loss__trust=1.5,
    ),
    "robust-trust": _variant(None, one_stage, loss__trust=1.5),
    # Coupling of the branches.
    **{f"pull-{one:g}": _variant(stage2__pull=one) for one in (0.0, 0.01, 0.3, 1.0)},
    **{f"rank-{one}": _variant(low_rank, rank=one, **NONE) for one in (1, 4, 16)},
    **{f"shared-{one}": _variant(field__shared_layers=one, **NONE) for one in (2, 4, 6, 7)},
    "shared-7-pull": _variant(field__shared_layers=7),
    "density-shared": _variant(shared_density, **NONE),
    "stage2-views": _variant(stage2__trainable=("views",), **NONE),
    "stage2-views-heads": _variant(stage2__trainable=("views", "heads"), **NONE),
    # Training of the combiner.
    "stage3-none": _variant(stage3__steps=0),
    "stage3-own-seen": _variant(stage3__token_mask="none"),
    "stage3-own-half": _variant(random_views, own=0.5, others=1.0),
    "stage3-subsets": _variant(random_views, own=0.0, others=0.5),
    "stage3-everything": _variant(stage3__trainable=ALL_GROUPS),
    "stage3-attention": _variant(stage3__trainable=("attention",)),
    "stage3-fast": _variant(stage3__lr_init=1e-3, stage3__lr_final=1e-4),
    "angle": _variant(field__angle_term=True),
    # The loss, and the inputs of the colour.
    "squared": _variant(loss__kind="mse"),
    **{f"eps-{one:g}": _variant(loss__eps=one) for one in (1e-4, 1e-2, 1e-1)},
    **{f"mask-{one:g}": _variant(loss__terms__mask=one) for one in (0.1, 0.3, 3.0)},
    "direction": _variant(field__view_dependent=True),
    "direction-coarse": _variant(field__view_dependent=True, field__dir_freqs=1),
    # Smoothness.
    **{f"freqs-{one}": _variant(field__pos_freqs=one) for one in (4, 5, 6, 8)},
    **{f"distortion-{one:g}": _variant(distorted, distortion=one) for one in (0.01, 0.1)},
    "hull-none": _variant(sampling__hull_dilate_px=24, sampling__hull_outside=0.5),
    "hull-tight": _variant(sampling__hull_dilate_px=1),
    "smooth": _variant(loss__terms__roughness=1.0),
    "smooth-none": _variant(loss__terms__roughness=0.0),
    "coarse-to-fine": _variant(stage1__coarse_to_fine=0.9),
    "coarse-to-fine-none": _variant(stage1__coarse_to_fine=0.0),
    "charbonnier": _variant(loss__kind="charbonnier"),
    "hull-forgiving": _variant(sampling__hull_outside=0.25),
    # Number of steps.
    "half": _variant(length=0.5),
    "longer": _variant(length=1.3),
    "hash-pull-0": _variant(None, hash_grid.get_config, **NONE),
    "hash-smooth": _variant(None, hash_grid.get_config, loss__terms__roughness=1.0),
}
KNOWN: dict[str, Entry] = {**METHODS, **VARIANTS}
