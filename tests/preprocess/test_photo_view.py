"""The photo as one more view: its camera, its pixels in the table, a run with it."""

import jax
import numpy as np
import pytest
from PIL import Image

from configs import smoke
from jaxvsnerf.config import resolve
from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.geometry.cameras import identity_similarity, orbit_cameras, project
from jaxvsnerf.preprocess import outlines, photo_view
from jaxvsnerf.run import assemble, dataset
from jaxvsnerf.run.dataset import add_photo, load_dataset
from jaxvsnerf.run.job import train_run
from jaxvsnerf.run.page import report_run
from jaxvsnerf.run.pictures import look, render_run
from jaxvsnerf.run.scene_file import load_scene, save_scene
from jaxvsnerf.run.workdir import save_config
from jaxvsnerf.simulate.toy import render_toy
from jaxvsnerf.system.png import write_png
from jaxvsnerf.training.batch import draw_batch
from jaxvsnerf.training.rays import build_all_tables, build_ray_table
from jaxvsnerf.training.trust import view_trust
from jaxvsnerf.types import Dataset, Photo
from tests.tiny import make_views
from tests.toy_views import toy_views

WIDTH, HEIGHT = 200, 170


@pytest.fixture(scope="module")
def views():
    """Eight clean views of the toy, 64x64; view 0 is the input's."""
    return toy_views("clean")[0]


@pytest.fixture(scope="module")
def true_camera():
    """A photo's camera: view 0's, zoomed by 2.6, its middle elsewhere."""
    camera = orbit_cameras([0.0], 30.0, 1.5, 182.0, WIDTH, HEIGHT)
    camera.intrinsics[:, :2, 2] = (88.0, 95.0)
    return camera


@pytest.fixture(scope="module")
def photo_file(true_camera, tmp_path_factory):
    """The toy's picture from there, cut out."""
    image, mask = render_toy(true_camera, np.zeros(3), supersample=2)
    straight = np.minimum(image[0] / np.maximum(mask[0], 1e-6)[..., None], 1.0)
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    write_png(path, np.dstack([straight, mask[0]]))
    return path


