"""Makes the other views of the object in one photo.

    python -m jaxvsnerf.generate --image=photo.png --weights=DIR --elevation_deg=30 --out=strip.png

16 views side by side with SyncDreamer's weights; one view from another camera with those of
Zero-1-to-3 (--azimuth_deg, --rise_deg). The photo's background must be transparent, or is removed
by --cutout=u2netp. Several samples (--samples=4) become strip_0.png, strip_1.png ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
from absl import flags

from jaxvsnerf import cli
from jaxvsnerf.generation.spec import NUM_VIEWS
from jaxvsnerf.generation.strip import join_views, rank_samples
from jaxvsnerf.generation.weights import DTYPES
from jaxvsnerf.outputs.images import write_png
from jaxvsnerf.photo_views import Request, plan_request, sample_views, strip_consistency

# Of a set of views [V, H, W, 3] uint8: the larger, the better its views agree.
Score = Callable[[np.ndarray], float]


def output_paths(out: Path, samples: int) -> list[Path]:
    """Where samples go: `out` itself, or numbered beside it where there are several."""
    if samples == 1:
        return [out]
    return [out.with_name(f"{out.stem}_{index}{out.suffix}") for index in range(samples)]


def write_samples(
    paths: list[Path],
    views: np.ndarray,
    score: Score | None = None,
    say: Callable[..., None] = cli.say,
) -> None:
    """Writes each sample's views side by side, the most consistent first.

    Args:
      paths: as many PNG files as there are samples.
      views: [N, V, H, W, 3] uint8.
      score: ranks the samples; None leaves them in the order they were drawn.
      say: takes the lines to show.
    """
    order, scores = list(range(len(views))), None
    if score and len(views) > 1:
        order, scores = rank_samples(views, score)
    for position, (path, index) in enumerate(zip(paths, order, strict=True)):
        write_png(path, join_views(views[index]) / np.float32(255.0))
        say(f"{path}" + (f": consistency {scores[position]:.4g}" if scores else ""))
    if len(views) > 1 and scores is None:
        say("the samples are not ranked; look at them and take the best")


def define_request() -> Callable[[], Request]:
    """The flags of a request; the function returned reads them once they are parsed."""
    words = {
        "image": (flags.DEFINE_string, "The photo: PNG or WebP, its background transparent."),
        "cutout": (flags.DEFINE_string, "Cuts an opaque photo: u2netp, or a model's .onnx file."),
        "weights": (flags.DEFINE_string, "Folder that `python -m jaxvsnerf.convert` wrote."),
        "elevation_deg": (flags.DEFINE_float, "How far above the horizon the photo was taken."),
        "azimuth_deg": (flags.DEFINE_float, "Zero-1-to-3: how far the new camera goes round."),
        "rise_deg": (flags.DEFINE_float, "Zero-1-to-3: how much higher the new camera stands."),
        "seed": (flags.DEFINE_integer, "Of all that is random."),
        "samples": (flags.DEFINE_integer, "How many sets of views."),
        "guidance": (flags.DEFINE_float, "How closely views follow the photo; 1 is the fastest."),
        "steps": (flags.DEFINE_integer, "Steps of denoising."),
        "crop_size": (flags.DEFINE_integer, "The object's longer side in pixels; -1: as it is."),
        "view_batch": (flags.DEFINE_integer, "Views at a time; 0: as memory allows."),
    }
    limits = {"samples": (1, None), "steps": (1, 1000), "view_batch": (0, NUM_VIEWS)}
    defaults = {field.name: field.default for field in fields(Request)}
    holders = {}
    for name, (define, text) in words.items():
        default = "" if name in ("image", "weights") else defaults[name]
        lower, upper = limits.get(name, (None, None))
        bounds = {} if define is flags.DEFINE_string else dict(lower_bound=lower, upper_bound=upper)
        holders[name] = define(name, default, text, **bounds)
    kinds = ["auto", *DTYPES]
    holders["dtype"] = flags.DEFINE_enum("dtype", defaults["dtype"], kinds, "Of the products.")
    return lambda: Request(**{name: holder.value for name, holder in holders.items()})


def main() -> None:
    """The command."""
    request = define_request()
    out = flags.DEFINE_string("out", "", "The picture to write, .png.")

    def command(_) -> None:
        path = Path(out.value).expanduser()
        if path.suffix.lower() != ".png":
            raise ValueError(f"--out: expected a file that ends in .png, got {out.value!r}")
        plan = plan_request(request())
        paths = output_paths(path, plan.request.samples)
        for one in paths:
            if one.exists():
                raise ValueError(f"--out: {one} exists already")
        # One view alone has none to agree with.
        score = strip_consistency if plan.info.model == "syncdreamer" else None
        write_samples(paths, sample_views(plan), score)

    cli.run(command)


if __name__ == "__main__":
    main()
