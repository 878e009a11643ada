"""A smooth surface from a SyncDreamer strip: NeuS's signed distance, a first recipe.

    python -m jaxvsnerf.train --config=configs/surface.py --workdir=runs/surface \
        --config.data.path=syncdreamer/chicken/strip.png \
        --config.data.truth=syncdreamer/chicken/gt

On true views of three objects the surface was closer to the object's than that of the density, at
three times the steps; on contradicting views nothing is measured yet. docs/variants.md has the
figures. Without masks training starts from a sphere.
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Returns the config: the recommended recipe with a signed distance."""
    config = default_config()
    config.field.decoder = "sdf"
    # The shape is smooth; colour reads the fine frequencies itself.
    config.field.pos_freqs = 6
    config.field.sdf.update(color_freqs=10, color_layers=2, products="auto")
    # The surface moves while it is soft and its gradient is free.
    config.field.sdf.update(sharpness=40.0, sharpness_rate=2.0)
    config.loss.terms.update(roughness=0.0, eikonal=0.0003)
    config.stage1.update(steps=1500, lr_init=2e-3, lr_final=2e-4, coarse_to_fine=0.0)
    config.stage2.update(lr_init=1e-3, lr_final=1e-4)
    return config
