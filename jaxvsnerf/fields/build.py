"""Assembles a field from a spec: a handful of pure functions over a plain pytree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxvsnerf.errors import InputError
from jaxvsnerf.fields import combine, decode, encode, shared, views
from jaxvsnerf.fields.hashgrid import HashSpec
from jaxvsnerf.types import Array, Context, FieldOut, Params, Samples

MODES = ("single", "per_view", "fused", "canonical", "nearest", "average")


@dataclass(frozen=True)
class FieldSpec:
    """Shape of the field.

    Attributes:
      num_views: V, branches once there are several.
      depth: layers of the MLP before the heads. Paper: 8. At least 2.
      width: features of each, a multiple of num_heads.
      shared_layers: how many of them all views share, 1 to depth - 1. Choice: 5.
      skip_layer: the layer that reads the encoding again, up to depth - 1; 0 for none.
        NeRF: 5.
      encoding: of the position, `frequency` (NeRF) or `hash` (Instant-NGP).
      hash_grid: shape of the encoding `hash`.
      half_extent: half the side of the cube that the encoding `hash` covers.
      pos_freqs: frequencies of the position, in both encodings; at least 1.
      dir_freqs: frequencies of the direction's encoding; at least 1.
      position_scale: positions are multiplied by it before their frequencies.
      view_dependent: whether colour sees the direction.
      num_heads: attention heads. Choice: 4. At least 1.
      key_size: features of a head's queries and keys. Choice: 16. At least 1.
      angle_term: attention sees the angle between ray and view.
      density_activation: `softplus` or `relu`.
      density_scale: density = scale * activation(logit + shift), per cube side.
      density_shift: added to the logit, see density_scale.
      dtype: of matrix products, `float32` or `bfloat16`; parameters are float32.
    """

    num_views: int
    depth: int = 8
    width: int = 256
    shared_layers: int = 5
    skip_layer: int = 5
    encoding: str = "frequency"
    hash_grid: HashSpec = HashSpec()
    half_extent: float = 0.6
    pos_freqs: int = 10
    dir_freqs: int = 4
    position_scale: float = 2.0
    view_dependent: bool = False
    num_heads: int = 4
    key_size: int = 16
    angle_term: bool = True
    density_activation: str = "softplus"
    density_scale: float = 10.0
    density_shift: float = -1.0
    dtype: str = "float32"

    def __post_init__(self):
        positive = (
            "num_views",
            "depth",
            "width",
            "pos_freqs",
            "dir_freqs",
            "num_heads",
            "key_size",
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise InputError(f"field.{name}: expected at least 1, got {getattr(self, name)}")
        if not 1 <= self.shared_layers < self.depth:
            raise InputError(
                f"field.shared_layers: expected 1 to {self.depth - 1} of the {self.depth} layers, "
                f"got {self.shared_layers}"
            )
        if not 0 <= self.skip_layer < self.depth:
            raise InputError(
                f"field.skip_layer: expected 1 to {self.depth - 1}, or 0 for none, "
                f"got {self.skip_layer}"
            )
        if self.width % self.num_heads:
            raise InputError(
                f"field.width: expected a multiple of num_heads = {self.num_heads}, "
                f"got {self.width}"
            )
        _one_of("field.encoding", self.encoding, encode.ENCODINGS)
        _one_of("field.density_activation", self.density_activation, decode.ACTIVATIONS)
        _one_of("field.dtype", self.dtype, ("float32", "bfloat16"))


class Field(NamedTuple):
    """A field as functions; its parameters live outside.

    Attributes:
      spec: what it was built from.
      init: (key, num_branches) -> params with groups shared, views, heads, and encoding
        where it learns.
      init_attention: key -> the group attention.
      trunk: (params, samples, context, mode, token_mask) -> feature [..., S, F].
      apply: (params, samples, context, mode, token_mask) -> FieldOut. token_mask
        [..., V] bool says per ray which views the combiner may use; None is all, and
        last batch axes for which it is the same may be left out.

    Batch axes are free but in mode `per_view`, where the first one is V.
    """

    spec: FieldSpec
    init: Callable[[Array, int], Params]
    init_attention: Callable[[Array], Params]
    trunk: Callable[..., Array]
    apply: Callable[..., FieldOut]


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")


def _make_encoder(spec: FieldSpec) -> encode.Encoder:
    if spec.encoding == "hash":
        return encode.hash_encoder(
            spec.hash_grid, spec.half_extent, spec.pos_freqs, spec.position_scale
        )
    return encode.frequency_encoder(spec.pos_freqs, spec.position_scale)


@cache  # equal specs give the same functions, so that what was compiled for them is found
def build_field(spec: FieldSpec) -> Field:
    """The view-specific field of `spec`.

    Raises:
      ValueError: a mode that does not exist, or parameters whose branches do not fit it.
    """
    dtype = jnp.dtype(spec.dtype)
    encoder = _make_encoder(spec)
    shape = dict(size=encoder.size, width=spec.width, skip=spec.skip_layer, dtype=dtype)
    common = shared.SharedLayers(num_layers=spec.shared_layers, **shape)
    shape.update(first=spec.shared_layers, depth=spec.depth)
    heads = decode.RadianceHeads(spec.width, spec.dir_freqs, dtype)
    attention = combine.AttentionCombiner(spec.num_heads, spec.key_size, spec.angle_term, dtype)

    def init(key: Array, num_branches: int = 1) -> Params:
        keys = jax.random.split(key, 3)
        encoding = jnp.zeros((1, shared.aligned(encoder.size)))
        hidden = jnp.zeros((1, spec.width))
        branches = views.view_branches(num_branches, own_inputs=False, **shape)
        learned = encoder.init(jax.random.fold_in(key, 3))
        return {
            **({} if learned is None else {"encoding": learned}),
            "shared": common.init(keys[0], encoding)["params"],
            "views": branches.init(keys[1], hidden, encoding)["params"],
            "heads": heads.init(keys[2], hidden, None)["params"],
        }

    def init_attention(key: Array) -> Params:
        tokens = jnp.zeros((spec.num_views, 1, spec.width))
        mask = jnp.ones((spec.num_views, 1), bool)
        return attention.init(key, tokens, mask, None)["params"]

    def tokens_of(params: Params, samples: Samples, mode: str, context: Context) -> Array:
        encoding = encoder.apply(params.get("encoding"), samples.means, context.detail)
        hidden = common.apply({"params": params["shared"]}, encoding)
        if mode in ("single", "nearest", "average"):
            if mode == "average":
                branch = views.average_branch(params["views"])
            else:
                index = 0 if mode == "single" else context.branch
                branch = views.one_branch(params["views"], index)
            return views.ViewBranch(**shape).apply({"params": branch}, hidden, encoding)
        branches = views.view_branches(spec.num_views, own_inputs=mode == "per_view", **shape)
        return branches.apply({"params": params["views"]}, hidden, encoding)

    def trunk(params, samples, context, mode, token_mask=None) -> Array:
        _check_mode(mode, params, samples, spec.num_views)
        tokens = tokens_of(params, samples, mode, context)
        if mode not in ("canonical", "fused"):
            return tokens
        mask = _view_first(token_mask, samples, spec.num_views)
        if mode == "canonical":
            return combine.mean_token(tokens, mask)
        cosines = None
        if samples.viewdirs is not None:
            cosines = jnp.einsum(
                "vc,...c->v...",
                context.view_dirs,
                samples.viewdirs,
                precision=jax.lax.Precision.HIGHEST,
            )[..., None]
        return attention.apply({"params": params["attention"]}, tokens, mask, cosines)

    def apply(params, samples, context, mode, token_mask=None) -> FieldOut:
        return decode.decode_radiance(
            heads,
            params["heads"],
            lambda s: trunk(params, s, context, mode, token_mask),
            samples,
            activation=spec.density_activation,
            scale=spec.density_scale,
            shift=spec.density_shift,
            view_dependent=spec.view_dependent,
        )

    return Field(spec, init, init_attention, trunk, apply)


def _check_mode(mode: str, params: Params, samples: Samples, num_views: int) -> None:
    _one_of("mode", mode, MODES)
    branches = jax.tree.leaves(params["views"])[0].shape[0]
    if mode == "single" and branches != 1:
        raise ValueError(f"mode single: expected parameters of 1 branch, got {branches}")
    if mode in ("per_view", "fused", "canonical") and branches != num_views:
        raise ValueError(f"mode {mode}: expected {num_views} branches, got {branches}")
    if mode == "per_view" and samples.means.shape[0] != num_views:
        raise ValueError(
            f"mode per_view: expected samples grouped by view, [{num_views}, ..., S, 3], "
            f"got {samples.means.shape}"
        )
    if mode == "fused" and "attention" not in params:
        raise ValueError("mode fused: expected a group 'attention' in the parameters")


def _view_first(token_mask: Array | None, samples: Samples, num_views: int) -> Array:
    """[V, ..., 1] bool from [..., V] or None."""
    dims = samples.means.ndim
    if token_mask is None:
        return jnp.ones((num_views,) + (1,) * (dims - 1), bool)
    first = jnp.moveaxis(token_mask, -1, 0)
    return first.reshape(first.shape + (1,) * (dims - first.ndim))
