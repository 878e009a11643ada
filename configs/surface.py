"""A smooth surface from a SyncDreamer strip: NeuS's signed distance, a first recipe.

    python -m jaxvsnerf.train --config=configs/surface.py --workdir=runs/surface \
        --config.data.path=syncdreamer/chicken/strip.png \
        --config.data.truth=syncdreamer/chicken/gt

Not better than `syncdreamer.py` yet: on true views normals were truer on two of three objects,
Chamfer distance on none, and pictures softer. docs/variants.md has the figures. Without masks
training starts from a sphere.
"""

from jaxvsnerf.config.defaults import default_config


def get_config():
    """Returns the config: the recommended recipe with a signed distance."""
    config = default_config()
    config.field.decoder = "sdf"
    # The shape is smooth; colour reads the fine frequencies itself.
    config.field.pos_freqs = 6
    config.field.sdf.update(color_freqs=10, color_layers=2, products="auto")
    config.loss.terms.update(roughness=0.0, eikonal=0.01)
    config.stage1.update(lr_init=2e-3, lr_final=2e-4, coarse_to_fine=0.0)
    config.stage2.update(lr_init=1e-3, lr_final=1e-4)
    return config
