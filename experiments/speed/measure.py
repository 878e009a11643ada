"""Measurements of the speed experiment: small functions that make rows of tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxvsnerf.config import resolve
from jaxvsnerf.fields.build import FieldSpec
from jaxvsnerf.metrics.psnr import psnr
from jaxvsnerf.preprocess.photo_view import all_cameras
from jaxvsnerf.run import assemble
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.training.batch import stream
from jaxvsnerf.training.stages import StageSpec
from jaxvsnerf.training.step import make_train_steps, place
from jaxvsnerf.training.trainer import Trainer
from jaxvsnerf.types import Dataset, Params, TrainState

Row = dict[str, Any]


def changed(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
    """Copies a config and changes fields by their dotted names."""
    copy = config.copy_and_resolve_references()
    copy.update_from_flattened_dict(dict(values))
    return copy


def matmul_rate(size: int = 8192, repeats: int = 20) -> float:
    """Measures operations per second of a bf16 matrix product, accumulated in float32."""
    left = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16)
    run = jax.jit(lambda x: jax.lax.fori_loop(0, repeats, lambda _, y: (y @ left) * 0.01, x))
    seconds = min(timed(lambda: run(left)) for _ in range(4))
    return repeats * 2 * size**3 / seconds


def timed(call: Callable[[], Any]) -> float:
    """Measures the seconds until the result of `call` is ready."""
    started = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - started


def products_per_sample(spec: FieldSpec, params: Params) -> dict[str, int]:
    """Multiply-adds per sample in each part of the field.

    The bottleneck and the next layer are computed as one product (fields/decode.py), and count as
    one.
    """
    kernels = {
        group: sum(
            int(np.prod(leaf.shape[1:] if group == "views" else leaf.shape))
            for leaf in jax.tree.leaves(params.get(group, {}))
            if leaf.ndim >= (3 if group == "views" else 2)
        )
        for group in ("shared", "views")
    }
    inner = spec.width // 2
    return {**kernels, "heads": spec.width * (inner + 1) + inner * 3}


def step_flops(spec: FieldSpec, stage: StageSpec, params: Params, samples: int) -> float:
    """The field's floating-point operations in one step of stages 1 and 2.

    A multiply-add counts two; the backward pass counts twice the forward pass.

    Args:
      spec: spec of the field.
      stage: the stage.
      params: parameters of the field.
      samples: samples per ray.
    """
    return 6.0 * sum(products_per_sample(spec, params).values()) * stage.rays * samples


def prepare(config: ConfigDict, dataset: Dataset, devices: tuple) -> tuple[Trainer, Any]:
    """Builds a trainer, and its scene on the devices.

    Args:
      config: a resolved config.
      dataset: the pictures.
      devices: devices that share a step.
    """
    grid = assemble.make_grid(config, dataset.inputs)
    num_views = len(all_cameras(dataset.inputs, dataset.photo).w2c)
    trainer = assemble.make_trainer(config, num_views, grid, devices)
    return trainer, assemble.make_scene(config, dataset.inputs, devices, dataset.photo)


class Session:
    """Trains stage by stage and measures the time of the steps alone."""

    def __init__(self, config: ConfigDict, dataset: Dataset | None = None, devices=None):
        self.config = resolve.resolve_config(config)
        self.dataset = dataset or read_pictures(self.config)
        self.devices = tuple(devices or jax.local_devices()[:1])
        self.trainer, self.scene = prepare(self.config, self.dataset, self.devices)
        self.state: TrainState | None = None

    def begin(self, stage: StageSpec) -> Callable[[int], tuple[float, Any]]:
        """Returns a function that takes steps of `stage` and returns (seconds, sums).

        The first call compiles, and `compiling` holds the seconds of the compilation.
        """
        self.state = place(self.trainer.initial_state(stage, self.state), self.devices)
        parts = self.trainer.micro_batches(stage)
        steps = make_train_steps(self.trainer.field, stage, self.trainer.spec, self.devices, parts)
        key = place(stream(self.trainer.key(), stage.name), self.devices)

        def take(count: int) -> tuple[float, Any]:
            started = time.perf_counter()
            self.state, sums = steps(self.state, self.scene, key, count)
            jax.block_until_ready(sums)
            return time.perf_counter() - started, sums

        self.compiling, _ = take(0)
        return take

    def field(self, stage: StageSpec, mode: str = ""):
        """The field with the present parameters."""
        views = self.dataset.inputs
        cameras = all_cameras(views, self.dataset.photo)
        return assemble.trained_field(
            self.config, self.trainer, stage, self.state, cameras, views.background, mode
        )

    def psnr(self, stage: StageSpec) -> float:
        """Mean PSNR over the truth views."""
        truth = self.dataset.truth
        pictures = self.field(stage).render(truth.cameras).rgb
        pairs = zip(pictures, np.asarray(truth.images), strict=True)
        return float(np.mean([psnr(jnp.asarray(a), jnp.asarray(b)) for a, b in pairs]))


def peak_gb(device: jax.Device) -> float:
    """Peak memory of this process so far, in GB; 0 if the device does not report memory."""
    return (device.memory_stats() or {}).get("peak_bytes_in_use", 0) / 1e9


def stage_rows(session: Session, rate: float | None, steps: int, **labels: Any) -> list[Row]:
    """Measures ms/step, rays/s, memory and utilisation of every stage.

    Args:
      session: an untrained session.
      rate: operations per second of a matrix product; None skips utilisation.
      steps: steps to measure.
      **labels: columns to add to every row.
    """
    rows = []
    for stage in session.trainer.stages:
        take = session.begin(stage)
        take(max(steps // 4, 1))
        seconds, _ = take(steps)
        seconds /= steps
        samples = sum(level.num for level in session.trainer.spec.levels)
        flops = step_flops(session.trainer.field.spec, stage, session.state.params, samples)
        counted = rate and stage.mode != "fused"
        rows.append(
            dict(
                labels,
                stage=stage.name,
                ms_per_step=1e3 * seconds,
                mrays_per_s=stage.rays / seconds / 1e6,
                utilisation=flops / seconds / rate if counted else None,
                compile_s=session.compiling,
                peak_gb=peak_gb(session.devices[0]),
            )
        )
    return rows


def render_rows(session: Session, modes: tuple[str, ...], **labels: Any) -> list[Row]:
    """Measures ms per view of the last stage's field, and the process's peak memory so far."""
    stage, rows = session.trainer.stages[-1], []
    cameras = session.dataset.inputs.cameras
    for mode in modes:
        field = session.field(stage, mode)
        field.render(cameras)
        seconds = timed(lambda field=field: field.render(cameras).rgb) / len(cameras.w2c)
        size = f"{cameras.width}x{cameras.height}"
        peak = peak_gb(session.devices[0])
        rows.append(dict(labels, mode=mode, size=size, ms_per_view=1e3 * seconds, peak_gb=peak))
    return rows


def time_to(session: Session, goal: float | None, every: int) -> tuple[list[Row], float | None]:
    """Trains all stages and scores at intervals; the time does not include scoring.

    Args:
      session: an untrained session.
      goal: PSNR in dB.
      every: steps between two scores.

    Returns:
      Rows (stage, step, seconds, psnr), and the seconds until `goal` was first reached.
    """
    rows, spent, reached = [], 0.0, None
    for stage in session.trainer.stages:
        take = session.begin(stage)
        for done in range(0, stage.steps, every):
            count = min(every, stage.steps - done)
            seconds, _ = take(count)
            spent += seconds
            score = session.psnr(stage)
            rows.append(dict(stage=stage.name, step=done + count, seconds=spent, psnr=score))
            if reached is None and goal is not None and score >= goal:
                reached = spent
    return rows, reached


def with_rays(session_config: ConfigDict, rays: int) -> ConfigDict:
    """Copies a config with this number of rays a step in every stage."""
    stages = {f"{name}.rays": rays for name in resolve.STAGES}
    return changed(session_config, stages)
