"""Converts a downloaded checkpoint of SyncDreamer or Zero-1-to-3 to a folder of weights.

    python -m jaxvsnerf.convert --from=syncdreamer-pretrain.ckpt --to=weights/syncdreamer

Reads PyTorch's archives and safetensors (pip install 'jaxvsnerf[convert]'), executes nothing in
them, and checks that every array has its place. `generate` and `create` need the folder alone.
"""

from __future__ import annotations

import jax
from absl import flags

from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.convert import convert_file
from jaxvsnerf.generation.networks import MODELS
from jaxvsnerf.generation.weights import DTYPES
from jaxvsnerf.system import cli
from jaxvsnerf.system.paths import user_path


def main() -> None:
    """The command."""
    source = flags.DEFINE_string("from", "", "The checkpoint: .ckpt, .pt or .safetensors.")
    target = flags.DEFINE_string("to", "", "The folder to write.")
    model = flags.DEFINE_enum(
        "model", None, list(MODELS), "The expected model; without the flag the file tells it."
    )
    clip = flags.DEFINE_string("clip", "", "CLIP's ViT-L-14.pt, if the checkpoint lacks CLIP.")
    dtype = flags.DEFINE_enum("dtype", "float32", list(DTYPES), "Type of the stored numbers.")
    overwrite = flags.DEFINE_bool("overwrite", False, "Replace weights in the folder.")

    def command(_) -> None:
        jax.config.update("jax_platforms", "cpu")  # the work and the memory are the host's
        if not source.value or not target.value:
            raise InputError("expected --from=CHECKPOINT and --to=FOLDER")
        convert_file(
            user_path(source.value),
            user_path(target.value),
            model=model.value or "",
            clip=user_path(clip.value) if clip.value else None,
            dtype=dtype.value,
            overwrite=overwrite.value,
        )

    cli.run(command)


if __name__ == "__main__":
    main()
