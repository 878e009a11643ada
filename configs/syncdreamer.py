"""A SyncDreamer strip, recommended settings.

    python -m jaxvsnerf.train --config=configs/syncdreamer.py --workdir=runs/chicken \
        --config.data.path=syncdreamer/chicken/strip.png \
        --config.data.truth=syncdreamer/chicken/gt

Half a minute on an H200, most of it compilation, and 11 to 12 s from then on; not for a CPU.

16 views side by side in, 256x256 each (any height works); scores where `data.truth` names
the true pictures, a mesh, a turntable and a page out. 4 views: --config.data.views="(0,4,8,12)".
"""

from jaxvsnerf.config.defaults import spec_defaults


def get_config():
    """The recommended recipe: all that differs from the defaults of the specs."""
    config = spec_defaults()
    config.field.dtype = "auto"
    config.loss.kind = "auto"
    config.loss.terms.roughness = -1.0
    # One MLP for all views.
    config.stage1.update(steps=500, mode="single", lr_init=3e-3, lr_final=6e-4, rays=2048)
    config.stage1.coarse_to_fine = -1.0
    # A branch for each view, pulled towards the mean of the branches.
    config.stage2.update(steps=400, mode="per_view", lr_init=1.5e-3, lr_final=1e-4, rays=0)
    config.stage2.pull = 0.1
    # Attention over the branches, which stay frozen; a ray does not see its own view.
    config.stage3.update(steps=50, mode="fused", lr_init=1e-4, lr_final=1e-5, warmup=20)
    config.stage3.update(trainable=("attention", "heads"), token_mask="own", combined=8)
    return config