def test_the_camera_of_a_photo_is_found_from_its_outline(views, true_camera, photo_file):
    photo = photo_view.load_photo(photo_file, views, 30.0, 2.0, 0.04)
    assert photo.overlap > 0.95 and photo.best_deg == 30.0
    # The picture begins where its object's margin does: the same shift for all points.
    mask = np.asarray(Image.open(photo_file))[..., 3] > 127
    rows, columns = np.nonzero(mask)
    room = int(0.1 * max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    begin = np.array([columns.min() - room, rows.min() - room])
    corners = np.stack(np.meshgrid(*3 * [[-0.3, 0.3]]), -1).reshape(-1, 3)
    found, true = (
        project(np.asarray(c.intrinsics)[0], np.asarray(c.w2c)[0], corners)[0]
        for c in (photo.view.cameras, true_camera)
    )
    assert np.abs(np.asarray(found) + begin - np.asarray(true)).max() < 1.5
    np.testing.assert_array_equal(photo.view.cameras.w2c, true_camera.w2c)
    assert photo.view.masks.shape[1:] == (
        np.ptp(rows) + 1 + 2 * room,
        np.ptp(columns) + 1 + 2 * room,
    )


def test_scale_and_shift_are_found_in_closed_form_and_a_speck_moves_neither():
    seen = np.zeros((80, 80), bool)
    seen[20:50, 30:40] = True
    seen[20:24, 30:60] = True
    mask = np.zeros((150, 170), np.float32)
    # Twice as large: (30, 20) moves to (40, 10), so the shift is (-20, -30).
    mask[10:70, 40:60] = 1
    mask[10:18, 40:100] = 1
    placed = outlines.place_roughly(mask, seen)
    assert placed.scale == pytest.approx(2.0)
    np.testing.assert_allclose(placed.shift, [-20, -30])
    assert placed.overlap == pytest.approx(1.0)
    mask[130, 150] = 1  # it moves the bounding box
    mended = outlines.place_outlines(mask, seen)
    assert mended.overlap > 0.97
    assert mended.scale == pytest.approx(2.0, rel=0.02)
    np.testing.assert_allclose(mended.shift, [-20, -30], atol=2.5)


def test_a_wrong_elevation_is_told_the_right_one_and_another_object_is_refused(
    views, photo_file, tmp_path
):
    photo = photo_view.load_photo(photo_file, views, 0.0, 1.0, 0.04)
    assert photo.best_deg == 30.0 and photo.best_overlap > photo.overlap + 0.02
    other = np.zeros((90, 90, 4), np.uint8)
    other[40:44, 5:80] = 255  # a rod
    Image.fromarray(other).save(tmp_path / "rod.png")
    with pytest.raises(ValueError, match="does not fit the views.*overlaps"):
        photo_view.load_photo(tmp_path / "rod.png", views, 30.0, 1.0, 0.04)


def test_a_view_that_is_left_out_says_nothing_of_the_camera(views, photo_file):
    whole = photo_view.load_photo(photo_file, views, 30.0, 1.0, 0.04)
    images, masks = np.array(views.images), np.array(views.masks)
    images[3], masks[3] = np.roll(images[3], 20, 0), np.roll(masks[3], 20, 0)
    weights = np.ones(len(masks), np.float32)
    weights[3] = 0.0
    moved = views.replace(images=images, masks=masks, weights=weights)
    photo = photo_view.load_photo(photo_file, moved, 30.0, 1.0, 0.04)
    assert photo.overlap > whole.overlap - 0.05


def test_photos_and_views_that_cannot_be_used_say_why(views, photo_file, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with pytest.raises(ValueError, match="jaxvsnerf.cutout"):
        photo_view.load_photo(tmp_path / "noise.png", views, 30.0, 1.0, 0.04)
    Image.fromarray(np.zeros((40, 40, 4), np.uint8)).save(tmp_path / "empty.png")
    with pytest.raises(ValueError, match="no object"):
        photo_view.load_photo(tmp_path / "empty.png", views, 30.0, 1.0, 0.04)
    for changed in (views.replace(masks=None), views.replace(input_axis=None)):
        with pytest.raises(ValueError, match="data.mask or data.input_view"):
            photo_view.load_photo(photo_file, changed, 30.0, 1.0, 0.04)
    down = views.replace(input_axis=np.float32([0, 0, -1]))
    with pytest.raises(ValueError, match="azimuth is unknown"):
        photo_view.load_photo(photo_file, down, 30.0, 1.0, 0.04)
    for changes, message in (
        ({}, "input_elevation_deg must be given"),
        ({"input_elevation_deg": 100.0}, "-90 to 90 degrees"),
        ({"input_elevation_deg": 30.0, "photo_weight": 0.0}, "photo_weight"),
    ):
        with pytest.raises(ValueError, match=message):
            DataSpec("toy", photo="photo.png", **changes)


def test_a_photo_before_one_colour_is_as_one_cut_out(photo_file, tmp_path):
    with Image.open(photo_file) as cut:
        green = Image.new("RGBA", cut.size, (0, 200, 0))
        Image.alpha_composite(green, cut).convert("RGB").save(tmp_path / "green.png")
    white = np.ones(3, np.float32)
    _, mask = photo_view.read_object(photo_file, white, 0.04)
    _, keyed = photo_view.read_object(tmp_path / "green.png", white, 0.04)
    assert np.mean((keyed > 0.5) & (mask > 0.5)[: len(keyed)]) > 0.3
    assert abs(keyed.sum() / mask.sum() - 1) < 0.05


def test_a_photo_whose_alpha_says_nothing_is_cut_out_by_its_background(tmp_path):
    pixels = np.full((40, 40, 4), 255, np.uint8)
    pixels[10:30, 12:28, :3] = 90
    Image.fromarray(pixels[..., :3]).save(tmp_path / "plain.png")
    pixels[0, ::7, 3] = 254
    Image.fromarray(pixels).save(tmp_path / "nearly.png")
    white = np.ones(3, np.float32)
    for name in ("plain.png", "nearly.png"):
        _, mask = photo_view.read_object(tmp_path / name, white, None)
        assert mask.shape == (24, 20) and mask.sum() == 20 * 16


def test_large_photos_shrink_by_area_and_their_cameras_with_them(views):
    array = np.random.default_rng(0).random((40, 60, 3), np.float32)
    small = photo_view.shrink_to(array, 20)
    blocks = array[:39].reshape(13, 3, 20, 3, 3).mean((1, 3))
    assert small.shape == (13, 20, 3) and np.abs(small - blocks).mean() < 0.1
    np.testing.assert_allclose(small.mean(), array.mean(), atol=1e-3)
    np.testing.assert_array_equal(photo_view.shrink_to(array, 60), array)
    one = views.replace(
        images=views.images[:1],
        masks=views.masks[:1],
        cameras=views.cameras.replace(
            intrinsics=views.cameras.intrinsics[:1], w2c=views.cameras.w2c[:1]
        ),
    )
    half = photo_view.shrink_view(one, 32)
    np.testing.assert_allclose(half.images[0, 0, 0], one.images[0, :2, :2].mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(half.cameras.intrinsics[0, :2], one.cameras.intrinsics[0, :2] / 2)
    assert (half.cameras.width, half.cameras.height) == (32, 32)


@pytest.fixture(scope="module")
def mixed():
    """Three views of 12x12 and a photo of 15x20 (height x width), twice as large."""
    views = make_views()
    views = views.replace(input_axis=np.float32([-1, 0, 0]))
    rng = np.random.default_rng(0)
    camera = orbit_cameras([0], 30, 1.5, 26.0, 20, 15)
    mask = np.zeros((1, 15, 20), np.float32)
    mask[0, 6:9, 8:12] = 1
    images = rng.random((1, 15, 20, 3), np.float32)
    photo = views.replace(images=images, masks=mask, cameras=camera, names=("photo",))
    return views, Photo(photo, 3.0, 0.8, 30.0, 0.9)


def test_a_table_of_two_sizes_holds_every_pixel_of_both(mixed):
    views, photo = mixed
    table = build_all_tables(views, photo.view, 1)
    assert len(table.pixels) == 3 * 144 + 300 and table.counts.sum() == len(table.pixels)
    pictures = [*zip(views.images, views.masks, strict=True)]
    pictures.append((photo.view.images[0], photo.view.masks[0]))
    for (near, far), counts, (image, mask) in zip(
        table.starts, table.counts, pictures, strict=True
    ):
        rows = np.r_[near : near + counts[0], far : far + counts[1]]
        column, line = (table.pixels[rows] - 0.5).astype(int).T
        assert len({*zip(line, column, strict=True)}) == mask.size == len(rows)
        np.testing.assert_array_equal(table.rgb[rows], image[line, column])
        np.testing.assert_array_equal(table.mask[rows], mask[line, column])
    # A pixel near the views' masks is two of the photo's: 3 x 4 grow to 7 x 8.
    assert table.counts[-1, 0] == 56


def test_without_a_photo_nothing_changes(mixed):
    views, photo = mixed
    own, alone = build_all_tables(views, None, 1), build_ray_table(views, 1)
    both = build_all_tables(views, photo.view, 1)
    for name in ("pixels", "rgb", "mask", "starts", "counts"):
        np.testing.assert_array_equal(getattr(own, name), getattr(alone, name))
        np.testing.assert_array_equal(
            getattr(both, name)[: len(getattr(alone, name))], getattr(alone, name)
        )
    assert photo_view.all_cameras(views, None) is views.cameras


def test_a_photo_has_its_own_weight():
    axes = np.float32([[-1, 0, 0], [1, 0, 0]])
    trust = view_trust(axes, axes[0], 1.5, None, 3.0)
    # It shows what the input view shows, three times as well.
    assert trust[2] / trust[0] == pytest.approx(3.0) and trust.mean() == pytest.approx(1.0)
    plain = view_trust(axes, axes[0], 1.5)
    assert trust[0] / trust[1] == pytest.approx(plain[0] / plain[1])
    np.testing.assert_allclose(view_trust(axes, axes[0], 0.0, None, 3.0), [0.6, 0.6, 1.8])


@pytest.mark.slow
def test_a_field_has_a_branch_for_the_photo_and_shows_it(mixed, tmp_path):
    views, photo = mixed
    dataset = Dataset(views, None, None, identity_similarity(), photo=photo)
    save_scene(tmp_path, dataset)
    saved = load_scene(tmp_path)
    cameras, background, photo_camera = saved.cameras, saved.background, saved.photo
    assert (cameras.width, cameras.height) == (12, 12)
    own = photo.view.cameras
    np.testing.assert_array_equal(cameras.w2c, np.concatenate([views.cameras.w2c, own.w2c]))
    np.testing.assert_array_equal(cameras.intrinsics[:3], views.cameras.intrinsics)
    # 20 x 15 fits into 12 x 12 at a scale of 0.6, so that K is (15.6, 15.6), its middle (6, 6).
    np.testing.assert_allclose(cameras.intrinsics[3], [[15.6, 0, 6], [0, 15.6, 6], [0, 0, 1]])
    np.testing.assert_array_equal(photo_camera.intrinsics, own.intrinsics)
    assert (photo_camera.width, photo_camera.height) == (20, 15)
    config = smoke.get_config()
    config.stage2.steps = config.stage3.steps = 0
    config.render.turntable_size = 12  # the views' size: one program for both
    config = resolve.resolve_config(config)
    save_config(tmp_path, config, config)
    grid = assemble.make_grid(config, views)
    trainer = assemble.make_trainer(config, len(cameras.w2c), grid, jax.local_devices()[:1])
    scene = assemble.make_scene(config, views, trainer.devices, photo)
    batch = draw_batch(scene, jax.random.key(0), 0, 5, 1, trainer.spec, None)
    assert batch.rgb.shape == (4, 5, 3)
    # Training rays start from the photo's own pixels, which are half as wide.
    np.testing.assert_array_equal(np.asarray(scene.cameras.intrinsics)[3:], own.intrinsics)
    np.testing.assert_allclose(batch.rays.radii[3], batch.rays.radii[0] / 2, rtol=1e-6)
    stage = trainer.stages[0]
    state = trainer.initial_state(stage, None)
    field = assemble.trained_field(config, trainer, stage, state, cameras, background)
    shown = look(dataset, field)
    assert shown.photo.rgb.shape == (1, 15, 20, 3)
    render_run(tmp_path, dataset, field, shown)
    with Image.open(tmp_path / "renders" / "photo.png") as picture:
        assert picture.size == (4 * 20 + 3 * 4, 15)
    pictures = {"stage1": shown.inputs}
    report_run(tmp_path, dataset, {"stage1": field}, pictures, shown, {}, "no <surface> there")
    page = (tmp_path / "report.html").read_text()
    assert "The photo was one more view" in page
    assert "An elevation of 30 degrees would fit better: 0.90" in page
    assert "No mesh" in page and "no &lt;surface&gt; there" in page


def test_a_bad_photo_is_refused_before_anything_is_written(views, photo_file, tmp_path):
    strip = np.concatenate(views.images, axis=1)
    write_png(tmp_path / "strip.png", strip)
    rod = np.zeros((90, 90, 4), np.uint8)
    rod[40:44, 5:80] = 255
    Image.fromarray(rod).save(tmp_path / "rod.png")
    data = {
        "kind": "strip",
        "path": str(tmp_path / "strip.png"),
        "rig": "orbit",
        "azimuth_deg": tuple(45.0 * k for k in range(8)),
        "elevation_deg": (30.0,),
        "distance": 1.5,
        "fov_deg": float(2 * np.rad2deg(np.arctan(32 / 70))),
        "input_view": 0,
        "input_elevation_deg": 30.0,
    }
    config = resolve.with_data(default_config(), {**data, "photo": str(tmp_path / "rod.png")})
    with pytest.raises(ValueError, match="does not fit"):
        train_run(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    with pytest.raises(FileNotFoundError):
        dataset.load_pictures(resolve.with_data(config, {"photo": str(tmp_path / "absent.png")}))
    spec = DataSpec(**data, photo=str(photo_file), photo_weight=2.0)
    photo = add_photo(load_dataset(spec), spec).photo
    assert photo.weight == 2.0 and photo.overlap > 0.9
