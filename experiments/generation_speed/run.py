"""Measures SyncDreamer's sampling with untrained weights of the full size; prints a table.

python -m experiments.generation_speed.run --out=FILE.json [--configurations=bf16-16,f32-8]
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from jaxvsnerf.generation import syncdreamer
from jaxvsnerf.generation.autoencoder import posterior
from jaxvsnerf.generation.denoising import Condition
from jaxvsnerf.generation.geometry import target_views
from jaxvsnerf.generation.networks import cast
from jaxvsnerf.generation.schedule import Steps, ddim_steps
from jaxvsnerf.generation.spec import FULL, IMAGE_SIZE, TINY
from jaxvsnerf.system.compilation import configure
from jaxvsnerf.system.files import write_text
from jaxvsnerf.types import Params

# dtype of weights and products, views at a time, number of devices with a sample each (0: all).
CONFIGURATIONS: dict[str, tuple[Any, int, int]] = {
    "bf16-8": (jnp.bfloat16, 8, 1),
    "bf16-16": (jnp.bfloat16, 16, 1),
    "bf16-4": (jnp.bfloat16, 4, 1),
    "bf16-16-all": (jnp.bfloat16, 16, 0),
    "f32-8": (jnp.float32, 8, 1),
}
COLUMNS = (
    *("configuration", "devices", "compile_s", "encode_s", "steps_s", "decode_s"),
    *("s_per_sample", "ms_per_step", "program_gb", "peak_gb", "error"),
)
FLAGS = flags.FLAGS
flags.DEFINE_string("out", "", "File for the table, .json.")
flags.DEFINE_list("configurations", ["bf16-8", "bf16-16", "bf16-4", "bf16-16-all"], "In order.")
flags.DEFINE_integer("steps", 50, "Of DDIM.")
flags.DEFINE_float("guidance", 2.0, "Its scale.")
flags.DEFINE_bool("tiny", False, "A tiny model: whether the experiment runs, not how fast.")


def timed(function: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    """Measures a call; returns seconds and the result."""
    started = time.perf_counter()
    result = jax.block_until_ready(function(*args))
    return time.perf_counter() - started, result


def measure(weights: Params, dtype, view_batch: int, devices: tuple[jax.Device, ...]) -> dict:
    """Measures a sample on each device with compiled programs.

    Args:
      weights: weights on the host.
      dtype: dtype of weights and products.
      view_batch: views computed at a time.
      devices: devices, each with one sample.

    Returns:
      Seconds by phase; `compile_s` of all three programs; `program_gb`, XLA's plan for weights,
      inputs and intermediates of the steps; `peak_gb`, the peak memory of this process on a device
      so far.
    """
    spec = TINY if FLAGS.tiny else FULL
    run = syncdreamer.programs(spec, view_batch, FLAGS.guidance != 1.0, devices)
    params, views = syncdreamer.place((cast(weights, dtype), target_views()), devices)
    photo = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    table = ddim_steps(FLAGS.steps, 1.0)
    first, (moments, context, viewpoint) = timed(run.embed, params, photo, np.float32(0.5))
    encode, _ = timed(run.embed, params, photo, np.float32(0.5))
    keys = jax.random.split(jax.random.key(0), len(devices))
    count = len(table.index)
    noise = jax.jit(jax.vmap(lambda key: syncdreamer.draw_noise(key, count)))(keys)
    moments, context, viewpoint = jax.device_get((moments, context, viewpoint))
    mean, deviation = posterior(moments)
    condition = Condition(mean + deviation * noise.posterior, context, viewpoint)
    call = syncdreamer.steps_per_call(count)

    def arguments(start: int, x: Any) -> tuple:
        now = slice(start, start + call)
        part = Steps(*(column[now] for column in table))
        scale = np.float32(FLAGS.guidance)
        return params, views, condition, x, part, noise.steps[:, now], scale

    compiling, lowered = timed(lambda: run.advance.lower(*arguments(0, noise.initial)).compile())
    plan = lowered.memory_analysis()
    # The first call loads the compiled program and is not measured.
    jax.block_until_ready(run.advance(*arguments(0, noise.initial)))
    started, x = time.perf_counter(), noise.initial
    for start in range(0, count, call):
        x = run.advance(*arguments(start, x))
    jax.block_until_ready(x)
    stepping = time.perf_counter() - started
    first_decode, _ = timed(run.decode, params, x)
    decode, _ = timed(run.decode, params, x)
    planned = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    return dict(
        compile_s=compiling + first - encode + first_decode - decode,
        encode_s=encode,
        steps_s=stepping,
        decode_s=decode,
        s_per_sample=(encode + stepping + decode) / len(devices),
        ms_per_step=1e3 * stepping / count,
        program_gb=planned / 1e9,
        peak_gb=(devices[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 1e9 or None,
    )


def table(rows: list[dict]) -> str:
    """Formats rows as a table in Markdown."""

    def text(value: Any) -> str:
        if value is None:
            return ""
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    lines += [[text(row.get(name)) for name in COLUMNS] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(_) -> None:
    """Runs the command.

    Raises:
      app.UsageError: a flag is missing or has an unknown value.
    """
    unknown = set(FLAGS.configurations) - set(CONFIGURATIONS)
    if unknown or not FLAGS.out:
        raise app.UsageError(
            f"--out is needed, --configurations are some of {', '.join(CONFIGURATIONS)}"
        )
    configure(os.environ)
    every, rows = tuple(jax.local_devices()), []
    device = f"jax {jax.__version__}, {len(every)} x {every[0].device_kind}"
    print(device, flush=True)
    making, weights = timed(
        syncdreamer.init_params, jax.random.key(0), TINY if FLAGS.tiny else FULL, jnp.bfloat16
    )
    print(f"weights: {making:.1f} s", flush=True)
    for name in FLAGS.configurations:
        dtype, view_batch, count = CONFIGURATIONS[name]
        devices = every[: count or len(every)]
        row = dict(configuration=name, devices=len(devices))
        try:
            row |= measure(weights, dtype, view_batch, devices)
        except Exception as error:  # for instance out of memory: continue with the other rows
            row["error"] = f"{type(error).__name__}: {str(error)[:200]}".replace("\n", " ")
        rows.append(row)
        print(json.dumps(row), flush=True)
        write_text(Path(FLAGS.out), json.dumps(dict(device=device, rows=rows), indent=2) + "\n")
    print(table(rows))


if __name__ == "__main__":
    app.run(main)
