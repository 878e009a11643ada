"""What the pages share: one look, one way to load a template."""

from __future__ import annotations

from importlib import resources
from urllib.parse import quote

from jaxvsnerf.extras import require


def page_template(name: str):
    """A jinja template of this folder; those of pages extend page.html.jinja.

    Args:
      name: file name.

    Raises:
      ImportError: jinja2 is missing.
    """
    jinja2 = require("jinja2")
    folder = resources.files("jaxvsnerf.outputs")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda one: folder.joinpath(one).read_text(encoding="utf-8")),
    )
    environment.filters["path"] = quote
    environment.filters["duration"] = duration
    return environment.get_template(name)


def duration(seconds: float) -> str:
    """Seconds for people: 0.42 s, 12.3 s, 2 min 05 s, 1 h 02 min."""
    if seconds < 59.95:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
