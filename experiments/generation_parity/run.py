"""Compares the generator's networks with the original, array by array; prints a table.

python -m experiments.generation_parity.run --fixtures=syncdreamer_parity [--out=table.md]
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from absl import app, flags

from experiments.generation_parity import checks, sampling
from experiments.generation_parity.fixtures import Check, Fixtures
from jaxvsnerf.generation.spec import NUM_VIEWS
from jaxvsnerf.system.files import write_text

FLAGS = flags.FLAGS
flags.DEFINE_string("fixtures", "", "Their folder.")
flags.DEFINE_string("out", "", "File for the table of all arrays; without, only the summary.")
flags.DEFINE_list("only", [], "Some of the parts.")


def parts() -> dict[str, Callable[[Fixtures], Iterator[Check]]]:
    """Returns the checks by fixture file."""
    predict, all_views = sampling.make_predict(), np.arange(NUM_VIEWS)
    return {
        "schedule": checks.check_schedule,
        "ddim_step": checks.check_ddim_step,
        "embeddings": checks.check_embeddings,
        "geometry": checks.check_geometry,
        "vae": checks.check_vae,
        "vae_full": checks.check_vae_full,
        "clip_cc": checks.check_clip,
        "spatial_volume": checks.check_spatial_volume,
        "frustum": checks.check_frustum,
        "unet": checks.check_unet,
        "probes": sampling.check_probes,
        "guided_eps_batch2": functools.partial(sampling.check_guided, predict=predict),
        "sampling": functools.partial(sampling.check_sampling, predict=predict, chosen=all_views),
    }


def main(_) -> None:
    """Runs the command.

    Raises:
      app.UsageError: --fixtures is missing, or --only names an unknown file.
    """
    made = parts()
    chosen = FLAGS.only or list(made)
    if not FLAGS.fixtures or set(chosen) - set(made):
        raise app.UsageError(f"--fixtures is needed, --only are some of {', '.join(made)}")
    fixtures = Fixtures(Path(FLAGS.fixtures))
    every = ["| file | array | error | limit |", "|---|---|---|---|"]
    summary = ["| file | arrays | largest error | of | limit |", "|---|---|---|---|---|"]
    failed = 0
    for part in chosen:
        found = [(check.error(), check) for check in made[part](fixtures)]
        every += [f"| {part} | {c.name} | {e:.1e} | {c.limit:.0e} |" for e, c in found]
        failed += sum(not e <= c.limit for e, c in found)
        # A row for each limit, with the array nearest to the limit.
        for limit in sorted({check.limit for _, check in found}):
            theirs = [(e, c) for e, c in found if c.limit == limit]
            error, check = max(theirs, key=lambda pair: pair[0])
            summary.append(
                f"| {part} | {len(theirs)} | {error:.1e} | `{check.name}` | {limit:.0e} |"
            )
            print(summary[-1], flush=True)
    if FLAGS.out:
        write_text(Path(FLAGS.out), "\n".join(every) + "\n")
    print("\n".join(summary))
    print(f"{len(every) - 2} arrays, {failed} beyond their limit")


if __name__ == "__main__":
    app.run(main)
