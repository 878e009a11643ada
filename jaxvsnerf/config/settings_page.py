"""The settings as a page and as a terminal shows them, from the specs and the default config."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.sections import SECTIONS, STAGES
from jaxvsnerf.errors import InputError
from jaxvsnerf.system.settings import Declared, expected, shown

HEAD = """\
# Every setting

Made from the source by `python -m jaxvsnerf.settings > docs/settings.md`; change the specs there,
not this page. `python -m jaxvsnerf.settings mesh` prints a part of the page.

Each setting is a flag of every command that takes `--config=NAME`, and a field of the config in a
file: `--config.mesh.faces=50000` or `config.mesh.faces = 50000`. Lists are written
`--config.data.views="(0,4,8,12)"`. The defaults below are those of `configs/syncdreamer.py`;
other files under `configs/` change some. A run keeps the settings as they were asked in its
`config.json`, and as they were trained, with nothing left open, in its `resolved.json`.
Lengths are in sides of the object's cube, colours in [0, 1], angles in degrees.
"""


class Row(NamedTuple):
    """A setting with its default.

    Attributes:
      section: name of the section, '' for the config itself.
      name: within the section.
      value: the default of the recommended config.
      declared: type, range and words.
    """

    section: str
    name: str
    value: Any
    declared: Declared

    @property
    def full_name(self) -> str:
        """The name as a flag has it, without `config.`."""
        return f"{self.section}.{self.name}".lstrip(".")

    @property
    def accepted(self) -> str:
        """The accepted values in words, without an article."""
        return expected(self.declared, auto=True).removeprefix("a ")

    @property
    def text(self) -> str:
        """The description, with what an open value becomes."""
        setting = self.declared.setting
        if setting.auto is None:
            return setting.text
        return f"{setting.text} `{shown(setting.auto.value)}` becomes {setting.auto.text}."


def list_settings() -> list[Row]:
    """Every setting, in the order of the sections."""
    config, rows = default_config(), []
    for section in SECTIONS:
        values = config
        for part in filter(None, section.split(".")):
            values = values[part]
        settings = SECTIONS[section].settings
        rows += [Row(section, name, values[name], one) for name, one in settings.items()]
    return rows


def write_markdown() -> str:
    """The text of docs/settings.md; the stages share a table."""
    rows: dict[str, list[Row]] = {}
    for row in list_settings():
        rows.setdefault(row.section, []).append(row)
    tables = [
        _table([rows[one] for one in (STAGES if section in STAGES else (section,))])
        for section in rows
        if section not in STAGES[1:]
    ]
    return "\n".join([HEAD, *tables])


def _table(sections: list[list[Row]]) -> str:
    """A heading and a table; sections of the same settings have a column of defaults each."""
    names = [rows[0].section for rows in sections]
    title = ", ".join(f"`{name}`" for name in names) if names[0] else "The run"
    about = [SECTIONS[names[0]].text, ""] if names[0] else []
    defaults = names if len(names) > 1 else ["default"]
    lines = [f"## {title}", "", *about]
    lines += ["| setting | " + " | ".join(defaults) + " | accepted | |"]
    lines += ["|---" * (len(defaults) + 3) + "|"]
    for columns in zip(*sections, strict=True):
        row, values = columns[0], [f"`{_written(one.value)}`" for one in columns]
        cells = [f"`{row.name}`", *values, row.accepted, row.text]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    """A default as Python writes it."""
    if isinstance(value, tuple):
        return "(" + ",".join(repr(one) for one in value) + ")"
    return repr(value)


def find_settings(names: Sequence[str]) -> str:
    """The settings whose names start as one of `names` does, as a terminal shows them.

    Raises:
      InputError: a name fits no setting.
    """
    known, lines = list_settings(), []
    for start in names:
        found = [row for row in known if row.full_name.startswith(start)]
        if not found:
            raise InputError(f"{start}: expected a setting or a section, such as mesh or loss.eps")
        for row in found:
            lines.append(f"{row.full_name} = {_written(row.value)}  ({row.accepted})")
            lines.append(
                textwrap.fill(row.text, 88, initial_indent="    ", subsequent_indent="    ")
            )
    return "\n".join(lines)
