"""A SyncDreamer strip with a hash grid: the fastest settings.

    python -m jaxvsnerf.train --config=configs/hash.py --workdir=runs/hash \
        --config.data.path=syncdreamer/chicken/strip.png \
        --config.data.truth=syncdreamer/chicken/gt

Fewer steps than `syncdreamer.py`, each shorter: 0.3 dB less on simulated views, as much on a real
SyncDreamer output, with a worse volume IoU.

Instant-NGP's encoding, held back so that it does not copy each view's mistakes: six levels
up to 48 cells a side, no direction, few steps. Beside it the layers of each view read four
of NeRF's frequencies, with which they bend the object for their view.
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Small layers behind a coarse grid."""
    config = default_config()
    config.field.update(encoding="hash", width=128, depth=3, shared_layers=1, skip_layer=1)
    config.field.pos_freqs = 4
    config.field.hash_grid.update(levels=6, base=8, finest=48)
    config.stage1.update(steps=200, rays=1024, warmup=20)
    config.stage2.update(steps=250, lr_init=2e-3, lr_final=2e-4, warmup=20)
    config.stage3.update(steps=40, lr_init=3e-5)
    return config
