"""The one mapping between the original checkpoints' keys and the parameters.

Parameters are named after the keys: network, then one name a module, `kernel` and `scale` for
`weight`. Where the original numbers modules (`down.0.block.1`), ours are one name, with an
underscore beside every number (`down_0_block_1`). Kernels are the same numbers with other axes.

What a checkpoint holds beside the networks' parameters:
* schedule and cameras: they are constants of the method here. Those that sampling depends on
  are compared with the constants, so that a checkpoint of another rig or schedule is refused
  instead of sampled wrongly; the others follow from them and only have to be there.
* CLIP's text side but for its transformer: unused; it has to be there.
* Zero-1-to-3's moving averages: they are what one samples with, so they are the parameters. Those
  they are averages of have to be there too.
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
# Names that have an underscore beside a number in the original too.
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
# Relative to a buffer's largest number; float32 in another order of operations.
BUFFER_TOLERANCE = 1e-5
LISTED = 5


def params_from_state(
    state: Mapping[str, np.ndarray], spec: GeneratorSpec, model: Model = "syncdreamer"
) -> Params:
    """A model's parameters from a checkpoint's `state_dict`.

    Args:
      state: all arrays of the checkpoint, under the original's keys and in its layouts.
      spec: widths.
      model: whose checkpoint.

    Returns:
      Parameters by network, see `networks.networks`, as numpy arrays of the given dtypes.

    Raises:
      ValueError: a key is missing, unknown or of another shape, or the checkpoint is of another
        schedule or other cameras.
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
    """The checkpoint that has these parameters; what is not used of a checkpoint is zero."""
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
    """All keys of a model's checkpoint with the original's shapes."""
    check_model(model)
    shapes = _unused_shapes(spec, model)
    shapes |= {name: value.shape for name, value in constants(model).items()}
    for names, shape in _leaves(spec, model):
        original = tuple(shape[axis] for axis in _axes(names[-1], len(shape)))
        shapes[_key(names, model)] = shapes[_sampled_key(names, model)] = original
    return shapes


def module_keys(names: Sequence[str]) -> list[str]:
    """The original's names of nested modules."""
    return [
        name if KEPT.fullmatch(name) else re.sub(r"_(?=\d)|(?<=\d)_", ".", name) for name in names
    ]


def _leaves(spec: GeneratorSpec, model: Model) -> Iterator[tuple[list[str], Shape]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(param_shapes(spec, model)):
        yield _names(path), leaf.shape


def _names(path: tuple) -> list[str]:
    return [entry.key for entry in path]


def _key(names: list[str], model: Model) -> str:
    """The original's key of a parameter."""
    network, *modules, leaf = names
    clip = model == "zero123" and network == "clip"
    prefix = ZERO123_CLIP if clip else PREFIXES[network]
    # PyTorch's attention has its three projections as arrays of its own, not as a layer.
    key = ".".join([prefix, *module_keys(modules), LEAVES.get(leaf, leaf)])
    return key.replace(".in_proj.", ".in_proj_")


def _sampled_key(names: list[str], model: Model) -> str:
    """The key under which a parameter is sampled with."""
    key = _key(names, model)
    if model == "zero123" and names[0] == "unet":
        return "model_ema." + key.removeprefix("model.").replace(".", "")
    return key


def _axes(leaf: str, ndim: int) -> Shape:
    """The axes of a parameter in the original's order: out, in, taps; transposed: in, out, taps."""
    taps = tuple(range(ndim - 2))
    if leaf == "kernel":
        return (ndim - 1, ndim - 2, *taps)
    if leaf == "up_kernel":
        return (ndim - 2, ndim - 1, *taps)
    return tuple(range(ndim))


def _unused_shapes(spec: GeneratorSpec, model: Model) -> dict[str, Shape]:
    """What a checkpoint holds that nothing here reads."""
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
    """Constants that a checkpoint holds and sampling depends on."""
    buffers = {"betas": betas(), "alphas_cumprod": alphas_cumprod()}
    if model == "zero123":
        return buffers
    cameras = target_cameras()
    # Within [-pi, pi).
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
    said = [f"{len(names)} {what}: {_some(names)}" for what, names in problems.items() if names]
    if said:
        raise InputError(
            f"expected the {len(expected)} arrays of a {model} checkpoint of this size; "
            + "; ".join(said)
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")


def _check_buffers(state: Mapping[str, np.ndarray], model: Model) -> None:
    for name, expected in constants(model).items():
        error = np.abs(np.asarray(state[name], np.float64) - expected).max()
        if not error <= BUFFER_TOLERANCE * np.abs(expected).max():
            raise InputError(
                f"expected a {model} checkpoint, whose {name} are constants; these differ by "
                f"{error:.2g}: it was trained for another schedule or other cameras"
            )
