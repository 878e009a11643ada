"""What the models' sizes are: constants of the method, and the widths of a spec."""

from __future__ import annotations

from dataclasses import dataclass

NUM_VIEWS = 16
IMAGE_SIZE = 256
LATENT_SIZE = 32
LATENT_CHANNELS = 4
VOLUME_SIZE = 32
FRUSTUM_DEPTH = 48
# Latents are this many times the autoencoder's, so that their spread is about 1.
LATENT_SCALE = 0.18215
CONTEXT_DIM = 768  # CLIP's embedding, and the UNet's one context token
VIEWPOINT_DIM = 4
TIME_DIM = 256  # of the volumes' time embedding
ENCODER_WIDTH = 16  # of the target encoder: channels that each view adds to the volume
CLIP_SIZE = 224
CLIP_PATCH = 14
CLIP_HEAD_DIM = 64
UNET_HEADS = 8
DEPTH_HEADS = 4
LEVELS = (1, 2, 4, 4)  # widths of the UNet's and the autoencoder's levels over the first


@dataclass(frozen=True)
class GeneratorSpec:
    """Widths and counts of a generator.

    Attributes:
      unet_width: channels of the UNet's first level.
      volume_widths: channels of the four levels of the spatial volume and the view frusta.
      autoencoder_width: channels of the autoencoder's first level.
      clip_width: of CLIP's image transformer, a multiple of 64.
      clip_layers: its blocks.
      text_context: tokens of CLIP's text side, of which a checkpoint holds unused weights.
      text_vocabulary: its tokens.
      text_width: its width.
    """

    unet_width: int
    volume_widths: tuple[int, int, int, int]
    autoencoder_width: int
    clip_width: int
    clip_layers: int
    text_context: int
    text_vocabulary: int
    text_width: int


# The published models.
FULL = GeneratorSpec(
    unet_width=320,
    volume_widths=(64, 128, 256, 512),
    autoencoder_width=128,
    clip_width=1024,
    clip_layers=24,
    text_context=77,
    text_vocabulary=49408,
    text_width=768,
)
# As small as the architecture allows: for tests, with weights that mean nothing.
TINY = GeneratorSpec(
    unet_width=32,
    volume_widths=(16, 24, 32, 40),
    autoencoder_width=32,
    clip_width=128,
    clip_layers=2,
    text_context=8,
    text_vocabulary=16,
    text_width=64,
)
