"""Makes a file of LPIPS weights from the packages lpips and torchvision.

    python -m jaxvsnerf.lpips_weights --network=alex --out=alex.npz

They are needed here alone (pip install lpips torchvision), and download the classifier's
weights the first time. `--config.metrics.lpips=alex.npz` then scores with the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from jaxvsnerf import cli
from jaxvsnerf.extras import require
from jaxvsnerf.files import replacing
from jaxvsnerf.metrics.lpips import NETWORKS, weight_shapes

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
        raise ValueError(
            f"expected {len(expected)} weights of {network}, got {len(weights)} of which some "
            "differ in name or shape; this was made for lpips 0.1.4"
        )
    return weights


def main() -> None:
    """The command."""
    network = flags.DEFINE_enum("network", "alex", list(NETWORKS), "The classifier.")
    out = flags.DEFINE_string("out", "", "The file to write, .npz.")

    def command(_) -> None:
        path = Path(out.value)
        if path.suffix != ".npz":
            raise ValueError(f"--out: expected a file that ends in .npz, got {out.value!r}")
        if path.exists():
            raise ValueError(f"--out: {path} exists already")
        lpips = require("lpips", "the weights of LPIPS", PIP_LINE)
        state = lpips.LPIPS(net=network.value, version="0.1", verbose=False).state_dict()
        with replacing(path) as temporary:
            np.savez(temporary, **convert(network.value, state))
        cli.say(f"{network.value}: {path}")

    cli.run(command)


if __name__ == "__main__":
    main()
