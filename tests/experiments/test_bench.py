"""The comparison of methods: every method trains, rows repeat, figures are what they say."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments.inconsistency_bench import (
    cases,
    methods,
    outside,
    plot,
    pool,
    settings,
    statistics,
    variants,
    zoomed,
)
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.geometry.cameras import orbit_cameras, take, transform_cameras
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.simulate.toy import toy_dataset
from jaxvsnerf.study.objects import find_objects
from jaxvsnerf.types import Similarity, ViewSet

TINY = {
    "field.depth": 3,
    "field.shared_layers": 2,
    "field.skip_layer": 2,
    "field.width": 16,
    "field.pos_freqs": 3,
    "field.num_heads": 2,
    "field.key_size": 4,
    "sampling.num_intervals": 8,
    "sampling.num_probes": 16,
    "sampling.grid_resolution": 16,
    "sampling.grid_cells": 256,
    "sampling.hull_dilate_px": 1,
    "sampling.near_px": 2,
    "render.num_intervals": 8,
    **{f"{stage}.rays": 128 for stage in ("stage1", "stage2", "stage3")},
}


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    """The toy as an object whose truth stands alone."""
    folder = tmp_path_factory.mktemp("objects")
    views = toy_dataset(32, 16, "clean").inputs
    for index, (image, mask) in enumerate(zip(views.images, views.masks, strict=True)):
        path = folder / "toy" / "gt" / f"{index:03d}.png"
        outside.write_picture(path, image, mask[..., None], views.background)
    (found,), _ = find_objects([folder])
    return found


def tiny_settings(name, **more):
    return {**methods.METHODS[name].settings, "length": 0.02, **TINY, **more}


@pytest.mark.slow
def test_methods_train_render_and_repeats_bit_by_bit(item, tmp_path):
    # The others are configs of what other tests train.
    names = ["trimmed", "deformed"]
    case = cases.Case(item, "medium", 4, 1)
    plan = {name: [tiny_settings(name)] for name in names}
    rows = sum(pool.work_through([case], plan, set(), "", "", 1), [])
    assert {row["method"] for row in rows} == {cases.INPUTS, *names} and len(rows) == 3
    assert all(5 < float(row["psnr"]) < 50 and row["lpips"] == "" for row in rows)
    cases.write_rows(tmp_path / "results.csv", rows)
    again = cases.read_rows(tmp_path / "results.csv")
    assert sorted(map(cases.row_key, again)) == sorted(map(cases.row_key, rows))
    done = {cases.row_key(row) for row in again}
    assert list(pool.work_through([case], plan, done, "", "", 1)) == []
    done = {key for key in done if key[4] != "trimmed"}
    ((repeated,),) = pool.work_through([case], plan, done, "", "", 1)
    (first,) = [row for row in rows if row["method"] == "trimmed"]
    assert repeated == {**first, "seconds": repeated["seconds"]}


def test_pictures_of_an_outside_program_are_scored(item, tmp_path):
    case = cases.Case(item, "mild", 4, 0)
    views, truth = cases.load_case(case)
    folder = outside.write_case(tmp_path, case, views, truth)
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    assert len(frames) == 4 and (folder / frames[3]["file_path"]).is_file()
    (folder / "theirs").mkdir()
    for index, image in enumerate(truth.images):
        pixels = np.round(255 * image).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "theirs" / f"{index:03d}.png")
    found = outside.outside_methods(str(tmp_path))
    assert list(found) == ["theirs"]
    row = cases.score_method(case, "theirs", {}, found["theirs"], None)
    # The truth to 8 bits: its error is uniform in half a level, 10 log10(12 * 255^2) = 58.9 dB
    # where the truth is not white.
    assert float(row["psnr"]) > 58
    other = cases.load_case(case._replace(seed=1))[0]
    with pytest.raises(ValueError, match="not among the cases"):
        found["theirs"](other, 0)


def test_a_case_holds_what_it_says(item):
    views, truth = cases.load_case(cases.Case(item, "clean", 4, 0))
    assert views.names == ("000", "004", "008", "012") and len(truth.images) == 16
    np.testing.assert_allclose(views.images, truth.images[::4], atol=0.5 / 255 + 1e-6)
    with pytest.raises(ValueError, match="expected pictures of a generator"):
        cases.load_case(cases.Case(item, "real", 16, 0))
    with pytest.raises(ValueError, match="divides 16, got 5"):
        cases.load_case(cases.Case(item, "clean", 5, 0))


def test_what_all_views_share_leaves_the_input_view_as_it_is(item):
    views, truth = cases.load_case(cases.Case(item, cases.COMMON, 16, 0))
    off = np.abs(views.images - truth.images).mean((1, 2, 3))
    # Bent along the input view's own line of sight.
    assert off.argmin() == 0 and off[0] < 0.6 * off[1:].mean()
    np.testing.assert_array_equal(views.input_axis, views.cameras.w2c[0, 2, :3])


def test_the_truth_finds_damage_and_the_pictures_themselves_find_none(item):
    views, truth = cases.load_case(cases.Case(item, "medium", 8, 0))
    # At 32 px a blur of an eighth of a pixel changes nothing.
    assert cases._finds_damage(truth.images, views, truth) == pytest.approx(1.0, abs=1e-3)
    own = np.repeat(views.images, 2, 0)
    assert cases._finds_damage(own, views, truth) == pytest.approx(0.5)
    clean = cases.load_case(cases.Case(item, "clean", 8, 0))
    assert cases._finds_damage(truth.images, *clean) is None
    # True views of other cameras, or fewer of them, say nothing of the damage.
    fewer = truth.replace(images=truth.images[:3], cameras=take(truth.cameras, [0, 1, 2]))
    assert cases._finds_damage(truth.images, views, fewer) is None
    # Without masks the background counts too, which no one damaged.
    bare = views.replace(masks=None)
    assert cases._finds_damage(truth.images, bare, truth) == pytest.approx(1.0, abs=1e-3)


def test_edges_are_where_pictures_change():
    images = np.zeros((1, 256, 256, 3), np.float32)
    images[0, :, 100:] = 1.0
    found = cases._edges(images)[0, 128]
    assert found.argmax() in (99, 100) and found[[80, 120]].max() < 1e-6


def test_a_zoomed_object_is_found_where_it_stands():
    cameras = orbit_cameras([22.5 * k for k in range(16)], 30.0, 1.5, 280.0, 256, 256)
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (400, 3)) * [1.0, 0.6, 0.8]
    boxes = np.round(zoomed.point_boxes(cameras, 0.9 * points + [0.02, -0.01, 0.03])).astype(int)
    masks = np.zeros((16, 256, 256))
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1.0
    np.testing.assert_array_equal(zoomed.mask_boxes(masks), boxes)
    views = ViewSet(None, masks, cameras, np.ones(3), ())
    found, off_px = zoomed.find_zoom(views, points)
    assert found.scale == pytest.approx(0.9, abs=2e-3) and off_px < 0.5
    np.testing.assert_allclose(found.translation, [0.02, -0.01, 0.03], atol=1e-3)


def test_a_zoomed_object_is_written_as_one_with_its_truth(tmp_path):
    data = toy_dataset(16, 4, "mild")
    data = data.replace(truth=toy_dataset(16, 4, "clean").inputs)
    moved = Similarity(np.float64(1.1), np.eye(3), np.array([0.02, 0.0, -0.01]))
    zoomed.write_object(tmp_path / "toy", data, moved)
    (found,), _ = find_objects([tmp_path])
    assert found.kind == "transforms" and found.inputs == "given"
    again = load_dataset(DataSpec(kind="transforms", path=found.path, similarity=(1, 0, 0, 0)))
    np.testing.assert_allclose(again.truth.cameras.w2c, data.truth.cameras.w2c, atol=1e-5)
    expected = transform_cameras(data.inputs.cameras, moved)
    np.testing.assert_allclose(again.inputs.cameras.w2c, expected.w2c, atol=1e-5)
    np.testing.assert_allclose(again.inputs.images, data.inputs.images, atol=1.01 / 255)


def test_tuning_takes_the_best_mean_over_the_objects(tmp_path):
    def row(name, value, psnr, views="16"):
        return {"object": name, "views": views, "method": "robust", "psnr": str(psnr)} | {
            "settings": json.dumps({"length": value})
        }

    rows = [row("a", 1, 30), row("b", 1, 20), row("a", 2, 26), row("b", 2, 25)]
    rows += [row("a", 3, 40), row("a", 4, 50, "4"), row("b", 4, 50, "4")]
    assert settings.best_settings(rows, 16) == {"robust": {"length": 2}}
    path = tmp_path / "tuned.json"
    settings.write_tuned(path, 16, {"robust": methods.METHODS["robust"].settings})
    settings.write_tuned(path, 4, {})
    assert settings.read_tuned(path, 16)["robust"] == methods.METHODS["robust"].settings
    settings.write_tuned(path, 4, {"robust": {"speed": 1}})
    with pytest.raises(ValueError, match="robust has other settings"):
        settings.read_tuned(path, 4)


def test_no_method_sees_more_rays_than_the_budget():
    for entry in variants.KNOWN.values():
        for one in entry.candidates():
            entry.make(one)
    with pytest.raises(ValueError, match="at most 4096000 rays"):
        methods.METHODS["plain"].make({**methods.METHODS["plain"].settings, "length": 1.1})


def scored(method, name, seed, psnr, **more):
    key = {"object": name, "severity": "medium", "views": "16", "seed": str(seed)}
    row = {**key, "method": method, "settings": "{}", "psnr": f"{psnr}", "ssim": "0.9"}
    rest = dict.fromkeys(("lpips", "finds_damage", "chamfer", "iou", "normal_deg"), "")
    return {**row, **rest, "seconds": "1.00", **more}


def test_differences_are_paired_by_object_and_seed():
    rows = [scored("plain", n, s, 20 + 5 * i + s) for i, n in enumerate("abc") for s in (0, 1)]
    # 1 dB better on a and b, 4 dB on c.
    gains = {"a": 1.0, "b": 1.0, "c": 4.0}
    rows += [
        scored("ours", r["object"], r["seed"], float(r["psnr"]) + gains[r["object"]]) for r in rows
    ]
    means = statistics.object_means(rows, "psnr")
    assert means["plain"] == {"a": 20.5, "b": 25.5, "c": 30.5}
    found = statistics.difference(means["ours"], means["plain"])
    assert (found.mean, found.objects, found.better) == (2.0, 3, 3)
    # Of the 27 draws of three, all a or b (8 of 27) has mean 1 and all c (1 of 27) mean 4.
    assert (found.low, found.high) == (1.0, 4.0)
    text = statistics.table(rows, "plain", ("plain", "ours"))
    assert "| ours | 27.50 | 0.9000 | - | +2.00 [+1.00, +4.00] |" in text
    assert statistics.bootstrap([0.3, 0.3, 0.3]) == pytest.approx((0.3, 0.3))
    chart = plot.interval_chart("a < b", "dB", [("ours", found)])
    assert "a &lt; b" in chart and chart.count("<circle") == 1
    with pytest.raises(ValueError, match="run the missing ones"):
        statistics.object_means(rows[:-1], "psnr")
    assert statistics.other_scores(rows, ()) == ""
    shaped = [{**row, "chamfer": "0.01"} if row["method"] == "ours" else row for row in rows]
    text = statistics.other_scores(shaped, ("plain", "ours"))
    assert text.splitlines()[0] == "| method | Chamfer |" and "| ours | 0.0100 |" in text


def test_results_are_merged_and_two_settings_of_a_method_refused(tmp_path):
    rows = [scored("plain", "a", seed, 20) for seed in (0, 1)]
    cases.write_rows(tmp_path / "one.csv", rows[:1])
    cases.write_rows(tmp_path / "two.csv", rows)
    assert len(statistics.merge([tmp_path / "one.csv", tmp_path / "two.csv"])) == 2
    cases.write_rows(tmp_path / "three.csv", [scored("plain", "b", 0, 20, settings='{"x": 1}')])
    with pytest.raises(ValueError, match="expected one setting"):
        statistics.merge([tmp_path / "one.csv", tmp_path / "three.csv"])
    with pytest.raises(FileNotFoundError, match="no results"):
        statistics.merge([tmp_path / "none.csv"])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected the columns object, severity"):
        statistics.merge([tmp_path / "other.csv"])
