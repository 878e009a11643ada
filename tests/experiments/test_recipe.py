"""What the recipe experiment tries."""

import csv
from pathlib import Path

import numpy as np
import pytest

from experiments.recipe.run import COLUMNS, VARIANTS, dataset_of
from experiments.speed.measure import changed
from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.run import assemble
from jaxvsnerf.study.objects import find_objects
from tests.study_objects import toy, write_pictures


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_a_config_that_trains(variant):
    made, values = VARIANTS[variant]
    config = resolve.resolve_config(changed(made(), values))
    assert resolve.stage_specs(config, 16) and assemble.make_field(config, 16)


def test_the_results_are_those_of_its_variants():
    path = Path(__file__).parents[2] / "experiments" / "recipe" / "results.csv"
    columns, *rows = csv.reader(path.open())
    assert tuple(columns) == COLUMNS and {row[0] for row in rows} == set(VARIANTS)


def test_truth_that_stands_alone_is_damaged_and_given_inputs_are_not(tmp_path):
    pictures = toy().truth.images[:4]
    write_pictures(tmp_path / "alone" / "gt", pictures)
    write_pictures(tmp_path / "given" / "gt", pictures)
    write_pictures(tmp_path / "given" / "inputs", pictures)
    config = default_config()
    config.data.update(rig="orbit", azimuth_deg=(0.0, 90.0, 180.0, 270.0), elevation_deg=(30.0,))
    config.data.update(distance=1.5, fov_deg=49.13)
    for item in find_objects([tmp_path])[0]:
        dataset = dataset_of(item, config)
        same = np.array_equal(dataset.inputs.images, dataset.truth.images)
        assert same == (item.name == "given")
