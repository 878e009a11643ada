"""A SyncDreamer strip, recommended settings.

    python -m jaxvsnerf.train --config=configs/syncdreamer.py --workdir=runs/chicken \
        --config.data.path=syncdreamer/chicken/strip.png \
        --config.data.truth=syncdreamer/chicken/gt

Half a minute on an H200, most of it compilation, and 11 to 12 s from then on; not for a CPU.

16 views side by side in, 256x256 each (any height works); scores where `data.truth` names
the true pictures, a mesh, a turntable and a page out. 4 views: --config.data.views="(0,4,8,12)".
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """The defaults are made for this."""
    return default_config()
