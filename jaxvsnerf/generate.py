"""Generates the other views of the object in one photo.

    python -m jaxvsnerf.generate --image=photo.png --weights=DIR --elevation_deg=30 --out=strip.png

SyncDreamer's weights give 16 views side by side; Zero-1-to-3's give one view from another camera
(--azimuth_deg, --rise_deg). The photo's background must be transparent, or --cutout=u2netp removes
it. Several samples (--samples=4) become strip_0.png, strip_1.png ...
"""

from __future__ import annotations

from absl import flags

from jaxvsnerf.run.request_flags import define_request
from jaxvsnerf.run.samples import generate_files
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    request = define_request()
    out = flags.DEFINE_string("out", "", "The picture to write, .png.")
    cli.run(lambda _: generate_files(request(), out.value))


if __name__ == "__main__":
    main()
