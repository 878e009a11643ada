"""Makes a folder of weights from a downloaded checkpoint of SyncDreamer or Zero-1-to-3.

    python -m jaxvsnerf.convert --from=syncdreamer-pretrain.ckpt --to=weights/syncdreamer

Reads PyTorch's archives and safetensors (pip install 'jaxvsnerf[convert]'), runs nothing of
them, and checks that every array has its place. `generate` and `create` need the folder alone.
"""

from __future__ import annotations

from pathlib import Path

import jax
from absl import flags

from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.convert import convert_file
from jaxvsnerf.generation.networks import MODELS
from jaxvsnerf.generation.weights import DTYPES
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    source = flags.DEFINE_string("from", "", "Checkpoint: .ckpt, .pt or .safetensors.")
    target = flags.DEFINE_string("to", "", "Folder to write.")
    model = flags.DEFINE_enum("model", None, list(MODELS), "Whose checkpoint; told by itself.")
    clip = flags.DEFINE_string("clip", "", "CLIP's ViT-L-14.pt, where the checkpoint lacks it.")
    dtype = flags.DEFINE_enum("dtype", "float32", list(DTYPES), "How numbers are stored.")
    overwrite = flags.DEFINE_bool("overwrite", False, "Replace weights that are there already.")

    def command(_) -> None:
        jax.config.update("jax_platforms", "cpu")  # the host's work, and the host's memory
        if not source.value or not target.value:
            raise InputError("expected --from=CHECKPOINT and --to=FOLDER")
        convert_file(
            Path(source.value).expanduser(),
            Path(target.value).expanduser(),
            model=model.value or "",
            clip=Path(clip.value).expanduser() if clip.value else None,
            dtype=dtype.value,
            overwrite=overwrite.value,
        )

    cli.run(command)


if __name__ == "__main__":
    main()
