"""A SyncDreamer strip with a hash grid: the fastest settings.

    python -m jaxvsnerf.train --config=configs/hash.py --workdir=runs/hash \
        --config.data.path=syncdreamer/chicken/strip.png \
        --config.data.truth=syncdreamer/chicken/gt
"""

from jaxvsnerf.config import default_config


def get_config():
    """Small layers behind Instant-NGP's encoding."""
    config = default_config()
    config.field.update(encoding="hash", width=64, depth=3, shared_layers=1, skip_layer=0)
    return config
