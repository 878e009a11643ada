"""Loads the jinja templates of the pages."""

from __future__ import annotations

from importlib import resources
from urllib.parse import quote

from jaxvsnerf.system.extras import require
from jaxvsnerf.system.measure import duration


def page_template(name: str):
    """Loads a jinja template of this folder; page templates extend page.html.jinja.

    Args:
      name: file name of the template.

    Raises:
      MissingExtra: jinja2 is missing.
    """
    jinja2 = require("jinja2")
    folder = resources.files("jaxvsnerf.page")
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
