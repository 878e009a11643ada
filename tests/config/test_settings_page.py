"""The page of settings: as the source says, complete, and its ranges are those enforced."""

import re

import pytest

from jaxvsnerf.config import resolve
from jaxvsnerf.config import settings_page as settings
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.run import assemble
from tests.conftest import ROOT

RANGE = re.compile(r"(?<![\w.-])(\d+) to (\d+)(?![\w^])")


def outside(value, text):
    """Values that a description says are refused."""
    least = [int(n) for n in re.findall(r"[Aa]t least (\d+)", text)]
    least += [int(low) for low, _ in RANGE.findall(text)]
    most = [int(high) for _, high in RANGE.findall(text)]
    # Two below: one below may have a meaning of its own, as 0 rays and -1 have.
    bad = [n - 2 for n in least] + [n + 1 for n in most]
    bad += [int(n) for n in re.findall(r"(?:above|below) (\d+)\b", text)]
    return [type(value)(number) for number in bad]


RANGES = [
    (f"{section}.{name}".strip("."), number)
    for section, name, value, text in settings.list_settings()
    if isinstance(value, int | float) and not isinstance(value, bool)
    for number in outside(value, text)
]


def test_the_page_of_settings_is_what_the_source_says():
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == settings.write_markdown(), (
        "docs/settings.md is out of date: python -m jaxvsnerf.settings > docs/settings.md"
    )


def test_a_setting_without_a_word_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(settings.SOURCES, "mesh", ())
    with pytest.raises(ValueError, match="mesh.faces.*no docstring says what it is"):
        settings.list_settings()


def test_ranges_are_found():
    assert len(RANGES) > 50


def build(changes):
    config = default_config()
    config.data.path, config.field.dtype = "x", "float32"
    config.update_from_flattened_dict(changes)
    resolve.data_spec(config)
    resolve.toy_spec(config)
    assemble.make_trainer(config, 4, assemble.make_grid(config, None))
    resolve.check_outputs(config)


@pytest.mark.parametrize("name, number", RANGES)
def test_a_value_outside_the_range_that_is_told_is_refused(name, number):
    build({})
    with pytest.raises(ValueError):
        build({name: number})


def test_the_start_of_a_name_finds_settings():
    said = settings.find_settings(["mesh.f", "loop"])
    assert said.startswith("mesh.faces = 20000  (whole number)\n    most triangles")
    assert "loop.report_every = 50" in said
    with pytest.raises(ValueError, match="colour: expected a setting"):
        settings.find_settings(["colour"])
