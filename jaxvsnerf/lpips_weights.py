"""Makes a file of LPIPS weights from the packages lpips and torchvision.

    python -m jaxvsnerf.lpips_weights --network=alex --out=alex.npz

They are needed here alone (pip install lpips torchvision), and download the classifier's
weights the first time. `--config.metrics.lpips=alex.npz` then scores with the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from absl import flags

from jaxvsnerf.errors import InputError
from jaxvsnerf.metrics.lpips import NETWORKS
from jaxvsnerf.metrics.lpips_weights import PIP_LINE, convert
from jaxvsnerf.system import cli
from jaxvsnerf.system.extras import require
from jaxvsnerf.system.files import replacing


def main() -> None:
    """The command."""
    network = flags.DEFINE_enum("network", "alex", list(NETWORKS), "The classifier.")
    out = flags.DEFINE_string("out", "", "The file to write, .npz.")

    def command(_) -> None:
        path = Path(out.value)
        if path.suffix != ".npz":
            raise InputError(f"--out: expected a file that ends in .npz, got {out.value!r}")
        if path.exists():
            raise InputError(f"--out: {path} exists already")
        lpips = require("lpips", "the weights of LPIPS", PIP_LINE)
        state = lpips.LPIPS(net=network.value, version="0.1", verbose=False).state_dict()
        with replacing(path) as temporary:
            np.savez(temporary, **convert(network.value, state))
        cli.say(f"{network.value}: {path}")

    cli.run(command)


if __name__ == "__main__":
    main()
