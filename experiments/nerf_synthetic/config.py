"""A plain NeRF (stage 1 alone) on NeRF's lego; tests cameras, sampling and compositing.

    python -m jaxvsnerf.train --config=experiments/nerf_synthetic/config.py \
        --workdir=runs/lego --config.data.path=nerf_synthetic/lego400

Four minutes on an H200.

100 training views of 400x400, scored on the 25 test views beside them.
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Returns the config for clean pictures: colour by direction, and squared error."""
    config = default_config()
    config.data.kind = "transforms"
    config.field.view_dependent = True
    config.sampling.num_intervals = 64
    config.sampling.num_probes = 192
    config.sampling.grid_resolution = 128
    config.sampling.hull_outside = 0.0
    config.sampling.grid_cells = 131072
    config.loss.kind = "mse"
    config.loss.terms.mask = 0.0
    config.stage1.update(steps=20000, rays=4096, lr_init=1e-3, lr_final=5e-5, warmup=100)
    config.stage2.steps = 0
    config.stage3.steps = 0
    config.loop.report_every = 500
    config.loop.checkpoint_every = 10000
    config.render.num_intervals = 96
    return config
