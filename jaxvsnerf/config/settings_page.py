"""What every setting is: its default, and the words of the docstring that documents it."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict

from jaxvsnerf.config import defaults as config
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.build import FieldSpec
from jaxvsnerf.fields.hashgrid import HashSpec
from jaxvsnerf.preprocess.spec import PreprocessSpec
from jaxvsnerf.rendering.sampling import GridLevel
from jaxvsnerf.simulate.toy import ToySpec
from jaxvsnerf.training.batch import StepSpec
from jaxvsnerf.training.losses import LossSpec
from jaxvsnerf.training.stages import StageSpec
from jaxvsnerf.training.trainer import LoopSpec

# What documents the settings of a section, the config's own words last.
SOURCES = {
    "": (config.default_config,),
    "data": (DataSpec, ToySpec, config.data_config),
    "preprocess": (PreprocessSpec, config.preprocess_config),
    "field": (FieldSpec, config.field_config),
    "field.hash_grid": (HashSpec,),
    "sampling": (GridLevel, StepSpec, config.sampling_config),
    "loss": (LossSpec, config.loss_config),
    "stage1": (StageSpec, config.stage_config),
    "stage2": (StageSpec, config.stage_config),
    "stage3": (StageSpec, config.stage_config),
    "loop": (LoopSpec, config.loop_config),
    "render": (config.render_config,),
    "metrics": (config.metrics_config,),
    "mesh": (config.mesh_config,),
}
TYPES = {bool: "True or False", int: "whole number", float: "number", str: "text", tuple: "list"}
HEAD = """\
# Every setting

Made from the source by `python -m jaxvsnerf.settings > docs/settings.md`; change the docstring
there, not this page. `python -m jaxvsnerf.settings mesh` prints a part of it.

Each is a flag of every command that takes `--config=FILE`, and a field of the config in a file:
`--config.mesh.faces=50000` or `config.mesh.faces = 50000`. Lists are written
`--config.data.views="(0,4,8,12)"`. The defaults below are those of `configs/syncdreamer.py`;
other files under `configs/` change some. A run keeps all of them in its `config.json`.
Lengths are in sides of the object's cube, colours in [0, 1], angles in degrees.
"""


def parse_attributes(docstring: str) -> dict[str, str]:
    """The entries of a Google-style docstring's `Attributes:` section, each as one line."""
    section = re.search(r"^Attributes:\n((?:  .*\n|\n)*)", inspect.cleandoc(docstring) + "\n", re.M)
    entries = re.split(r"^  (?=\w+:)", section[1] if section else "", flags=re.M)[1:]
    named = (entry.split(":", 1) for entry in entries)
    return {name: " ".join(words.split()) for name, words in named}


def describe_section(section: str) -> dict[str, str]:
    """What is said of the settings of a section, in the order in which it is said."""
    said: dict[str, str] = {}
    for source in SOURCES.get(section, ()):
        for name, words in parse_attributes(source.__doc__).items():
            words = words if words.endswith(".") else words + "."
            said[name] = f"{said[name]} {words}" if name in said else words
    return said


def list_settings() -> list[tuple[str, str, Any, str]]:
    """(section, name, default, description) of every setting, in the order of SOURCES.

    Raises:
      ValueError: a setting that nothing is said of.
    """
    left = dict(_flatten(config.default_config()))
    rows = [
        (section, name, left.pop((section, name)), text)
        for section in SOURCES
        for name, text in describe_section(section).items()
        if (section, name) in left
    ]
    if left:
        missing = ", ".join(".".join(key).strip(".") for key in left)
        raise InputError(
            f"{missing}: no docstring says what it is; expected it under Attributes: of a spec or "
            "function that SOURCES in jaxvsnerf/settings.py lists for its section"
        )
    return rows


def _flatten(values: ConfigDict, section: str = "") -> Iterator[tuple[tuple[str, str], Any]]:
    for name in values:
        if isinstance(values[name], ConfigDict):
            yield from _flatten(values[name], f"{section}.{name}".strip("."))
        else:
            yield (section, name), values[name]


def write_markdown() -> str:
    """docs/settings.md."""
    rows: dict[str, list[tuple[str, Any, str]]] = {}
    for section, name, value, text in list_settings():
        rows.setdefault(section, []).append((name, value, text))
    stages = [section for section in rows if section.startswith("stage")]
    parts = [HEAD]
    for section in rows:
        if section in stages[1:]:
            continue
        columns = stages if section in stages else [section]
        parts.append(_table(columns, [rows[one] for one in columns]))
    return "\n".join(parts)


def _table(sections: list[str], columns: list[list[tuple[str, Any, str]]]) -> str:
    """A heading and a table; sections that share their settings have a column of defaults each."""
    title = ", ".join(f"`{section}`" for section in sections) if sections[0] else "The run"
    about = inspect.cleandoc(SOURCES[sections[0]][-1].__doc__).splitlines()[0]
    defaults = sections if len(sections) > 1 else ["default"]
    lines = [f"## {title}", "", *([about, ""] if sections[0] else [])]
    lines += ["| setting | " + " | ".join(defaults) + " | type | |"]
    lines += ["|---" * (len(defaults) + 3) + "|"]
    for row in zip(*columns, strict=True):
        (name, value, text), values = row[0], [_written(one[1]) for one in row]
        cells = [f"`{name}`", *(f"`{one}`" for one in values), _type(value), text]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    """A default as Python writes it."""
    if isinstance(value, tuple):
        return "(" + ",".join(repr(one) for one in value) + ")"
    return repr(value)


def _type(value: Any) -> str:
    return "number or None" if value is None else TYPES[type(value)]


def find_settings(names: Sequence[str]) -> str:
    """The settings whose names start as one of `names` does, as a terminal shows them.

    Raises:
      ValueError: a name fits none.
    """
    known = [
        (f"{section}.{name}".strip("."), value, text)
        for section, name, value, text in list_settings()
    ]
    lines = []
    for start in names:
        found = [one for one in known if one[0].startswith(start)]
        if not found:
            raise InputError(f"{start}: expected a setting or a section, such as mesh or loss.eps")
        for name, value, text in found:
            lines.append(f"{name} = {_written(value)}  ({_type(value)})")
            lines.append(textwrap.fill(text, 88, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(lines)
