"""The mapping between keys of the original checkpoints and parameters, in both directions.

A parameter's path follows the checkpoint's key: the network, then one name per module, with
`kernel` or `scale` for `weight`. A path of numbered modules in the original (`down.0.block.1`) is
one name here, with underscores around the numbers (`down_0_block_1`). Kernels hold the same
values with permuted axes.

Beside the networks' parameters a checkpoint holds:
* the noise schedule and cameras, constants here. Those that sampling depends on must equal the
  constants, so that a checkpoint of another rig or schedule is refused instead of sampled
  wrongly; the derived ones must be present.
* CLIP's text side without the text transformer: unused, but must be present.
* Zero-1-to-3's exponential moving averages (EMA): the parameters used for sampling. The raw
  weights must be present too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.geometry import target_cameras
from jaxvsnerf.generation.networks import Model, check_model, param_shapes
from jaxvsnerf.generation.schedule import NUM_STEPS, alphas_cumprod, betas
from jaxvsnerf.generation.spec import CONTEXT_DIM, NUM_VIEWS, GeneratorSpec
from jaxvsnerf.types import Params

Shape = tuple[int, ...]

UNET = "model.diffusion_model"
PREFIXES = {
    "time_embed": "time_embed",
    "autoencoder": "first_stage_model",
    "clip": "clip_image_encoder.model.visual",
    "cc_projection": "cc_projection",
    "target_encoder": "spatial_volume.target_encoder",
    "spatial_net": "spatial_volume.spatial_volume_feats",
    "frustum_net": "spatial_volume.frustum_volume_feats",
    "unet": UNET,
}
ZERO123_CLIP = "cond_stage_model.model.visual"
LEAVES = {"kernel": "weight", "up_kernel": "weight", "scale": "weight", "bias": "bias"}
# Names with an underscore beside a number in the original, which stays.
KEPT = re.compile(r"block_\d|attn_\d|ln_\d|conv\d_\d")
DERIVED = {
    "syncdreamer": (
        "alphas",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
    ),
    "zero123": (
        "alphas_cumprod_prev",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
    ),
}
# Tolerance of checkpoint constants relative to their largest value: the original computed them in
# float32 in another order of operations.
BUFFER_TOLERANCE = 1e-5
LISTED = 5  # keys that a message lists


def params_from_state(
    state: Mapping[str, np.ndarray], spec: GeneratorSpec, model: Model = "syncdreamer"
) -> Params:
    """Converts a checkpoint's `state_dict` to a model's parameters.

    Args:
      state: all arrays of the checkpoint, under the original's keys and in the original's layouts.
      spec: sizes of the model.
      model: the model that the checkpoint is of.

    Returns:
      Parameters by network, see `networks.networks`, as numpy arrays of the state's dtypes.

    Raises:
      InputError: a key is missing, unknown or of another shape, or the checkpoint was trained for
        another schedule or other cameras.
    """
    check_model(model)
    _check_keys({name: np.shape(value) for name, value in state.items()}, spec, model)
    _check_buffers(state, model)

    def take(path: tuple, _) -> np.ndarray:
        names = _names(path)
        value = np.asarray(state[_sampled_key(names, model)])
        return np.ascontiguousarray(np.transpose(value, np.argsort(_axes(names[-1], value.ndim))))

    return jax.tree_util.tree_map_with_path(take, param_shapes(spec, model))


def state_from_params(
    params: Params, spec: GeneratorSpec, model: Model = "syncdreamer"
) -> dict[str, np.ndarray]:
    """Converts parameters to a checkpoint; inverse of `params_from_state`.

    Args:
      params: parameters by network.
      spec: sizes of the model.
      model: the model that the parameters are of.

    Returns:
      All arrays of a checkpoint by the original's keys; unused ones are zero.

    Raises:
      ValueError: no such model.
    """
    check_model(model)
    unused = _unused_shapes(spec, model)
    state = {name: np.zeros(shape, np.float32) for name, shape in unused.items()}
    state |= constants(model)
    for path, value in jax.tree_util.tree_leaves_with_path(params):
        names, value = _names(path), np.asarray(value)
        value = np.transpose(value, _axes(names[-1], value.ndim))
        for key in {_key(names, model), _sampled_key(names, model)}:
            state[key] = value
    return state


def expected_shapes(spec: GeneratorSpec, model: Model = "syncdreamer") -> dict[str, Shape]:
    """All keys of a model's checkpoint, with shapes in the original's layout."""
    check_model(model)
    shapes = _unused_shapes(spec, model)
    shapes |= {name: value.shape for name, value in constants(model).items()}
    for names, shape in _leaves(spec, model):
        original = tuple(shape[axis] for axis in _axes(names[-1], len(shape)))
        shapes[_key(names, model)] = shapes[_sampled_key(names, model)] = original
    return shapes


def module_keys(names: Sequence[str]) -> list[str]:
    """Translates names of nested modules to the original's."""
    return [
        name if KEPT.fullmatch(name) else re.sub(r"_(?=\d)|(?<=\d)_", ".", name) for name in names
    ]


