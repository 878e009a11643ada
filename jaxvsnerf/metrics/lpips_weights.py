"""Weights of LPIPS from the packages lpips and torchvision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxvsnerf.errors import InputError
from jaxvsnerf.metrics.lpips import weight_shapes

PIP_LINE = "pip install lpips torchvision"
# Names of the package lpips -> ours: slices of the classifier, and the heads.
RENAMED = (
    (re.compile(r"net\.slice\d+\.(\d+\..+)"), r"features.\1"),
    (re.compile(r"lin(\d+)\.model\.\d+\.weight"), r"lin\1.weight"),
)


def convert(network: str, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The weights of a network from the state of `lpips.LPIPS`.

    Args:
      network: a name of NETWORKS.
      state: name -> tensor on the CPU.

    Raises:
      ValueError: they are not those of the network.
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
