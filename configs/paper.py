"""The paper read literally: four views, three stages, squared error, everything trains.

    python -m jaxvsnerf.train --config=configs/paper.py --workdir=runs/paper \
        --config.data.path=syncdreamer/chicken/strip.png \
        --config.data.truth=syncdreamer/chicken/gt

About three minutes on an H200.

Four views 90 degrees apart (as in the paper's figure), NeRF's hierarchical sampling, colour that
depends on the direction, no mask term. In the last stage the attention sees the ray's own view, and
all layers train. Steps and learning rates are our choice, because the paper names none.
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Returns the config: the paper's choices, and NeRF's choices where the paper names none."""
    config = default_config()
    config.data.views = (0, 4, 8, 12)
    config.field.view_dependent = True
    config.field.key_size = 64  # queries and keys as wide as the values
    config.sampling.kind = "hierarchical"
    config.sampling.near_px = -1  # all pixels of the pictures with equal chance
    config.loss.kind = "mse"
    config.loss.terms.mask = 0.0
    config.loss.terms.roughness = 0.0
    config.loss.trust = 0.0
    everything = ("shared", "views", "heads")
    rates = dict(lr_init=5e-4, lr_final=1e-4, warmup=100)
    config.stage1.update(steps=1000, rays=4096, coarse_to_fine=0.0, **rates)
    config.stage2.update(steps=500, rays=4096, trainable=everything, pull=0.0, **rates)
    config.stage3.update(
        steps=500,
        trainable=("shared", "views", "attention", "heads"),
        token_mask="none",
        combined=0,  # every sample
        **rates,
    )
    return config
