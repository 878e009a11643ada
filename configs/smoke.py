"""The smallest run that uses every part of the program, for tests.

    python -m jaxvsnerf.train --config=configs/smoke.py --workdir=DIR

Half a minute on two CPU cores.

The run has four 24x24 views of the toy and a few steps per stage. Its scores mean nothing.
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Returns the config: every part at its smallest size."""
    config = default_config()
    config.data.kind = "toy"
    config.data.size = 24
    config.data.num_views = 4
    config.field.update(depth=3, shared_layers=2, skip_layer=2, width=16, num_heads=2)
    config.sampling.update(
        num_intervals=8,
        num_probes=16,
        num_coarse=8,
        num_fine=8,
        grid_resolution=16,
        grid_every=2,
        grid_cells=256,
        hull_dilate_px=1,
        near_px=1,
    )
    for stage in ("stage1", "stage2", "stage3"):
        config[stage].update(steps=6, rays=64, warmup=2)
    config.loop.update(report_every=2, checkpoint_every=2)
    config.render.update(num_intervals=8, turntable_frames=2, turntable_size=16)
    config.mesh.update(resolution=24, faces=500, texture=64)
    return config
