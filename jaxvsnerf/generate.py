"""Makes the other views of the object in one photo.

    python -m jaxvsnerf.generate --image=photo.png --weights=DIR --elevation_deg=30 --out=strip.png

16 views side by side with SyncDreamer's weights; one view from another camera with those of
Zero-1-to-3 (--azimuth_deg, --rise_deg). The photo's background must be transparent, or is removed
by --cutout=u2netp. Several samples (--samples=4) become strip_0.png, strip_1.png ...
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from jaxvsnerf.errors import InputError
from jaxvsnerf.run.request import plan_request
from jaxvsnerf.run.request_flags import define_request
from jaxvsnerf.run.samples import output_paths, sample_views, strip_consistency, write_samples
from jaxvsnerf.system import cli


def main() -> None:
    """The command."""
    request = define_request()
    out = flags.DEFINE_string("out", "", "The picture to write, .png.")

    def command(_) -> None:
        path = Path(out.value).expanduser()
        if path.suffix.lower() != ".png":
            raise InputError(f"--out: expected a file that ends in .png, got {out.value!r}")
        plan = plan_request(request())
        paths = output_paths(path, plan.request.samples)
        for one in paths:
            if one.exists():
                raise InputError(f"--out: {one} exists already")
        # One view alone has none to agree with.
        score = strip_consistency if plan.info.model == "syncdreamer" else None
        write_samples(paths, sample_views(plan), score)

    cli.run(command)


if __name__ == "__main__":
    main()
