"""From the arrays of a downloaded checkpoint to a generator's parameters."""

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

# Where a checkpoint has CLIP's weights, which its own archive holds without the prefix.
CLIP_PREFIX = {"syncdreamer": "clip_image_encoder.model.", "zero123": "cond_stage_model.model."}
_UNET = "model.diffusion_model."
_UNET_WIDTH = f"{_UNET}time_embed.0.weight"  # [4 c, c] of a UNet of width c


def guess_model(names: Iterable[str]) -> Model:
    """Which model's checkpoint has arrays of these names.

    Raises:
      ValueError: neither SyncDreamer's nor Zero-1-to-3's.
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
    """The sizes of the model that a state belongs to; FULL unless it is the tests' own."""
    width = state[_UNET_WIDTH].shape[-1] if _UNET_WIDTH in state else FULL.unet_width
    return TINY if width == TINY.unet_width else FULL


def with_clip(state: State, clip: State, model: Model, spec: GeneratorSpec) -> State:
    """The state with what it lacks of CLIP taken from CLIP's own archive.

    Of the archive the text transformer and three sizes are left over: no generator has them.

    Raises:
      ValueError: the state lacks nothing of CLIP, or the archive is not CLIP's.
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
    """The parameters that a state holds.

    Args:
      state: arrays under the original's names, floats of any width.
      model: `syncdreamer` or `zero123`.
      spec: its sizes.
      dtype: of the parameters returned, `float32` or `bfloat16`.

    Returns:
      Arrays on JAX's default device; see `convert`, which makes that the host.

    Raises:
      ValueError: arrays are missing, unknown, of another shape, or not finite.
    """
    wide = State({name: partial(_as_float32, read) for name, read in state.readers.items()})
    params = params_from_state(wide, spec, model)
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    names, leaves = [jax.tree_util.keystr(path) for path, _ in paths], [leaf for _, leaf in paths]
    del params, paths  # so that each leaf goes when its narrower copy is made
    for index, name in enumerate(names):
        if not np.isfinite(leaves[index]).all():
            raise InputError(
                f"the parameter {name} holds values that are not finite: the checkpoint is "
                "damaged; download it again"
            )
        # Of NumPy's arrays orbax makes a copy before it writes, of JAX's it does not.
        leaves[index] = jnp.asarray(leaves[index].astype(jnp.dtype(dtype), copy=False))
    return jax.tree.unflatten(structure, leaves)


def _as_float32(read: Callable[[], np.ndarray]) -> np.ndarray:
    return np.asarray(read()).astype(np.float32, copy=False)
