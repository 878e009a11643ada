"""Makes a file of LPIPS weights from the packages lpips and torchvision.

    python -m jaxvsnerf.lpips_weights --network=alex --out=alex.npz

Only this command needs the two packages (pip install lpips torchvision); they download the
classifier's weights the first time. `--config.metrics.lpips=alex.npz` then scores with the file.
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.metrics.lpips import NETWORKS
from jaxvsnerf.metrics.lpips_weights import write_weights
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    network = flags.DEFINE_enum("network", "alex", list(NETWORKS), "The classifier.")
    out = flags.DEFINE_string("out", "", "The file to write, .npz.")
    cli.run(lambda _: write_weights(network.value, out.value))


if __name__ == "__main__":
    main()
