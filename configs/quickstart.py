"""The embedded toy on a CPU: a narrow field and small pictures, otherwise the defaults.

    python -m jaxvsnerf.train --config=configs/quickstart.py --workdir=runs/quickstart

A minute and a half on two CPU cores.

The inputs are eight contradicting 64x64 views of a procedural object. The run is scored on held-out
views, and writes scores, renders, a turntable, a mesh and a page.
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Returns the config: the three stages at a size for two cores."""
    config = default_config()
    config.data.kind = "toy"
    config.data.size = 64
    config.data.num_views = 8
    # A narrow field learns fast and low frequencies suffice for small pictures.
    config.field.width = 64
    config.field.pos_freqs = 5
    config.sampling.num_intervals = 16
    config.sampling.num_probes = 48
    config.sampling.grid_resolution = 48
    config.sampling.grid_cells = 8192
    config.sampling.hull_dilate_px = 1
    config.sampling.near_px = 2
    config.stage1.update(steps=600, rays=512, lr_init=5e-3, lr_final=5e-4, warmup=30)
    config.stage2.update(steps=200, rays=512, lr_init=1e-3, lr_final=3e-4, warmup=30)
    config.stage3.update(steps=50, rays=256, warmup=10)
    config.loop.report_every = 50
    config.render.num_intervals = 24
    config.render.turntable_frames = 24
    config.render.turntable_fps = 12
    config.render.turntable_size = 96
    config.mesh.update(resolution=96, faces=10000, texture=512)
    return config
