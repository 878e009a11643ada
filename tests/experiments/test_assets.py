"""The assets experiment on a field in closed form."""

import numpy as np
import pytest

from experiments.assets import run as experiment
from jaxvsnerf.types import Dataset, ViewSet
from tests.run.test_asset import BallField, folder  # noqa: F401 - a fixture

pytest.importorskip("embreex")


def test_a_textured_ball_scores_nearly_as_its_field(folder, tmp_path, monkeypatch):  # noqa: F811
    field = BallField()
    images, white = field.render(field.cameras).rgb, np.ones(3, np.float32)
    # The truth is a little off what the field shows, as a truth is.
    truth = np.clip(images + np.float32([0.06, -0.06, 0.06]), 0, 1)
    views = ViewSet(truth, None, field.cameras, white, tuple("abcde"))
    monkeypatch.setattr(experiment, "read_pictures", lambda _: Dataset(views, views, None, None))
    monkeypatch.setattr(experiment, "load_stages", lambda *_, **__: {"stage1": field})
    chosen = ("texture", "vertex-colours")
    monkeypatch.setattr(experiment, "EXPORTS", {name: experiment.EXPORTS[name] for name in chosen})
    rows = {row["asset"]: row for row in experiment.table(folder, tmp_path / "out")}
    assert set(rows) == {"field", *chosen, *experiment.PAINTS}
    assert set().union(*rows.values()) == set(experiment.COLUMNS)
    # The ray caster smooths the silhouette's steps that this truth has, a pixel in 24 there.
    assert abs(rows["texture"]["minus_field"]) < 2.0 and rows["texture"]["watertight"]
    assert rows["texture"]["psnr"] == rows["field"]["psnr"] + rows["texture"]["minus_field"]
    # This field's colour changes with depth, and its surface is thin: all paints are near.
    assert all(row["psnr"] > rows["texture"]["psnr"] - 2.0 for row in rows.values())


def test_a_run_without_truth_is_refused(folder, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(experiment, "read_pictures", lambda _: Dataset(None, None, None, None))
    with pytest.raises(ValueError, match="truth pictures"):
        experiment.table(folder, tmp_path / "out")
