"""jaxvsnerf: one accurate 3D object from pictures that contradict each other.

A view-specific neural radiance field in JAX: layers shared by all views, layers of each
view's own, and self-attention that combines the views' features, trained in three stages.
"""

from __future__ import annotations

from jaxvsnerf.errors import InputError

__version__ = "0.2.0"


def load(workdir: str, stage: str = "", mode: str = ""):
    """Loads a trained field.

    Args:
      workdir: the folder of a run.
      stage: the stage of the field; '' is the last finished stage.
      mode: how views are combined: fused, canonical or nearest; '' is the stage's own mode.

    Returns:
      A TrainedField with `render(cameras)` and `query(points, directions)`.

    Raises:
      MissingFile: there is no trained run.
      InputError: no such stage or mode.
    """
    from jaxvsnerf.run.saved import load_stages

    stages = load_stages(workdir, mode=mode, last_only=not stage)
    if stage and stage not in stages:
        raise InputError(f"stage: expected one of {', '.join(stages)}, got {stage!r}")
    return stages[stage or list(stages)[-1]]
