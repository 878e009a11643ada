"""Sizes of the models: constants of the method, and widths that a spec sets."""

from __future__ import annotations

from dataclasses import dataclass

NUM_VIEWS = 16
IMAGE_SIZE = 256
LATENT_SIZE = 32
LATENT_CHANNELS = 4
VOLUME_SIZE = 32
FRUSTUM_DEPTH = 48
# Factor on the autoencoder's latents, which brings their standard deviation to about 1.
LATENT_SCALE = 0.18215
CONTEXT_DIM = 768  # features of CLIP's embedding and of the UNet's one context token
VIEWPOINT_DIM = 4
TIME_DIM = 256  # features of the volume networks' step embedding
ENCODER_WIDTH = 16  # channels of the target encoder, per view in the volume
CLIP_SIZE = 224
CLIP_PATCH = 14
CLIP_HEAD_DIM = 64
UNET_HEADS = 8
DEPTH_HEADS = 4
LEVELS = (1, 2, 4, 4)  # width of each level of UNet and autoencoder, relative to the first


@dataclass(frozen=True)
class GeneratorSpec:
    """Widths and counts of a generator.

    Attributes:
      unet_width: channels of the UNet's first level.
      volume_widths: channels of the four levels of the spatial volume and the view frusta.
      autoencoder_width: channels of the autoencoder's first level.
      clip_width: channels of CLIP's image transformer, a multiple of 64.
      clip_layers: blocks of CLIP's image transformer.
      text_context: context length of CLIP's text side, whose weights a checkpoint holds unused.
      text_vocabulary: vocabulary size of CLIP's text side.
      text_width: channels of CLIP's text side.
    """

    unet_width: int
    volume_widths: tuple[int, int, int, int]
    autoencoder_width: int
    clip_width: int
    clip_layers: int
    text_context: int
    text_vocabulary: int
    text_width: int


# Sizes of the published models.
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
# The smallest sizes that the architecture allows: for tests, with random weights.
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
