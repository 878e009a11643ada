"""Compares the networks with the original's outputs: a generator of checks per fixture file."""

from __future__ import annotations

import re
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from experiments.generation_parity.fixtures import (
    CHAINED,
    MODULE,
    Check,
    Fixtures,
    inside,
    last,
    pictures_last,
)
from jaxvsnerf.generation import keys, schedule
from jaxvsnerf.generation.autoencoder import Autoencoder, posterior
from jaxvsnerf.generation.clip import clip_input
from jaxvsnerf.generation.embeddings import sinusoid, viewpoints
from jaxvsnerf.generation.geometry import interpolate, target_cameras, target_views
from jaxvsnerf.generation.layers import TimeMlp
from jaxvsnerf.generation.networks import networks
from jaxvsnerf.generation.schedule import Steps, ddim_steps, ddim_update
from jaxvsnerf.generation.spec import LATENT_SCALE, TIME_DIM, TINY, VOLUME_SIZE
from jaxvsnerf.generation.syncdreamer import FLOOR
from jaxvsnerf.generation.volume import unproject

HALF_SIDE = (VOLUME_SIZE - 1) / 2
NETS = networks(TINY)


def _traced(function):
    """Compiles a function with float32 products on every device."""
    return jax.default_matmul_precision("highest")(jax.jit(function))


def check_schedule(fixtures: Fixtures) -> Iterator[Check]:
    """Checks noise levels and DDIM's tables."""
    data = fixtures.read("schedule")
    yield Check("betas", schedule.betas(), data["betas"], 1e-6)
    yield Check("alphas_cumprod", schedule.alphas_cumprod(), data["alphas_cumprod"], 1e-6)
    names = dict(index="timesteps", alpha="alphas", alpha_prev="alphas_prev", sigma="sigmas")
    for count in (200, 50, 30, 4):
        for field, name in names.items():
            found = getattr(ddim_steps(count, 1.0), field)[::-1]
            yield Check(f"ddim{count}_{name}", found, data[f"ddim{count}_{name}"], 1e-6)
    found = ddim_steps(50, 0.0).sigma
    yield Check("ddim50_eta0_sigmas", found, data["ddim50_eta0_sigmas"], 1e-6)


def check_ddim_step(fixtures: Fixtures) -> Iterator[Check]:
    """Checks single updates of DDIM."""
    data = fixtures.read("ddim_step")
    for name, expected in data.items():
        if found := re.fullmatch(r"steps(\d+)_index(\d+)(_final)?_xprev", name):
            table = ddim_steps(int(found[1]), 1.0)
            step = Steps(*(column[::-1][int(found[2])] for column in table))
            noise = np.zeros_like(data["x"]) if found[3] else data["noise"]
            made = ddim_update(data["x"], data["eps"], noise, step, FLOOR)
            yield Check(name, made, expected, 1e-6)


def check_embeddings(fixtures: Fixtures) -> Iterator[Check]:
    """Checks sinusoids, time embeddings and viewpoint embeddings."""
    data, params = fixtures.read("embeddings"), fixtures.params
    for dim in (256, 32, 320):
        expected = data[f"sinusoid_dim{dim}"]
        # The last bit of a rate, times step 981, is 6e-5.
        yield Check(f"sinusoid_dim{dim}", sinusoid(data["t"], dim), expected, CHAINED)
    for name, weights, dim, features in (
        ("time_embed_out", params["time_embed"], TIME_DIM, TIME_DIM),
        ("unet_time_embed_out", params["unet"]["time_embed"], TINY.unet_width, 4 * TINY.unet_width),
    ):
        waves = sinusoid(data["t"], dim)
        found = _traced(TimeMlp(features).apply)({"params": weights}, waves)
        yield Check(name, found, data[name], MODULE)
    found = viewpoints(data["elevation_rad"])
    yield Check("viewpoint_embedding", found, data["viewpoint_embedding"], 1e-6)
    found = keys.constants("syncdreamer")["azimuth"]
    yield Check("azimuth", found, data["azimuth"], 1e-6)


def check_geometry(fixtures: Fixtures) -> Iterator[Check]:
    """Checks cameras, and the positions where views and volume meet."""
    data, views = fixtures.read("geometry"), target_views()
    cameras = target_cameras()
    yield Check("poses", cameras.w2c, data["poses"], 1e-6)
    yield Check("Ks", cameras.intrinsics, data["Ks"], 1e-6)
    pixels = views.pixels[list(data["view_index"])][..., ::-1] / HALF_SIDE - 1.0
    yield Check("warp_coords_grid", pixels, data["warp_coords_grid"], MODULE)
    voxels = last(views.voxels[[0, 5]][..., ::-1] / HALF_SIDE - 1.0, -1)
    expected = last(data["frustum_xyz_world_over_half"])
    yield Check("frustum_xyz_world_over_half", voxels, expected, CHAINED)


