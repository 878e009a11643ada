"""A SyncDreamer strip with a hash grid: the fastest settings.

    python -m jaxvsnerf.train --config=configs/hash.py --workdir=runs/hash \
        --config.data.path=syncdreamer/chicken/strip.png \
        --config.data.truth=syncdreamer/chicken/gt

Trains in under a second on an H200, and scores what the MLP of `syncdreamer.py` scores.

Instant-NGP's encoding, held back so that it does not copy each view's mistakes: six levels
up to 48 cells a side, no direction, few steps.
"""

from jaxvsnerf.config import default_config


def get_config():
    """Small layers behind a coarse grid."""
    config = default_config()
    config.field.update(encoding="hash", width=64, depth=3, shared_layers=1, skip_layer=0)
    config.field.hash_grid.update(levels=6, base=8, finest=48)
    config.stage1.update(steps=250, warmup=20)
    config.stage2.update(steps=200, warmup=20)
    config.stage3.update(steps=50, lr_init=3e-5)
    return config
