"""The fastest settings for a SyncDreamer strip: a hash grid.

    python -m jaxvsnerf.train --config=configs/hash.py --workdir=runs/hash \
        --config.data.path=syncdreamer/chicken/strip.png \
        --config.data.truth=syncdreamer/chicken/gt

Fewer and shorter steps than `syncdreamer.py`. The score is 0.3 dB lower on simulated views and the
same on a real SyncDreamer output, with a worse volume IoU.

The encoding is Instant-NGP's. Six levels up to 48 cells a side, no direction and few steps keep it
from copying each view's mistakes. The layers of each view also read four of NeRF's frequencies,
with which they can bend the object for their view.
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Returns the config: small layers behind a coarse grid."""
    config = default_config()
    config.field.update(encoding="hash", width=128, depth=3, shared_layers=1, skip_layer=1)
    config.field.pos_freqs = 4
    config.field.hash_grid.update(levels=6, base=8, finest=48)
    config.stage1.update(steps=200, rays=1024, warmup=20)
    config.stage2.update(steps=250, lr_init=2e-3, lr_final=2e-4, warmup=20)
    config.stage3.update(steps=40, lr_init=3e-5)
    return config