def check_vae(fixtures: Fixtures) -> Iterator[Check]:
    """Checks encoder, decoder and their blocks."""
    data, net = fixtures.read("vae"), NETS["autoencoder"]
    variables = {"params": fixtures.params["autoencoder"]}

    @_traced
    def both(variables, images, latents):
        kept = dict(capture_intermediates=True, mutable="intermediates")
        moments, encoder = net.apply(variables, images, method=Autoencoder.encode, **kept)
        decoded, decoder = net.apply(variables, latents, method=Autoencoder.decode, **kept)
        return moments, decoded, encoder["intermediates"], decoder["intermediates"]

    latents = last(data["z_scaled"]) / LATENT_SCALE
    moments, decoded, encoder, decoder = both(variables, last(data["x"]), latents)
    mean, deviation = posterior(moments)
    yield Check("moments", moments, last(data["moments"]), MODULE)
    yield Check("mean", mean, last(data["mean"]), MODULE)
    yield Check("std", deviation, last(data["std"]), MODULE)
    found = LATENT_SCALE * mean
    yield Check("latent_mode_scaled", found, last(data["latent_mode_scaled"]), MODULE)
    found = LATENT_SCALE * (mean + deviation * last(data["posterior_noise"]))
    yield Check("latent_sample_scaled", found, last(data["latent_sample_scaled"]), MODULE)
    yield Check("decoded", decoded, last(data["decoded"]), MODULE)
    for prefix, made in (("enc0__", encoder["encoder"]), ("dec0__", decoder["decoder"])):
        made = inside(made)
        for name, expected in data.items():
            if name.startswith(prefix):
                found = made[name.removeprefix(prefix)][:1]
                yield Check(name, found, last(expected), MODULE)


def check_vae_full(fixtures: Fixtures) -> Iterator[Check]:
    """Checks the moments of a whole photo."""
    variables = {"params": fixtures.params["autoencoder"]}
    encode = _traced(lambda v, x: NETS["autoencoder"].apply(v, x, method=Autoencoder.encode))
    moments = encode(variables, fixtures.photo[None])
    yield Check("moments", moments, last(fixtures.read("vae_full")["moments"]), MODULE)


def check_clip(fixtures: Fixtures) -> Iterator[Check]:
    """Checks CLIP's resized input, its blocks and the context."""
    data, params = fixtures.read("clip_cc"), fixtures.params
    images = clip_input(fixtures.photo[None])
    expected = last(data["resized_normalised_224"])
    yield Check("resized_normalised_224", images, expected, CHAINED)
    small = clip_input(last(data["resize_in_small"]))[:, ::4, ::4, :1]
    name = "resize_out_small_224_normalised_ch0_every4"
    yield Check(name, small, last(data[name]), CHAINED)

    @_traced
    def embed(params, images, cameras):
        embedded, kept = NETS["clip"].apply(
            {"params": params["clip"]}, images, capture_intermediates=True, mutable="intermediates"
        )
        tokens = jnp.broadcast_to(embedded, (len(cameras), embedded.shape[-1]))
        tokens = jnp.concatenate([tokens, cameras], -1)
        context = NETS["cc_projection"].apply({"params": params["cc_projection"]}, tokens)
        return embedded, context, kept["intermediates"]

    cameras = data["viewpoint_embedding"][0][data["view_index"][0]]
    # From the fixture's own resized picture; our resizing is compared above.
    embedded, context, made = embed(params, expected, cameras)
    made = inside(made)
    yield Check("conv1", made["conv1"][:, :4, :4], last(data["conv1"]), MODULE)
    yield Check("ln_pre", made["ln_pre"], data["ln_pre"], MODULE)
    for block in range(2):
        found = np.swapaxes(made[f"transformer.resblocks.{block}"], 0, 1)
        yield Check(f"block{block}_LND", found, data[f"block{block}_LND"], MODULE)
    yield Check("ln_post_cls", made["ln_post"], data["ln_post_cls"], MODULE)
    yield Check("clip_embed", embedded[None], data["clip_embed"], MODULE)
    yield Check("cc_projected", context[:, None], data["cc_projected"], MODULE)


def check_spatial_volume(fixtures: Fixtures) -> Iterator[Check]:
    """Checks view features, voxels and the 3-D network."""
    data, params = fixtures.read("spatial_volume"), fixtures.params
    kept = dict(capture_intermediates=True, mutable="intermediates")

    @_traced
    def whole(params, x, time, viewpoint, pixels):
        variables = {"params": params["target_encoder"]}
        features, views = NETS["target_encoder"].apply(variables, x, time, viewpoint, **kept)
        seen = unproject(features, pixels)[None]
        variables = {"params": params["spatial_net"]}
        volume, net = NETS["spatial_net"].apply(variables, seen, time, **kept)
        return features, seen, volume, views["intermediates"], net["intermediates"]

    features, seen, volume, views, net = whole(
        params,
        pictures_last(data["x_noisy"][0]),
        data["t_embed"],
        data["v_embed"][0],
        target_views().pixels,
    )
    views, net = inside(views), inside(net)
    for view in (0, 5):
        expected = last(data[f"target_encoder_view{view}"])
        yield Check(f"target_encoder_view{view}", features[view, None], expected, MODULE)
        name, first = f"unprojected_view{view}_ch0_2", 16 * view
        yield Check(name, seen[..., first : first + 2], last(data[name]), MODULE)
    for name, expected in data.items():
        if name.startswith("te5_"):
            yield Check(name, views[name.removeprefix("te5_")][5:6], last(expected), MODULE)
        if name.startswith("net_"):
            yield Check(name, _some(net, name.removeprefix("net_")), last(expected), MODULE)
    yield Check("spatial_volume", volume, last(data["spatial_volume"]), MODULE)
    alone = _traced(lambda p, x, t: NETS["spatial_net"].apply({"params": p}, x, t))
    found = alone(params["spatial_net"], last(data["small_in"]), data["t_embed"])
    yield Check("small_out", found, last(data["small_out"]), MODULE)


