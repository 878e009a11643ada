"""Checks an installation: versions, devices, extras, a short training."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from typing import NamedTuple

import jax
import numpy as np

from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.run import assemble
from jaxvsnerf.run.dataset import read_pictures
from jaxvsnerf.system import cli
from jaxvsnerf.system.installation import CORE, missing_by_extra, pip_line, requirements, version_of
from jaxvsnerf.system.machine import machine_problem
from jaxvsnerf.training.batch import stream
from jaxvsnerf.training.step import NO_STEP, make_train_steps, place

STEPS = 20  # per dispatch
# Least number of steps. A healthy training gains more than GAIN_DB within them.
LEAST_STEPS = 100
GAIN_DB = 1.0
UNSEEN_GPU = """this machine has an NVIDIA GPU that JAX does not see:
  1. install the GPU's side of JAX: {pip}
  2. `nvidia-smi` must show a driver for CUDA 13 (580 or newer); with an older one take
     pip install 'jax[cuda12]'
  3. unset JAX_PLATFORMS and CUDA_VISIBLE_DEVICES, and LD_LIBRARY_PATH where it names another CUDA
  4. python -c "import jax; print(jax.devices())" says what is still wrong"""


class Trial(NamedTuple):
    """Results of a short training.

    Attributes:
      compile_s: seconds to the end of the first dispatch.
      steps_per_s: speed after the first dispatch.
      first: PSNR on the rays of the first dispatch, in dB.
      last: PSNR on the rays of the last dispatch, in dB.
      finite: whether all losses were finite.
    """

    compile_s: float
    steps_per_s: float
    first: float
    last: float
    finite: bool


def try_training(seconds: float) -> Trial:
    """Trains the embedded toy on all local devices for a given time.

    Args:
      seconds: time after compilation; `LEAST_STEPS` steps may take longer.
    """
    config = default_config()
    config.data.update(kind="toy", size=32, num_views=8)
    config.field.update(width=64, pos_freqs=5)
    config.sampling.update(
        num_intervals=16, num_probes=48, grid_resolution=32, grid_cells=4096, hull_dilate_px=1
    )
    config.stage1.update(steps=100_000, rays=512, lr_final=3e-3)
    config.stage2.steps = config.stage3.steps = 0
    config = resolve.resolve_config(config)
    views = read_pictures(config).inputs
    grid = assemble.make_grid(config, views)
    trainer = assemble.make_trainer(config, len(views.images), grid, jax.local_devices())
    stage = trainer.stages[0]
    scene = assemble.make_scene(config, views, trainer.devices)
    state = place(trainer.initial_state(stage, None), trainer.devices)
    key = place(stream(trainer.key(), stage.name), trainer.devices)
    steps = make_train_steps(trainer.field, stage, trainer.spec, trainer.devices)

    def dispatch(state):
        state, sums = steps(state, scene, key, STEPS)
        mse, bad = float(sums.mse) / STEPS, int(sums.bad_step)
        return state, -10.0 * np.log10(max(mse, 1e-12)), bad == NO_STEP

    began = time.perf_counter()
    state, first, finite = dispatch(state)
    compiled, last, count = time.perf_counter(), first, 0
    while finite and (count < LEAST_STEPS or time.perf_counter() - compiled < seconds):
        state, last, finite = dispatch(state)
        count += STEPS
    rate = count / max(time.perf_counter() - compiled, 1e-9)
    return Trial(compiled - began, rate, float(first), float(last), finite)


def nvidia_gpus() -> list[str]:
    """Returns the driver's names of this machine's NVIDIA GPUs; [] without a driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def describe_devices() -> list[str]:
    """Returns a line for each local device: its kind, and its memory if known."""
    lines = []
    for device in jax.local_devices():
        limit = (device.memory_stats() or {}).get("bytes_limit")
        memory = f", {limit / 1e9:.1f} GB for this process" if limit else ""
        lines.append(f"{device.platform} {device.id}: {device.device_kind}{memory}")
    return lines


def examine(seconds: float) -> list[str]:
    """Prints versions, devices, extras and the results of a short training.

    Args:
      seconds: time of the training; 0 skips the training.

    Returns:
      The problems found; [] if the installation works.
    """
    problems = []
    cli.say(f"python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores")
    cli.say(", ".join(f"{name} {version_of(name) or 'not installed'}" for name in CORE))
    # Before a device is asked for: XLA ends the process at a flag that it does not know.
    for name in ("JAX_PLATFORMS", "XLA_FLAGS"):
        if os.environ.get(name):
            cli.say(f"{name}: {os.environ[name]}")
    try:
        devices = describe_devices()
    except Exception as error:
        if not (problem := machine_problem(error)):
            raise
        problems.append(problem)
        devices = []
    for line in devices:
        cli.say(line)
    gpus = nvidia_gpus()
    if gpus and devices and jax.default_backend() == "cpu":
        problems.append(UNSEEN_GPU.format(pip=pip_line("gpu")))
    for extra, missing in missing_by_extra(requirements()).items():
        found = f"lacks {', '.join(missing)}; {pip_line(extra)}" if missing else "complete"
        cli.say(f"extra {extra}: {found}")
    data = os.environ.get("JAXVSNERF_DATA", "")
    cli.say(f"JAXVSNERF_DATA: {data or 'not set, needed by experiments alone'}")
    kept = jax.config.jax_enable_compilation_cache and jax.config.jax_compilation_cache_dir
    cli.say(f"compiled programs: {kept or 'not kept'}")
    if seconds and devices:
        cli.say("training the toy ...", passing=True)
        trial = try_training(seconds)
        cli.say(
            f"training: {trial.compile_s:.1f} s to compile, {trial.steps_per_s:.0f} steps/s, "
            f"{trial.first:.1f} to {trial.last:.1f} dB"
        )
        if not trial.finite or trial.last < trial.first + GAIN_DB:
            problems.append(
                f"the toy did not train: expected {GAIN_DB:g} dB more than the first "
                f"{trial.first:.1f}, got {trial.last:.1f}; try --config.field.dtype=float32 in "
                "trainings, and report it with all of the above"
            )
    return problems
