"""Converts LPIPS weights from the packages lpips and torchvision."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.metrics.lpips import check_weights, weight_shapes
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import require
from jaxvsnerf.system.files import replacing
from jaxvsnerf.system.paths import new_files

PIP_LINE = "pip install lpips torchvision"
AGAIN = (
    "the files that lpips and torchvision keep may be damaged: install lpips again, delete the "
    "network's file in the folder checkpoints of ~/.cache/torch/hub, which is downloaded again, "
    "and check the connection"
)
# Names in the package lpips -> names here, for slices of the classifier and for the heads.
RENAMED = (
    (re.compile(r"net\.slice\d+\.(\d+\..+)"), r"features.\1"),
    (re.compile(r"lin(\d+)\.model\.\d+\.weight"), r"lin\1.weight"),
)


def write_weights(network: str, out: str, say: Callable[[str], None] = cli.say) -> None:
    """Writes the LPIPS weights that the package lpips brings to a file.

    Args:
      network: a name of NETWORKS.
      out: the file, .npz.
      say: called with the line that names the file.

    Raises:
      InputError: the file exists already or ends otherwise, or lpips has other weights, or weights
        that cannot be loaded or are not finite.
      MissingExtra: lpips or torchvision is not installed.
    """
    [path] = new_files(out, ".npz")
    lpips = require("lpips", "the weights of LPIPS", PIP_LINE)
    try:
        state = lpips.LPIPS(net=network, version="0.1", verbose=False).state_dict()
    except Exception as error:  # noqa: BLE001 - PyTorch raises errors of many types
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"lpips cannot load its weights of {network} ({words}); {AGAIN}"
        ) from error
    weights = convert(network, state)
    check_weights(weights, f"lpips, {network}", AGAIN)
    with replacing(path) as temporary:
        np.savez(temporary, **weights)
    say(f"{network}: {path}")


def convert(network: str, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Converts the state of `lpips.LPIPS` to the weights that `weight_shapes` names.

    Args:
      network: a name of NETWORKS.
      state: name -> tensor on the CPU.

    Raises:
      InputError: the state does not hold the network's weights.
    """
    weights = {}
    for name, tensor in state.items():
        for pattern, ours in RENAMED:
            if pattern.fullmatch(name):
                weights[pattern.sub(ours, name)] = np.asarray(tensor, np.float32)
    expected = weight_shapes(network)
    if {name: value.shape for name, value in weights.items()} != expected:
        raise InputError(
            f"expected {len(expected)} weights of {network}, got {len(weights)} of which some "
            "differ in name or shape; this was made for lpips 0.1.4"
        )
    return weights
