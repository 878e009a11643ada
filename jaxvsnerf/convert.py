"""Makes a folder of weights from a downloaded checkpoint of SyncDreamer or Zero-1-to-3.

    python -m jaxvsnerf.convert --from=syncdreamer-pretrain.ckpt --to=weights/syncdreamer

Reads PyTorch's archives and safetensors (pip install 'jaxvsnerf[convert]'), runs nothing of
them, and checks that every array has its place. `generate` and `create` need the folder alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
from absl import flags

from jaxvsnerf import cli
from jaxvsnerf.generation.conversion import (
    CLIP_PREFIX,
    convert_state,
    guess_model,
    guess_spec,
    with_clip,
)
from jaxvsnerf.generation.networks import MODELS
from jaxvsnerf.generation.state_files import read_state
from jaxvsnerf.generation.weights import (
    DTYPES,
    WeightsInfo,
    check_free,
    save_weights,
    source_of,
)


def convert_file(
    path: Path,
    folder: Path,
    *,
    model: str = "",
    clip: Path | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
    say: Callable[..., None] = cli.say,
) -> WeightsInfo:
    """Converts a checkpoint.

    Args:
      path: the checkpoint.
      folder: what is written.
      model: whose checkpoint it is, '' to tell from its arrays.
      clip: CLIP ViT-L/14's archive, where the checkpoint lacks CLIP.
      dtype: `float32`, or `bfloat16` for half the size.
      overwrite: whether weights in the folder are replaced.
      say: takes the lines to show.

    Returns:
      What was written.

    Raises:
      FileNotFoundError, ValueError, ImportError, OSError: see state_files, conversion and
        weights; nothing was written.
    """
    check_free(folder, overwrite)
    state = read_state(path)
    found = guess_model(state)
    if model and model != found:
        raise ValueError(f"--model: {path} is a checkpoint of {found}, not of {model}")
    spec = guess_spec(state)
    if not any(name.startswith(CLIP_PREFIX[found]) for name in state) and clip is None:
        raise ValueError(
            f"{path} holds no CLIP weights; give OpenAI's ViT-L-14.pt (0.9 GB) with --clip"
        )
    say(f"{path}: {len(state)} arrays of {found}", passing=True)
    if clip is not None:
        state = with_clip(state, read_state(clip), found, spec)
    params = convert_state(state, found, spec, dtype)
    say("checksums ...", passing=True)
    sources = tuple(source_of(file) for file in (path, clip) if file is not None)
    info = WeightsInfo(found, spec, dtype, sources)
    say(f"writing {folder} ...", passing=True)
    save_weights(folder, info, params, overwrite)
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    say(f"{found}: {count / 1e6:.1f} M numbers in {dtype}: {folder}")
    return info


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
            raise ValueError("expected --from=CHECKPOINT and --to=FOLDER")
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