def _some(made: dict[str, jax.Array], name: str) -> jax.Array:
    """Output of a module; a suffix `_ch0_2` of the name selects a range of channels."""
    module, *channels = re.split(r"_ch(\d+)_(\d+)$", name)
    return made[module][..., slice(*map(int, channels[:2]))] if channels else made[module]


def check_frustum(fixtures: Fixtures) -> Iterator[Check]:
    """Checks the frustum volumes of views 5 and 11."""
    data, given, params = fixtures.read("frustum"), fixtures.read("spatial_volume"), fixtures.params
    chosen, planes = list(data["view_index"][0]), list(data["depth_planes"])

    @_traced
    def whole(params, volume, time, viewpoint, voxels):
        samples = interpolate(volume, voxels)
        levels, kept = NETS["frustum_net"].apply(
            {"params": params["frustum_net"]}, samples, time, viewpoint,
            capture_intermediates=True, mutable="intermediates",
        )  # fmt: skip
        return samples, levels, kept["intermediates"]

    samples, levels, made = whole(
        params,
        last(given["spatial_volume"])[0],
        given["t_embed"],
        given["v_embed"][0][chosen],
        target_views().voxels[chosen],
    )
    made = {name: value[:1] for name, value in inside(made).items()}
    yield Check("sampled_planes", samples[:, planes], last(data["sampled_planes"]), CHAINED)
    yield Check("level32_view5", levels[32][:1], last(data["level32_view5"]), CHAINED)
    expected = last(data["level32_view11_planes"])
    yield Check("level32_view11_planes", levels[32][1:, planes], expected, CHAINED)
    for width in (16, 8, 4):
        yield Check(f"level{width}", levels[width], last(data[f"level{width}"]), CHAINED)
    for name, expected in data.items():
        if name.startswith("view5_"):
            found = _some(made, name.removeprefix("view5_"))
            yield Check(name, found, last(expected), CHAINED)


def check_unet(fixtures: Fixtures) -> Iterator[Check]:
    """Checks the UNet with and without condition, and every block of the conditional pass."""
    data, frusta, params = fixtures.read("unet"), fixtures.read("frustum"), fixtures.params
    volumes = {width: last(frusta[f"level{width}"])[:1] for width in (16, 8, 4)}
    volumes[32] = last(frusta["level32_view5"])
    x, photo = last(data["x"]), last(data["x_concat_latent_scaled"]) / LATENT_SCALE
    given = np.concatenate(
        [np.concatenate([x, photo], -1), np.concatenate([x, np.zeros_like(photo)], -1)]
    )
    context = np.concatenate([data["clip_cc"], np.zeros_like(data["clip_cc"])])
    apply = _traced(
        lambda p, *inputs: NETS["unet"].apply(
            {"params": p}, *inputs, capture_intermediates=True, mutable="intermediates"
        )
    )
    noise, made = apply(params["unet"], given, data["t"], context, volumes)
    yield Check("eps_conditional", noise[:1], last(data["eps_conditional"]), MODULE)
    yield Check("eps_unconditional", noise[1:], last(data["eps_unconditional"]), MODULE)
    guided = noise[1:] + data["cfg_scale"] * (noise[:1] - noise[1:])
    yield Check("eps_guided", guided, last(data["eps_guided"]), MODULE)
    made = inside(made["intermediates"])
    for name, expected in data.items():
        if name.startswith("act__"):
            found = _unet_block(made, name.removeprefix("act__"))[:1]
            # Tokens have their channels last already.
            expected = expected if expected.ndim == 3 else last(expected)
            yield Check(name, found, expected, MODULE)


def _unet_block(made: dict[str, jax.Array], name: str) -> jax.Array:
    """Output of a block of the original, which may be several modules here."""
    if name.endswith(".proj_in"):
        return jax.nn.silu(made[f"{name}.1"])
    if name.endswith(".proj_context"):
        return jax.nn.relu(made[f"{name}.1"])
    if name.endswith(".depth_attn"):
        return made[name][0]
    if name in made:
        return made[name]
    parts = [part for part in (f"{name}.{index}" for index in range(3)) if part in made]
    return made[parts[-1]]
