"""The default configuration: one locked ConfigDict."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def default_config() -> ConfigDict:
    """Every setting, with the recommended values for generated views.

    A config file starts from it and changes what it needs. The specs that the values become
    (DataSpec, FieldSpec, StageSpec, ...) document and check them; what has no spec, or more
    values here than there, the functions below document. docs/settings.md lists all.

    Attributes:
      seed: of initialisation, rays and jitter; the same seed gives the same result.
    """
    everything = ("encoding", "shared", "views", "heads")
    config = ConfigDict(
        dict(
            seed=0,
            data=data_config(),
            preprocess=preprocess_config(),
            field=field_config(),
            sampling=sampling_config(),
            loss=loss_config(),
            stage1=stage_config(
                steps=500,
                mode="single",
                trainable=everything,
                lr_init=3e-3,
                lr_final=6e-4,
                rays=2048,
                coarse_to_fine=-1.0,
            ),
            stage2=stage_config(
                steps=400,
                mode="per_view",
                trainable=everything,
                lr_init=1.5e-3,
                lr_final=1e-4,
                rays=0,
                pull=0.1,
            ),
            stage3=stage_config(
                steps=50,
                mode="fused",
                trainable=("attention", "heads"),
                token_mask="own",
                lr_init=1e-4,
                lr_final=1e-5,
                warmup=20,
                combined=8,
            ),
            loop=loop_config(),
            render=render_config(),
            metrics=metrics_config(),
            mesh=mesh_config(),
        )
    )
    return config.lock()


def get_config() -> ConfigDict:
    """The defaults as a config file, for commands that need none."""
    return default_config()


def data_config() -> dict[str, Any]:
    """Where the pictures come from, see DataSpec.

    Attributes:
      background: in a config () or (r, g, b).
      elevation_deg: in a config always a list, (30,) for one.
    """
    return dict(
        kind="auto",
        path="",
        truth="",
        mesh="",
        rig="syncdreamer",
        views=(),
        input_view=-1,
        background=(),
        mask="auto",
        mask_threshold=0.04,
        downscale=1,
        similarity=(),
        azimuth_deg=(),
        elevation_deg=(),
        distance=placeholder(float),
        fov_deg=placeholder(float),
        input_elevation_deg=placeholder(float),
        # The photo that the views were made from, as one more view; experiments/photo_view.
        photo="",
        photo_weight=0.5,
        pixel_center=0.5,
        size=64,
        num_views=16,
        severity="medium",
        seed=0,
    )


def preprocess_config() -> dict[str, Any]:
    """What is done to the input views, each only where it is needed, see PreprocessSpec."""
    return dict(denoise=True, harmonize=False, outliers=True)


def field_config() -> dict[str, Any]:
    """The field, see FieldSpec.

    Attributes:
      dtype: `auto` takes bfloat16 on GPU and TPU, float32 on a CPU.
    """
    return dict(
        depth=8,
        width=256,
        shared_layers=5,
        skip_layer=5,
        encoding="frequency",
        hash_grid=dict(levels=8, features=2, log2_size=17, base=16, finest=128),
        pos_freqs=10,
        dir_freqs=4,
        position_scale=2.0,
        view_dependent=False,
        num_heads=4,
        key_size=16,
        angle_term=True,
        density_activation="softplus",
        density_scale=10.0,
        density_shift=-1.0,
        dtype="auto",
    )


def sampling_config() -> dict[str, Any]:
    """Where rays are drawn and sampled, see GridLevel and StepSpec.

    Attributes:
      kind: `grid` (intervals drawn from the density grid) or `hierarchical` (NeRF's coarse
        and fine samples).
      num_intervals: intervals of a ray in training, kind grid; at least 1.
      num_coarse: intervals from near to far, kind hierarchical; at least 1.
      num_fine: intervals drawn from the weights of the coarse ones, kind hierarchical; at
        least 1.
      grid_resolution: cells a side of the density grid; at least 1.
      hull_dilate_px: pixels by which masks grow before their hull is the grid's support; 0
        leaves them.
      hull_outside: share of the views that may see a point outside their mask and it still
        belongs to the hull: silhouettes that contradict each other would otherwise cut off
        what most of them show. At least 0, below 1.
      near_px: pixels around a mask within which rays count as near it; all of them where it is
        negative.
    """
    return dict(
        kind="grid",
        num_intervals=32,
        num_probes=128,
        exploration=0.1,
        num_coarse=64,
        num_fine=128,
        grid_resolution=96,
        grid_every=8,
        grid_cells=65536,
        hull_dilate_px=3,
        hull_outside=0.125,
        near_px=6,
        background_share=0.1,
    )


def loss_config() -> dict[str, Any]:
    """What is minimised, see LossSpec.

    Attributes:
      kind: `auto` is `mse` with fewer than 8 views, else `charbonnier`.
      smooth: -1 is 3 with fewer than 8 views, else 0.
      trust: exponent of how much less a view counts the farther it is from the picture that
        the generator was given, where that is known: (0.25 + sin(angle / 2))^-trust; 0 for
        pictures that do not disagree. At least 0.
    """
    return dict(kind="auto", eps=1e-3, mask_weight=1.0, smooth=-1.0, trust=1.5)


def loop_config() -> dict[str, Any]:
    """Cadence and logs, see LoopSpec.

    Attributes:
      tensorboard: whether event files for TensorBoard are written too.
    """
    return dict(report_every=50, checkpoint_every=500, tensorboard=False)


def render_config() -> dict[str, Any]:
    """Pictures of the finished field.

    Attributes:
      num_intervals: intervals of a ray, where `sampling.kind` is grid; at least 1.
      opaque: a ray ends where no more than this share of its light is left; 0 follows it to
        its end. At least 0, below 1.
      turntable_frames: frames of the full turn; at least 1.
      turntable_fps: frames per second of `turntable.mp4`; at least 1.
      turntable_size: height and width of a frame in pixels; at least 1.
    """
    return dict(
        num_intervals=48,
        opaque=5e-4,
        turntable_frames=48,
        turntable_fps=24,
        turntable_size=256,
    )


def metrics_config() -> dict[str, Any]:
    """Scores against truth pictures.

    Attributes:
      lpips: file of LPIPS weights, as `python -m jaxvsnerf.lpips_weights` makes them; '' leaves
        that score out.
    """
    return dict(lpips="")


def mesh_config() -> dict[str, Any]:
    """The mesh, see docs/assets.md.

    Attributes:
      resolution: points a side of the lattice on which the surface is found; at least 2.
      level: density of the surface, per cube side; 0 finds it. At least 0.
      faces: most triangles; at least 4.
      texture: texels a side of the texture, 16 to 8192; 0 gives vertex colours instead.
    """
    return dict(resolution=192, level=0.0, faces=20000, texture=1024)


def stage_config(**values: Any) -> ConfigDict:
    """The settings of one stage, StageSpec's without its name.

    Attributes:
      rays: 0 is 256 of each view.
      coarse_to_fine: -1 is 0.9 with fewer than 8 views, else 0.
    """
    settings = dict(
        steps=1000,
        mode="single",
        trainable=(),
        token_mask="none",
        lr_init=1e-3,
        lr_final=1e-4,
        warmup=50,
        rays=4096,
        combined=0,
        encoding_lr=10.0,
        pull=0.0,
        coarse_to_fine=0.0,
    )
    return ConfigDict({**settings, **values})
