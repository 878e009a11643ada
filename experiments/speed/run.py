"""Measures training, rendering and whole runs; prints tables and saves them as JSON.

python -m experiments.speed.run --out=DIR [--parts=steps,render,growth,yardstick,run,devices,study]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from absl import app, flags
from ml_collections import ConfigDict

from experiments.speed import measure
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.simulate.toy import toy_dataset
from jaxvsnerf.study.processes import VISIBLE, visible_gpus
from jaxvsnerf.system.compilation import configure
from jaxvsnerf.system.extras import check_extras
from jaxvsnerf.system.files import write_text
from jaxvsnerf.system.png import write_png

PARTS = ("steps", "render", "growth", "yardstick", "run", "devices", "study")
CONFIGS = {"mlp": "syncdreamer", "hash": "hash"}
RAYS = 4096  # per step, in comparisons of steps
FLAGS = flags.FLAGS
flags.DEFINE_string("out", "", "Folder for tables.json.")
flags.DEFINE_list("parts", list(PARTS), "What to measure.")
flags.DEFINE_list("encoders", list(CONFIGS), "Which of them.")
flags.DEFINE_string("strip", "", "A strip to use instead of the toy.")
flags.DEFINE_string("truth", "", "Its truth.")
flags.DEFINE_string("objects", "", "A folder of objects for the study, instead of toys.")
flags.DEFINE_integer("repeat", 1, "How many times each of them is in it, once compiled.")
flags.DEFINE_integer("size", 256, "Side of the toy's pictures.")
flags.DEFINE_integer("steps", 100, "Steps that are timed.")
flags.DEFINE_bool("small", False, "A tiny field: whether the experiment runs, not how fast.")

TINY = {
    "field.width": 16, "field.num_heads": 2, "sampling.num_intervals": 4,
    "sampling.num_probes": 8, "sampling.grid_resolution": 8, "sampling.grid_cells": 64,
    "sampling.num_coarse": 4, "sampling.num_fine": 4, "render.num_intervals": 4,
    "stage1.rays": 64, "stage2.rays": 64, "stage3.rays": 64,
    "stage1.steps": 4, "stage2.steps": 2, "stage3.steps": 2,
    "render.turntable_frames": 2, "render.turntable_size": 16, "mesh.resolution": 16,
}  # fmt: skip


def base(encoder: str, num_views: int = 16, size: int | None = None) -> ConfigDict:
    """Makes the config to measure.

    Args:
      encoder: `mlp` or `hash`.
      num_views: number of views.
      size: side of the toy's views in pixels; None takes --size.
    """
    if encoder == "hash":
        from configs.hash import get_config
    else:
        get_config = default_config
    config = get_config()
    if FLAGS.strip:
        config.data.update(path=FLAGS.strip, truth=FLAGS.truth)
        if num_views < 16:
            config.data.views = tuple(range(0, 16, 16 // num_views))
    else:
        config.data.update(kind="toy", size=size or FLAGS.size, num_views=num_views)
    return measure.changed(config, TINY) if FLAGS.small else config


def yardstick() -> ConfigDict:
    """Config of NeRF's hierarchical sampling with one network and stage 1 alone; never changed."""
    config = base("mlp")
    config.sampling.kind = "hierarchical"
    config.loss.update(kind="charbonnier", trust=0.0)
    config.loss.terms.roughness = 0.0
    config.stage1.update(steps=1000, rays=RAYS, lr_init=1e-3, lr_final=1e-4, warmup=100)
    config.stage2.steps = config.stage3.steps = 0
    return measure.changed(config, TINY) if FLAGS.small else config


def same_rays(config: ConfigDict) -> ConfigDict:
    """Sets equal rays a step in every stage, so that steps are comparable."""
    return config if FLAGS.small else measure.with_rays(config, RAYS)


