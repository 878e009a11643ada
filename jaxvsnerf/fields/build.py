"""Builds a field from a spec: pure functions over a plain pytree of parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxvsnerf.errors import InputError
from jaxvsnerf.fields import combine, shared, views
from jaxvsnerf.fields.decode import Features
from jaxvsnerf.fields.encode import FrequencySpec
from jaxvsnerf.fields.ends import DecoderSpec, EncoderSpec
from jaxvsnerf.fields.radiance import RadianceSpec
from jaxvsnerf.system.settings import Auto, argument, check_spec, setting
from jaxvsnerf.types import Array, Context, FieldOut, Params, Samples

MODES = ("single", "per_view", "fused", "canonical", "nearest", "average")


@dataclass(frozen=True)
class FieldSpec:
    """Shape of the field.

    Attributes:
      encoder: what comes before the layers.
      decoder: what comes after them.
    """

    num_views: int = argument(
        "Number of view branches once views are told apart.", at_least=1, at_most=100_000
    )
    depth: int = setting(8, "Layers of the MLP before the heads. Paper: 8.", at_least=2, at_most=64)
    width: int = setting(
        256,
        "Features of each layer, a multiple of num_heads.",
        at_least=1,
        at_most=8192,
    )
    shared_layers: int = setting(
        5,
        "Number of layers that all views share, fewer than depth. Choice: 5.",
        at_least=1,
        at_most=63,
    )
    skip_layer: int = setting(
        5,
        "Index of the layer that reads the encoding again, below depth; 0 for none. NeRF: 5.",
        at_least=0,
        at_most=63,
    )
    num_heads: int = setting(4, "Attention heads. Choice: 4.", at_least=1, at_most=256)
    key_size: int = setting(
        16, "Features of a head's queries and keys. Choice: 16.", at_least=1, at_most=4096
    )
    angle_term: bool = setting(
        False,
        "Whether attention sees the angle between the ray and each view. Density and colour of "
        "stage 3 then depend on the ray's direction, which the mesh and the grid do not know: "
        "pictures show another function. True is for runs up to 0.2.0 that hold it.",
        before=(True,),
    )
    dtype: str = setting(
        "float32",
        "Type of the matrix products; parameters are float32.",
        choices=("float32", "bfloat16"),
        auto=Auto("auto", "bfloat16 on GPUs and TPUs, float32 on a CPU"),
    )

    encoder: EncoderSpec = FrequencySpec()
    decoder: DecoderSpec = RadianceSpec()

    def __post_init__(self):
        check_spec(self, "field")
        if self.shared_layers >= self.depth:
            raise InputError(
                f"field.shared_layers: expected fewer than the {self.depth} layers of "
                f"field.depth, got {self.shared_layers}"
            )
        if self.skip_layer >= self.depth:
            raise InputError(
                f"field.skip_layer: expected a layer before the {self.depth} of field.depth, or 0 "
                f"for none, got {self.skip_layer}"
            )
        if self.width % self.num_heads:
            raise InputError(
                f"field.width: expected a multiple of field.num_heads = {self.num_heads}, "
                f"got {self.width}"
            )


class Field(NamedTuple):
    """A field as pure functions; parameters are passed as arguments.

    Batch axes are free, except in mode `per_view`, in which the first batch axis is V.

    Attributes:
      spec: the spec that the field was built from.
      init: (key, num_branches) -> params with groups shared, views, heads, and encoding if the
        encoding has parameters.
      init_attention: key -> parameters of the group attention.
      trunk: (params, samples, context, mode, token_mask) -> Features.
      apply: (params, samples, context, mode, token_mask) -> FieldOut. token_mask [..., V] bool
        selects, per ray, the views that the combiner uses; None selects all. Trailing batch axes
        along which the mask is constant may be left out.
      density: (params, points [..., 3], context, mode) -> [...] density per cube side, without a
        direction.
      surface: (params, points [..., 3], context, mode) -> [...] values of which one level is the
        surface, larger inside.
      gradient: (params, points [..., 3], context, mode) -> [..., 3] gradient of `surface`.
      level: the value of `surface` at the surface; None if the values must tell.
      features: numbers that an evaluation of a sample by one branch holds at once: the features
        of one layer, or of all layers if `apply` differentiates by position.
    """

    spec: FieldSpec
    init: Callable[[Array, int], Params]
    init_attention: Callable[[Array], Params]
    trunk: Callable[..., Features]
    apply: Callable[..., FieldOut]
    density: Callable[..., Array]
    surface: Callable[..., Array]
    gradient: Callable[..., Array]
    level: float | None
    features: int


@cache  # equal specs give the same functions, so that compiled programs are found again
def build_field(spec: FieldSpec) -> Field:
    """Builds the view-specific field of a spec.

    The returned functions raise InputError for an unknown mode, and ValueError for parameters or
    samples whose view axis does not fit the mode.
    """
    decoder = spec.decoder.build(spec.width, spec.encoder.position_scale, jnp.dtype(spec.dtype))
    init_layers, init_attention, trunk = _make_layers(spec, decoder.style)

    def init(key: Array, num_branches: int = 1) -> Params:
        heads = decoder.init(jax.random.split(key, 3)[2])
        return {**init_layers(key, num_branches), "heads": heads}

    def apply(params, samples, context, mode, token_mask=None) -> FieldOut:
        ask = partial(trunk, params, context=context, mode=mode, token_mask=token_mask)
        return decoder.decode(params["heads"], ask, samples, context)

    def density(params, points, context, mode) -> Array:
        ask = partial(trunk, params, context=context, mode=mode)
        return decoder.density(params["heads"], ask, points)

    def surface(params, points, context, mode) -> Array:
        ask = partial(trunk, params, context=context, mode=mode)
        return decoder.surface(params["heads"], ask, points)

    def gradient(params, points, context, mode) -> Array:
        return jax.grad(lambda at: jnp.sum(surface(params, at, context, mode)))(points)

    functions = init, init_attention, trunk, apply, density, surface, gradient
    layers = 2 * (spec.depth + 1) if decoder.differentiates else 1
    return Field(spec, *functions, decoder.level, layers * spec.width)


def _make_layers(
    spec: FieldSpec, style: shared.LayerStyle
) -> tuple[Callable[..., Params], Callable[[Array], Params], Callable[..., Features]]:
    """The functions `init` without heads, `init_attention` and `trunk` of a Field."""
    dtype = jnp.dtype(spec.dtype)
    encoder = spec.encoder.build()
    shape = dict(
        size=encoder.size,
        position=encoder.position,
        width=spec.width,
        skip=spec.skip_layer,
        style=style,
    )
    common = shared.SharedLayers(num_layers=spec.shared_layers, **shape)
    shape.update(first=spec.shared_layers, depth=spec.depth)
    attention = combine.AttentionCombiner(spec.num_heads, spec.key_size, spec.angle_term, dtype)

    def init(key: Array, num_branches: int) -> Params:
        keys = jax.random.split(key, 3)
        encoding = jnp.zeros((1, shared.aligned(encoder.size)))
        hidden = jnp.zeros((1, spec.width))
        branches = views.view_branches(num_branches, own_inputs=False, **shape)
        learned = encoder.init(jax.random.fold_in(key, 3))
        return {
            **({} if learned is None else {"encoding": learned}),
            "shared": common.init(keys[0], encoding)["params"],
            "views": branches.init(keys[1], hidden, encoding)["params"],
        }

    def init_attention(key: Array) -> Params:
        tokens = jnp.zeros((spec.num_views, 1, spec.width))
        mask = jnp.ones((spec.num_views, 1), bool)
        return attention.init(key, tokens, mask, None)["params"]

    def tokens_of(params: Params, samples: Samples, mode: str, context: Context) -> Array:
        encoding = encoder.apply(params.get("encoding"), samples.means, context.detail)
        hidden = common.apply({"params": params["shared"]}, encoding)
        if mode in ("single", "nearest", "average"):
            branch = _branch(params["views"], mode, context)
            return views.ViewBranch(**shape).apply({"params": branch}, hidden, encoding)
        branches = views.view_branches(spec.num_views, own_inputs=mode == "per_view", **shape)
        return branches.apply({"params": params["views"]}, hidden, encoding)

    def trunk(params, samples, context, mode, token_mask=None) -> Features:
        _check_mode(mode, params, samples, spec.num_views)
        tokens = tokens_of(params, samples, mode, context)
        if mode not in ("canonical", "fused"):
            return Features(tokens, tokens)
        mask = _view_first(token_mask, samples, spec.num_views)
        mean = combine.mean_token(tokens, mask)
        if mode == "canonical":
            return Features(mean, mean)
        given = tokens.astype(dtype), mask, _cosines(context, samples)
        return Features(attention.apply({"params": params["attention"]}, *given), mean)

    return init, init_attention, trunk


def _branch(branches: Params, mode: str, context: Context) -> Params:
    """The one branch that the modes single, nearest and average ask."""
    if mode == "average":
        return views.average_branch(branches)
    return views.one_branch(branches, 0 if mode == "single" else context.branch)


def _cosines(context: Context, samples: Samples) -> Array | None:
    """[V, ..., 1] cosine of the angle between ray and optical axis; None without directions."""
    if samples.viewdirs is None:
        return None
    precision = jax.lax.Precision.HIGHEST
    axes, directions = context.view_dirs, samples.viewdirs
    return jnp.einsum("vc,...c->v...", axes, directions, precision=precision)[..., None]


def _check_mode(mode: str, params: Params, samples: Samples, num_views: int) -> None:
    if mode not in MODES:
        raise InputError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
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
    """Moves a mask's view axis to the front: [..., V] or None -> [V, ..., 1] bool."""
    dims = samples.means.ndim
    if token_mask is None:
        return jnp.ones((num_views,) + (1,) * (dims - 1), bool)
    first = jnp.moveaxis(token_mask, -1, 0)
    return first.reshape(first.shape + (1,) * (dims - first.ndim))
