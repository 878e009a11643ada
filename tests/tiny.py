"""A scene small enough to train in a test: three views of a disc."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxvsnerf.fields.build import FieldSpec, build_field
from jaxvsnerf.fields.encode import FrequencySpec
from jaxvsnerf.fields.radiance import RadianceSpec
from jaxvsnerf.geometry.cameras import camera_centers, optical_axes, orbit_cameras
from jaxvsnerf.rendering.grid import init_grid
from jaxvsnerf.rendering.sampling import GridLevel
from jaxvsnerf.training import step as steps
from jaxvsnerf.training.batch import Scene, StepSpec
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.rays import build_ray_table
from jaxvsnerf.training.stages import StageSpec, promote
from jaxvsnerf.types import Context, ViewSet

V, SIZE = 3, 12
EVERYTHING = ("shared", "views", "heads")
STAGES = (
    StageSpec("stage1", 4, "single", EVERYTHING, rays=24, warmup=1),
    StageSpec("stage2", 4, "per_view", EVERYTHING, rays=24, warmup=1),
    StageSpec("stage3", 4, "fused", ("attention", "heads"), "own", rays=24, warmup=1),
)
LEVELS = (GridLevel(6, 12),)


def make_views():
    """Dark inside the mask, white outside."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    disc = ((x - SIZE / 2) ** 2 + (y - SIZE / 2) ** 2 < 3.1**2).astype(np.float32)
    masks = np.broadcast_to(disc, (V, SIZE, SIZE))
    images = np.broadcast_to(1 - 0.8 * disc[None, ..., None], (V, SIZE, SIZE, 3))
    cameras = orbit_cameras([0, 120, 240], 30, 1.5, 13.0, SIZE, SIZE)
    white = np.ones(3, np.float32)
    return ViewSet(images.astype(np.float32), masks, cameras, white, ("a", "b", "c"))


def make_scene(views):
    """The views as a train step reads them."""
    return Scene(
        table=build_ray_table(views, 1),
        cameras=views.cameras,
        context=Context(
            jnp.asarray(optical_axes(views.cameras)), camera_centers(views.cameras), jnp.int32(0)
        ),
        background=jnp.ones(3),
        trust=jnp.asarray([1.5, 0.75, 0.75]),
    )


RADIANCE = RadianceSpec(dir_freqs=1)


def make_field(dtype="float32", decoder=RADIANCE):
    """A field of 4 layers of 8 features."""
    layers = dict(depth=4, shared_layers=2, skip_layer=2, width=8, num_heads=2)
    ends = dict(encoder=FrequencySpec(pos_freqs=2), decoder=decoder)
    return build_field(FieldSpec(V, **layers, **ends, dtype=dtype))


def step_spec(levels=LEVELS):
    """What the stages share."""
    return StepSpec(levels, LossSpec(), 0.2, grid_every=2, grid_cells=64, half_extent=0.6)


@partial(jax.jit, static_argnums=(0, 1, 2))
def stage_state(field, stage, grid=True):
    """The state a stage starts from, right after initialisation."""
    params = field.init(jax.random.key(0), 1)
    params = promote(field, params, stage.mode, jax.random.key(1))
    return steps.init_state(stage, params, init_grid(np.ones((8,) * 3), 5.0, 0.6) if grid else None)


def run(field, stage, scene, counts, devices=None):
    """Trains a stage in dispatches of `counts` steps; the state and each one's sums."""
    devices = tuple(devices or jax.local_devices()[:1])
    step = steps.make_train_steps(field, stage, step_spec(), devices)
    state = steps.place(stage_state(field, stage), devices)
    placed, key = steps.place(scene, devices), steps.place(jax.random.key(7), devices)
    sums = []
    for count in counts:
        state, metrics = step(state, placed, key, count)
        sums.append(jax.device_get(metrics))
    return jax.device_get(state), sums
