"""Fields of the compared methods: one NeRF for all views, and a code for each view.

The codes are in the group `views`, as in every field, so the stage mode `per_view` trains them. All
other modes render with the mean of the codes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvsnerf.fields.build import Field, FieldSpec, build_field
from jaxvsnerf.fields.decode import Features, at_points
from jaxvsnerf.fields.encode import posenc
from jaxvsnerf.types import Array, Context, FieldOut, Params, Samples

# Width of the small networks that read a code.
WIDTH = 64
# Frequencies of the position in the bending network. Few frequencies give smooth bends.
BEND_FREQS = 3
# Scale of a bend, in sides of the cube.
BEND_SCALE = 0.1
Trunk = Callable[[Samples], Array]
Decode = Callable[[Array, Samples], FieldOut]


class _Reader(nn.Module):
    """Two layers that read an input and a code: [..., N], [..., C] -> [..., outputs]."""

    outputs: int

    @nn.compact
    def __call__(self, inputs: Array, codes: Array) -> Array:
        codes = jnp.broadcast_to(codes, (*inputs.shape[:-1], codes.shape[-1]))
        hidden = jnp.concatenate([inputs.astype(jnp.float32), codes], -1)
        for _ in range(2):
            hidden = nn.relu(nn.Dense(WIDTH)(hidden))
        return nn.Dense(self.outputs, kernel_init=nn.initializers.zeros)(hidden)


def _coded_field(
    spec: FieldSpec,
    size: int,
    init: Callable[[Array], Params],
    answer: Callable[[Params, Array, Trunk, Decode, Samples], FieldOut],
) -> Field:
    """Builds a NeRF with a code for each view.

    Args:
      spec: spec of the NeRF; views share all its layers.
      size: C, numbers per code.
      init: key -> parameters of the network that reads the codes.
      answer: (parameters of this network, codes [..., C], trunk, decode, samples) -> FieldOut.
    """
    base = build_field(spec)
    decoder = spec.decoder.build(spec.width, spec.encoder.position_scale, jnp.dtype(spec.dtype))

    def init_all(key: Array, num_branches: int = 1) -> Params:
        params = base.init(key, 1)
        network = init(jax.random.fold_in(key, 1))
        layers = {"layers": params["shared"], "branch": params["views"], "network": network}
        codes = jnp.zeros((num_branches, size))
        return {**params, "shared": layers, "views": {"code": codes}}

    def trunk(params, samples, context, mode, token_mask=None) -> Array:
        shared = params["shared"]
        alone = {**params, "shared": shared["layers"], "views": shared["branch"]}
        return base.trunk(alone, samples, context, "single").color

    def decode(params: Params, context: Context, feature: Array, samples: Samples) -> FieldOut:
        features = Features(feature, feature)
        return decoder.decode(params["heads"], lambda _: features, samples, context)

    def apply(params, samples, context: Context, mode, token_mask=None) -> FieldOut:
        codes = params["views"]["code"]
        if mode == "per_view":
            codes = codes.reshape(len(codes), *(1,) * (samples.means.ndim - 2), size)
        else:
            codes = jnp.mean(codes, 0)
        ask = partial(trunk, params, context=context, mode=mode)
        asked = codes, ask, partial(decode, params, context), samples
        return answer(params["shared"]["network"], *asked)

    return asked_alone(base._replace(init=init_all, trunk=trunk, apply=apply))


def asked_alone(field: Field) -> Field:
    """A radiance field whose density is asked through `apply`."""

    def density(params, points, context, mode) -> Array:
        return field.apply(params, at_points(points), context, mode).optical_depth[..., 0]

    return field._replace(density=density, surface=density)


@cache
def appearance_field(spec: FieldSpec, size: int) -> Field:
    """Codes that change colour and leave density alone.

    Source: NeRF in the Wild (arXiv:2008.02268) section 4.1. Choice: a matrix maps the code to the
    feature of the colour head, and the result is added to that feature.
    """
    linear = nn.Dense(spec.width, use_bias=False)

    def init(key: Array) -> Params:
        return linear.init(key, jnp.zeros(size))["params"]

    def answer(network, codes, trunk, decode, samples) -> FieldOut:
        feature = trunk(samples)
        added = linear.apply({"params": network}, codes).astype(feature.dtype)
        colored = decode(feature + added, samples)
        return decode(feature, samples).replace(rgb=colored.rgb)

    return _coded_field(spec, size, init, answer)


@cache
def uncertain_field(spec: FieldSpec, size: int) -> Field:
    """Codes that give each view a deviation, as the extra `uncertainty`.

    Source: NeRF in the Wild (arXiv:2008.02268) section 4.2, without its transient colours. The
    feature gets no gradient from the deviation.
    """
    reader = _Reader(1)

    def init(key: Array) -> Params:
        return reader.init(key, jnp.zeros(spec.width), jnp.zeros(size))["params"]

    def answer(network, codes, trunk, decode, samples) -> FieldOut:
        feature = trunk(samples)
        read = reader.apply({"params": network}, jax.lax.stop_gradient(feature), codes)
        uncertainty = 0.1 * nn.softplus(read - 2.0)
        return decode(feature, samples).replace(extras={"uncertainty": uncertainty})

    return _coded_field(spec, size, init, answer)


@cache
def deformed_field(spec: FieldSpec, size: int) -> Field:
    """Codes with which each view bends the object; the extra `bending` is the squared offset.

    Source: Nerfies (arXiv:2011.12948) section 3.2, with offsets instead of rotations.
    """
    reader = _Reader(3)

    def init(key: Array) -> Params:
        return reader.init(key, posenc(jnp.zeros(3), BEND_FREQS), jnp.zeros(size))["params"]

    def answer(network, codes, trunk, decode, samples) -> FieldOut:
        places = posenc(2.0 * samples.means, BEND_FREQS)
        offset = BEND_SCALE * reader.apply({"params": network}, places, codes)
        bent = samples.replace(means=samples.means + offset)
        bending = jnp.sum(offset**2, -1, keepdims=True)
        return decode(trunk(bent), samples).replace(extras={"bending": bending})

    return _coded_field(spec, size, init, answer)
