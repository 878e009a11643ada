"""Conversion of a downloaded checkpoint to a folder of weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax

from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.conversion import (
    CLIP_PREFIX,
    convert_state,
    guess_model,
    guess_spec,
    with_clip,
)
from jaxvsnerf.generation.state_files import read_state
from jaxvsnerf.generation.weights import WeightsInfo, check_free, save_weights, source_of
from jaxvsnerf.system import cli


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
    """Converts a checkpoint to a folder of weights.

    Args:
      path: the checkpoint.
      folder: the folder to write.
      model: the expected model, or '' to tell the model from the checkpoint's arrays.
      clip: CLIP ViT-L/14's archive, needed if the checkpoint holds no CLIP weights.
      dtype: `float32`, or `bfloat16` for half the size.
      overwrite: whether existing weights in the folder are replaced.
      say: called with each progress line.

    Returns:
      The description written to the folder's weights.json.

    Raises:
      InputError: the checkpoint is of another model, lacks CLIP weights, is damaged or not
        readable, or the folder is in use; nothing was written.
      MissingFile: a named file does not exist.
      MissingExtra: PyTorch or safetensors is needed and not installed.
      StorageError: the weights could not be written.
    """
    check_free(folder, overwrite)
    state = read_state(path)
    found = guess_model(state)
    if model and model != found:
        raise InputError(f"--model: {path} is a checkpoint of {found}, not of {model}")
    spec = guess_spec(state)
    if not any(name.startswith(CLIP_PREFIX[found]) for name in state) and clip is None:
        raise InputError(
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
