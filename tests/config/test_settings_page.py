"""The page of settings: as the specs say, complete, and printed in parts."""

import pytest

from jaxvsnerf.config import settings_page as settings
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.files import to_plain
from jaxvsnerf.errors import InputError
from tests.conftest import ROOT


def test_the_page_of_settings_is_what_the_source_says():
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == settings.write_markdown(), (
        "docs/settings.md is out of date: python -m jaxvsnerf.settings > docs/settings.md"
    )


def flat(values, section=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{section}{name}.")
        else:
            yield section + name


def test_the_page_lists_every_setting_once_with_a_sentence():
    rows = settings.list_settings()
    assert sorted(row.full_name for row in rows) == sorted(flat(to_plain(default_config())))
    for row in rows:
        assert row.text[0].isupper() or row.text[0] in "`(", row.full_name
        assert row.text.endswith("."), row.full_name


def test_what_an_open_value_becomes_is_said():
    said = settings.find_settings(["stage2.rays"])
    assert said.startswith("stage2.rays = 0  (whole number of 1 to 4194304, or 0)\n")
    assert "`0` becomes 256 rays of each view." in said


def test_the_start_of_a_name_finds_settings():
    said = settings.find_settings(["mesh.f", "loop"])
    assert said.startswith("mesh.faces = 20000  (whole number of 4 to 10000000)\n    Largest")
    assert "loop.report_every = 50" in said
    with pytest.raises(InputError, match="colour: expected a setting"):
        settings.find_settings(["colour"])