def _leaves(spec: GeneratorSpec, model: Model) -> Iterator[tuple[list[str], Shape]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(param_shapes(spec, model)):
        yield _names(path), leaf.shape


def _names(path: tuple) -> list[str]:
    return [entry.key for entry in path]


def _key(names: list[str], model: Model) -> str:
    """The original's key of a parameter, given as a path of names."""
    network, *modules, leaf = names
    clip = model == "zero123" and network == "clip"
    prefix = ZERO123_CLIP if clip else PREFIXES[network]
    # PyTorch's attention holds its input projections as plain arrays (`in_proj_weight`), not as a
    # layer.
    key = ".".join([prefix, *module_keys(modules), LEAVES.get(leaf, leaf)])
    return key.replace(".in_proj.", ".in_proj_")


def _sampled_key(names: list[str], model: Model) -> str:
    """The key of the array used for sampling: the moving average, where the model has one."""
    key = _key(names, model)
    if model == "zero123" and names[0] == "unet":
        return "model_ema." + key.removeprefix("model.").replace(".", "")
    return key


def _axes(leaf: str, ndim: int) -> Shape:
    """Permutation of a parameter's axes to the original's layout.

    Convolutions are [out, in, taps] there, transposed convolutions [in, out, taps].
    """
    taps = tuple(range(ndim - 2))
    if leaf == "kernel":
        return (ndim - 1, ndim - 2, *taps)
    if leaf == "up_kernel":
        return (ndim - 2, ndim - 1, *taps)
    return tuple(range(ndim))


def _unused_shapes(spec: GeneratorSpec, model: Model) -> dict[str, Shape]:
    """Shapes of the checkpoint's arrays that are not read here, by key."""
    clip = (ZERO123_CLIP if model == "zero123" else PREFIXES["clip"]).removesuffix("visual")
    width = spec.text_width
    shapes: dict[str, Shape] = {
        f"{clip}positional_embedding": (spec.text_context, width),
        f"{clip}text_projection": (width, CONTEXT_DIM),
        f"{clip}logit_scale": (),
        f"{clip}token_embedding.weight": (spec.text_vocabulary, width),
        f"{clip}ln_final.weight": (width,),
        f"{clip}ln_final.bias": (width,),
    }
    shapes |= {name: (NUM_STEPS,) for name in DERIVED[model]}
    if model == "zero123":
        shapes |= {"model_ema.decay": (), "model_ema.num_updates": ()}
    return shapes


def constants(model: Model) -> dict[str, np.ndarray]:
    """Constants in a checkpoint that sampling depends on, by key."""
    buffers = {"betas": betas(), "alphas_cumprod": alphas_cumprod()}
    if model == "zero123":
        return buffers
    cameras = target_cameras()
    # The original stores azimuths in [-pi, pi).
    azimuth = 2.0 * np.pi * (np.arange(NUM_VIEWS) / NUM_VIEWS)
    azimuth = (azimuth + np.pi) % (2.0 * np.pi) - np.pi
    return buffers | {
        "poses": np.asarray(cameras.w2c),
        "Ks": np.asarray(cameras.intrinsics),
        "azimuth": azimuth.astype(np.float32),
    }


def _check_keys(found: dict[str, Shape], spec: GeneratorSpec, model: Model) -> None:
    expected = expected_shapes(spec, model)
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "unknown": sorted(found.keys() - expected.keys()),
        "of another shape": [
            f"{name} {found[name]} instead of {shape}"
            for name, shape in expected.items()
            if name in found and found[name] != shape
        ],
    }
    parts = [f"{len(names)} {kind}: {_listed(names)}" for kind, names in problems.items() if names]
    if parts:
        raise InputError(
            f"expected the {len(expected)} arrays of a {model} checkpoint of this size; "
            + "; ".join(parts)
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")


def _check_buffers(state: Mapping[str, np.ndarray], model: Model) -> None:
    for name, expected in constants(model).items():
        error = np.abs(np.asarray(state[name], np.float64) - expected).max()
        if not error <= BUFFER_TOLERANCE * np.abs(expected).max():
            raise InputError(
                f"expected a {model} checkpoint, whose {name} are constants; these differ by "
                f"{error:.2g}: it was trained for another schedule or other cameras"
            )
