"""The flags of a request for views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from absl import flags

from jaxvsnerf.generation.spec import NUM_VIEWS
from jaxvsnerf.generation.weights import DTYPES
from jaxvsnerf.run.request import Request


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
