"""The flags of a request for views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from absl import flags

from jaxvsnerf.generation.spec import NUM_VIEWS
from jaxvsnerf.generation.weights import DTYPES
from jaxvsnerf.run.request import Request


def define_request() -> Callable[[], Request]:
    """Defines the flags of a request; returns a function that reads the parsed flags."""
    words = {
        "image": (flags.DEFINE_string, "The photo: PNG or WebP with a transparent background."),
        "cutout": (flags.DEFINE_string, "Removes the background: u2netp, or an .onnx file."),
        "weights": (flags.DEFINE_string, "The folder that `python -m jaxvsnerf.convert` wrote."),
        "elevation_deg": (flags.DEFINE_float, "Degrees of the photo's camera above the horizon."),
        "azimuth_deg": (flags.DEFINE_float, "Zero-1-to-3: degrees from the photo's camera around."),
        "rise_deg": (flags.DEFINE_float, "Zero-1-to-3: degrees from the photo's camera upwards."),
        "seed": (flags.DEFINE_integer, "Seed of all random numbers."),
        "samples": (flags.DEFINE_integer, "Number of sets of views."),
        "guidance": (flags.DEFINE_float, "How closely views follow the photo; 1 is the fastest."),
        "steps": (flags.DEFINE_integer, "Number of denoising steps."),
        "crop_size": (flags.DEFINE_integer, "The object's longer side in pixels; -1: unscaled."),
        "view_batch": (flags.DEFINE_integer, "Views at a time; 0: as many as fit into memory."),
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
    holders["dtype"] = flags.DEFINE_enum("dtype", defaults["dtype"], kinds, "Type of the products.")
    return lambda: Request(**{name: holder.value for name, holder in holders.items()})