def steps() -> Iterator[measure.Row]:
    """Measures every stage by encoder, sampler and number of views."""
    rate = measure.matmul_rate(256 if FLAGS.small else 8192)
    yield dict(encoder="a bf16 product of 8192x8192", tflops=rate / 1e12)
    for encoder in FLAGS.encoders:
        for views in (4, 16):
            labels = dict(encoder=encoder, sampler="grid", views=views)
            session = measure.Session(same_rays(base(encoder, views)))
            yield from measure.stage_rows(session, rate, FLAGS.steps, **labels)
    labels = dict(encoder="mlp", sampler="hierarchical", views=16)
    session = measure.Session(yardstick())
    yield from measure.stage_rows(session, rate, max(FLAGS.steps // 5, 1), **labels)


def render() -> Iterator[measure.Row]:
    """Measures a view of the trained model by encoder and mode."""
    for encoder in FLAGS.encoders:
        session = measure.Session(base(encoder))
        for stage in session.trainer.stages:
            session.begin(stage)(stage.steps)
        modes = ("fused", "canonical", "average")
        yield from measure.render_rows(session, modes, encoder=encoder)


def growth() -> Iterator[measure.Row]:
    """Measures time and memory by number of views, size of pictures, and samples."""
    changes = [("views", n, dict(num_views=n), {}) for n in (4, 16, 32)]
    changes += [("size", 1024, dict(size=1024), {})]
    changes += [("samples", 64, {}, {"sampling.num_intervals": 64})]
    for name, value, made, values in changes:
        if name == "size" and (FLAGS.strip or FLAGS.small):
            continue
        config = measure.changed(same_rays(base("mlp", **made)), values)
        session = measure.Session(config)
        labels = dict(what=name, value=value)
        yield from measure.stage_rows(session, None, max(FLAGS.steps // 5, 1), **labels)
        yield from measure.render_rows(session, ("fused",), **labels)


def to_yardstick() -> Iterator[measure.Row]:
    """Measures seconds of training until the yardstick's final score, in one process."""
    config = yardstick()
    whole = measure.Session(config)
    curve, _ = measure.time_to(whole, None, config.stage1.steps)
    goal, seconds = curve[-1]["psnr"], curve[-1]["seconds"]
    yield dict(encoder="yardstick", goal_psnr=goal, seconds=seconds, ratio=1.0)
    for encoder in FLAGS.encoders:
        every = 1 if FLAGS.small else 10
        session = measure.Session(base(encoder), whole.dataset)
        points, reached = measure.time_to(session, goal, every)
        yield dict(
            encoder=encoder,
            goal_psnr=goal,
            seconds=reached,
            ratio=seconds / reached if reached else None,
            final_psnr=points[-1]["psnr"],
            final_seconds=points[-1]["seconds"],
        )


def whole_run() -> Iterator[measure.Row]:
    """Measures the whole command by phase, cold and once compiled."""
    for encoder in FLAGS.encoders:
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("cold", "warm"):
                target = Path(folder) / cache
                started = time.perf_counter()
                _call(_command(encoder, target), folder, {})
                total = time.perf_counter() - started
                usage = json.loads((target / "usage.json").read_text())
                scores = json.loads((target / "eval" / "metrics.json").read_text())
                yield dict(
                    encoder=encoder,
                    cache=cache,
                    total_s=total,
                    first_step_s=usage["first_step"],
                    **{f"{phase}_s": seconds for phase, seconds in usage["seconds"].items()},
                    peak_gb=usage["memory"]["bytes"] / 1e9,
                    psnr=scores["psnr"]["mean"],
                )


def _call(command: list[str], folder: str, changes: dict[str, str]) -> None:
    """Runs a command with the cache of compiled programs in `folder`."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": f"{folder}/programs", **changes}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")


def _tiny() -> list[str]:
    """Flags that make a command's field tiny, with --small."""
    return [f"--config.{name}={value}" for name, value in TINY.items() if FLAGS.small]


def _command(encoder: str, target: Path) -> list[str]:
    """Train command with an encoder's config file."""
    options = {"data.kind": "toy", "data.size": FLAGS.size}
    if FLAGS.strip:
        options = {"data.path": FLAGS.strip, "data.truth": FLAGS.truth}
    return [
        *(sys.executable, "-m", "jaxvsnerf.train"),
        *(f"--config=configs/{CONFIGS[encoder]}.py", f"--workdir={target}"),
        *(f"--config.{name}={value}" for name, value in options.items()),
        *_tiny(),
    ]


def devices() -> Iterator[measure.Row]:
    """Measures rays per second of stage 1 at 32 k rays a step, by number of devices."""
    first, every = None, jax.local_devices()
    for count in (n for n in (1, 2, 4, 8) if n <= len(every)):
        config = measure.with_rays(base("mlp"), 64 if FLAGS.small else 32768)
        session = measure.Session(config, devices=every[:count])
        take = session.begin(session.trainer.stages[0])
        take(10)
        seconds, _ = take(FLAGS.steps)
        rays = config.stage1.rays * FLAGS.steps / seconds / 1e6
        first = first or rays
        yield dict(devices=count, mrays_per_s=rays, ratio=rays / first)


def study() -> Iterator[measure.Row]:
    """Measures objects per hour: one device cold, then one and all devices once compiled."""
    gpus, repeat = visible_gpus(os.environ), FLAGS.repeat
    runs = [("cold", gpus[:1], 1), ("warm", gpus[:1], repeat)]
    runs += [("warm", gpus, repeat)] if len(gpus) > 1 else []
    for encoder in FLAGS.encoders:
        with tempfile.TemporaryDirectory() as folder:
            for cache, chosen, times in runs:
                target = Path(folder) / f"{cache}{len(chosen)}"
                named = _objects(target / "objects", times)
                started = time.perf_counter()
                _call(
                    [*(sys.executable, "-m", "jaxvsnerf.study"), f"--out={target / 'out'}",
                     *(f"--config=configs/{CONFIGS[encoder]}.py", f"--objects={named}", *_tiny())],
                    folder, {VISIBLE: ",".join(chosen)} if gpus else {},
                )  # fmt: skip
                wall = time.perf_counter() - started
                count = len(list(named.iterdir()))
                yield dict(
                    encoder=encoder,
                    cache=cache,
                    devices=max(len(chosen), 1),
                    objects=count,
                    wall_s=wall,
                    s_per_object=wall / count,
                    objects_per_hour=3600 * count / wall,
                    between_per_hour=_between(target / "out"),
                )


def _between(folder: Path) -> float | None:
    """Objects per hour from the end of the first quarter to the beginning of the last quarter.

    This excludes the time of starting and ending, which does not depend on the number of objects.
    """
    ends = sorted(path.stat().st_mtime for path in folder.glob("*/record.json"))
    first, last = len(ends) // 4, len(ends) - 1 - len(ends) // 4
    return 3600 * (last - first) / (ends[last] - ends[first]) if last > first else None


def _objects(folder: Path, times: int) -> Path:
    """Makes a folder with several links to each object; with toys if --objects is missing."""
    folder.mkdir(parents=True)
    if FLAGS.objects:
        sources = sorted(Path(FLAGS.objects).resolve().iterdir())
    else:
        made = toy_dataset(FLAGS.size, 16, "medium", 0, np.ones(3, np.float32))
        write_png(folder.parent / "toy.png", np.concatenate(list(made.inputs.images), axis=1))
        sources = [folder.parent / "toy.png"] * 2
    for number, source in enumerate(sources * times):
        (folder / f"{number:03d}_{source.name}").symlink_to(source)
    return folder


def table(rows: list[measure.Row]) -> str:
    """Formats rows as aligned text."""
    names = list(dict.fromkeys(name for row in rows for name in row))

    def text(value) -> str:
        return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

    cells = [names, *([text(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return "\n".join(
        "  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in cells
    )


def main(_) -> None:
    """Runs the command.

    Raises:
      app.UsageError: a flag is missing or has an unknown value.
    """
    check_extras()
    configure(os.environ)
    made = dict(
        zip(PARTS, (steps, render, growth, to_yardstick, whole_run, devices, study), strict=True)
    )
    unknown = [part for part in FLAGS.parts if part not in made]
    if unknown or not FLAGS.out or set(FLAGS.encoders) - set(CONFIGS):
        raise app.UsageError(
            f"--out is needed, --parts are some of {', '.join(PARTS)}, "
            f"--encoders some of {', '.join(CONFIGS)}"
        )
    path = Path(FLAGS.out) / "tables.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = json.loads(path.read_text()) if path.exists() else {}
    device = jax.local_devices()[0]
    print(f"jax {jax.__version__}, {jax.local_device_count()} x {device.device_kind}")
    for part in FLAGS.parts:
        tables[part] = []
        for row in made[part]():  # saved after every table, because a measurement takes minutes
            tables[part].append(row)
            write_text(path, json.dumps(tables, indent=2) + "\n")
        print(f"\n{part}\n{table(tables[part])}", flush=True)


if __name__ == "__main__":
    app.run(main)
