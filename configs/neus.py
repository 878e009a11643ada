"""NeuS with view-specific layers, at the numbers of its paper and published code.

    python -m jaxvsnerf.train --config=configs/neus.py --workdir=runs/neus \
        --config.data.path=FOLDER

A reproducibility study for pictures that agree, hours on a GPU; `surface.py` is the recipe for
generated views. Departures from the original: layers without weight normalisation, exponential
instead of cosine decay, the mean over all rays instead of a sum over rays inside masks divided by
their number, and a feature that colour reads before its linear layer (the product of two matrices).
Stages 2 and 3 are this project's; `--config.stage2.steps=0 --config.stage3.steps=0` is NeuS alone.

Numbers: supplement B of arXiv:2106.10689 and `confs/wmask.conf`. Lengths there are in a sphere of
radius 1, here in a cube of side 1: radii are halved, sharpness is doubled.
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Returns the config: NeuS with masks."""
    config = default_config()
    config.field.update(decoder="sdf", depth=8, width=256, skip_layer=4, shared_layers=5)
    config.field.update(pos_freqs=6, dir_freqs=4, view_dependent=True)
    config.field.sdf.update(radius=0.25, beta=100.0, sharpness=40.17, sharpness_rate=10.0)
    config.field.sdf.update(color_layers=4, color_freqs=0, color_normals=True, hull_steps=0)
    config.sampling.update(kind="neus", num_coarse=64, num_fine=64, near_px=-1)
    config.loss.update(kind="l1", trust=0.0)
    config.loss.terms.update(mask=0.0, roughness=0.0, mask_entropy=0.1, eikonal=0.1)
    rates = dict(lr_init=5e-4, lr_final=2.5e-5, coarse_to_fine=0.0)
    config.stage1.update(steps=300_000, rays=512, warmup=5000, **rates)
    config.stage2.update(steps=20_000, rays=512, **rates)
    config.stage3.update(steps=2000)
    config.loop.update(report_every=1000, checkpoint_every=10_000)
    return config
