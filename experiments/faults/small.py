"""A small run, whose object is right where its pictures, masks and cameras are.

python -m jaxvsnerf.train --config=experiments/faults/small.py --workdir=DIR ...
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Returns the config: a narrow network, 250 steps."""
    config = default_config()
    config.field.update(depth=4, shared_layers=3, skip_layer=0, width=64, pos_freqs=6)
    config.sampling.update(grid_resolution=48, num_probes=64)
    config.stage1.update(steps=150, rays=1024)
    config.stage2.update(steps=100, rays=1024)
    config.stage3.update(steps=0)
    config.render.update(turntable_frames=2, turntable_size=32)
    config.mesh.update(resolution=64, faces=2000, texture=0)
    return config
