"""Conversion of a downloaded checkpoint's arrays to a generator's parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.keys import expected_shapes, params_from_state
from jaxvsnerf.generation.networks import Model
from jaxvsnerf.generation.spec import FULL, TINY, GeneratorSpec
from jaxvsnerf.generation.state_files import State
from jaxvsnerf.types import Params

# Key prefix of CLIP's weights in a checkpoint; CLIP's own archive has no prefix.
CLIP_PREFIX = {"syncdreamer": "clip_image_encoder.model.", "zero123": "cond_stage_model.model."}
_UNET = "model.diffusion_model."
_UNET_WIDTH = f"{_UNET}time_embed.0.weight"  # [4 c, c] of a UNet of width c


def guess_model(names: Iterable[str]) -> Model:
    """Tells from a checkpoint's array names which model the checkpoint is of.

    Raises:
      InputError: the names are neither SyncDreamer's nor Zero-1-to-3's.
    """
    names = list(names)
    if any(name.startswith("spatial_volume.") for name in names):
        return "syncdreamer"
    if any(name.startswith(_UNET) for name in names):
        return "zero123"
    raise InputError(
        "expected a checkpoint of SyncDreamer or Zero-1-to-3, got arrays of neither: "
        f"{', '.join(sorted(names)[:4])} ..."
    )


def guess_spec(state: Mapping[str, np.ndarray]) -> GeneratorSpec:
    """Sizes of the model that a state holds: TINY if the UNet has TINY's width, otherwise FULL."""
    width = state[_UNET_WIDTH].shape[-1] if _UNET_WIDTH in state else FULL.unet_width
    return TINY if width == TINY.unet_width else FULL


def with_clip(state: State, clip: State, model: Model, spec: GeneratorSpec) -> State:
    """Adds to a state the CLIP weights that the state lacks.

    The archive's text transformer and three size entries are dropped: no generator uses them.

    Args:
      state: arrays of a checkpoint without all CLIP weights, under the checkpoint's names.
      clip: arrays of OpenAI's CLIP ViT-L/14 archive.
      model: the model that the checkpoint is of.
      spec: sizes of the model.

    Returns:
      A state with the arrays of both, under the checkpoint's names.

    Raises:
      InputError: the state lacks no CLIP weights, or the archive is not CLIP ViT-L/14.
    """
    prefix = CLIP_PREFIX[model]
    lacking = {
        name: name.removeprefix(prefix)
        for name in expected_shapes(spec, model)
        if name.startswith(prefix) and name not in state
    }
    if not lacking:
        raise InputError("--clip: the checkpoint holds CLIP's weights itself; leave the flag out")
    missing = sorted(set(lacking.values()) - set(clip))
    if missing:
        raise InputError(
            f"--clip: expected CLIP ViT-L/14, {len(missing)} of its arrays are missing: "
            f"{', '.join(missing[:4])} ..."
        )
    return State({**state.readers, **clip.chosen(lacking).readers})


def convert_state(state: State, model: Model, spec: GeneratorSpec, dtype: str) -> Params:
    """Converts a checkpoint's arrays to parameters.

    Args:
      state: arrays under the original's names, floats of any width.
      model: `syncdreamer` or `zero123`.
      spec: sizes of the model.
      dtype: of the parameters returned, `float32` or `bfloat16`.

    Returns:
      Parameters on JAX's default device; the command `convert` makes the host the default.

    Raises:
      InputError: arrays are missing, unknown, of another shape, or not finite.
    """
    wide = State({name: partial(_as_float32, read) for name, read in state.readers.items()})
    params = params_from_state(wide, spec, model)
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    names, leaves = [jax.tree_util.keystr(path) for path, _ in paths], [leaf for _, leaf in paths]
    del params, paths  # so that each leaf is freed once its narrower copy exists
    for index, name in enumerate(names):
        if not np.isfinite(leaves[index]).all():
            raise InputError(
                f"the parameter {name} holds values that are not finite: the checkpoint is "
                "damaged; download it again"
            )
        # Orbax copies NumPy arrays before writing, but not JAX arrays.
        leaves[index] = jnp.asarray(leaves[index].astype(jnp.dtype(dtype), copy=False))
    return jax.tree.unflatten(structure, leaves)


def _as_float32(read: Callable[[], np.ndarray]) -> np.ndarray:
    return np.asarray(read()).astype(np.float32, copy=False)
