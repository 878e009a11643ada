"""Samples the views of one photo and ranks the samples by how well their views agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.data.masks import mask_from_background
from jaxvsnerf.data.rigs import SYNCDREAMER, rig_cameras
from jaxvsnerf.generation import syncdreamer, zero123
from jaxvsnerf.generation.strip import join_views, rank_samples
from jaxvsnerf.generation.weights import load_weights
from jaxvsnerf.metrics.consistency import consistency
from jaxvsnerf.run.request import Plan, Request, plan_request
from jaxvsnerf.system import cli
from jaxvsnerf.system.measure import peak_memory
from jaxvsnerf.system.paths import new_files, user_path
from jaxvsnerf.system.png import write_png
from jaxvsnerf.types import Params

# Score of a set of views [V, H, W, 3] uint8; larger means that the views agree better.
Score = Callable[[np.ndarray], float]


def generate_files(request: Request, out: str, say: Callable[..., None] = cli.say) -> None:
    """Generates the views of a photo and writes them as pictures.

    Args:
      request: the photo, the weights and the settings.
      out: the picture, .png; several samples become out_0.png, out_1.png ...
      say: called with each line of progress.

    Raises:
      InputError: the request is wrong, or a picture exists already; nothing was written.
    """
    paths, plan = new_files(out, ".png", request.samples), plan_request(request, say)
    # A single view has no other view to agree with.
    score = strip_consistency if plan.info.model == "syncdreamer" else None
    write_samples(paths, sample_views(plan, say), score, say)


def write_samples(
    paths: list[Path],
    views: np.ndarray,
    score: Score | None = None,
    say: Callable[..., None] = cli.say,
) -> None:
    """Writes each sample's views side by side, the most consistent first.

    Args:
      paths: one PNG file per sample.
      views: [N, V, H, W, 3] uint8.
      score: ranks the samples; None keeps the order in which they were drawn.
      say: takes the lines to show.
    """
    order, scores = list(range(len(views))), None
    if score and len(views) > 1:
        order, scores = rank_samples(views, score)
    for position, (path, index) in enumerate(zip(paths, order, strict=True)):
        write_png(path, join_views(views[index]) / np.float32(255.0))
        say(f"{path}" + (f": consistency {scores[position]:.4g}" if scores else ""))
    if len(views) > 1 and scores is None:
        say("the samples are not ranked; look at them and take the best")


def sample_views(plan: Plan, say: Callable[..., None] = cli.say) -> np.ndarray:
    """Loads the weights and samples views.

    Args:
      plan: the checked request.
      say: takes the lines to show.

    Returns:
      [N, V, 256, 256, 3] uint8; V is 16 for SyncDreamer and 1 for Zero-1-to-3.

    Raises:
      InputError: the weights are damaged.
    """
    request, started = plan.request, time.perf_counter()
    say(f"reading {request.weights} ({plan.info.model}) ...", passing=True)
    folder = user_path(request.weights)
    params = load_weights(folder, plan.info, request.dtype, plan.devices)
    say(
        f"sampling {request.samples} x {plan.info.model} on {len(plan.devices)} "
        f"{plan.devices[0].platform} device(s) in {request.dtype}; compiling first ...",
        passing=True,
    )

    def progress(done: int, total: int) -> None:
        say(f"step {done:4d}/{total}", done=done / total)

    views = _sample(params, plan, progress)
    memory = peak_memory(plan.devices)
    used = f", peak memory of the {memory.of} {memory.bytes / 1e9:.1f} GB" if memory else ""
    say(f"sampled in {time.perf_counter() - started:.0f} s{used}")
    return views


def strip_consistency(views: np.ndarray) -> float:
    """Scores the agreement of SyncDreamer's views of one sample, see `metrics.consistency`.

    Args:
      views: [16, H, W, 3] uint8 on white.

    Returns:
      The score, 0 to 1; 0 if a view shows no object.
    """
    images = views / np.float32(255.0)
    masks = np.stack([mask_from_background(one, np.ones(3, np.float32)) for one in images])
    if not masks.any((1, 2)).all():
        return 0.0
    cameras = rig_cameras(SYNCDREAMER, views.shape[2], views.shape[1])
    return consistency(images, masks, cameras).score


def _sample(params: Params, plan: Plan, progress: Callable[[int, int], None]) -> np.ndarray:
    """Samples the views of `sample_views` with loaded weights."""
    request, key = plan.request, jax.random.key(plan.request.seed)
    shared = dict(
        spec=plan.info.spec,
        num_samples=request.samples,
        steps=request.steps,
        guidance=request.guidance,
        dtype=jnp.dtype(request.dtype),
    )
    if plan.info.model == "syncdreamer":
        return syncdreamer.sample(
            params,
            plan.photo,
            float(np.deg2rad(request.elevation_deg)),
            key,
            view_batch=request.view_batch,
            devices=plan.devices,
            on_step=progress,
            **shared,
        )
    azimuth, rise = np.deg2rad([request.azimuth_deg, request.rise_deg])
    # Zero-1-to-3 counts from the pole downwards.
    camera = (-float(rise), float(azimuth), 0.0)
    return zero123.sample(params, plan.photo, camera, key, **shared)[:, None]
