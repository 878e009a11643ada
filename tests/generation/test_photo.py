"""The photo's preparation, and the strip."""

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.sheets import read_strip
from jaxvsnerf.generation import photo
from jaxvsnerf.generation.strip import join_views, rank_samples
from jaxvsnerf.system.png import write_png


def cut_out(height=90, width=70, box=(10, 20, 50, 60)):
    """A red rectangle (left, top, right, bottom) on transparent green."""
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[..., 1] = 255
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = (255, 0, 0, 255)
    return pixels


@pytest.fixture(scope="module")
def fixture(data_folder):
    path = data_folder / "syncdreamer_parity" / "preprocess.npz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return np.load(path)


@pytest.mark.parametrize("crop_size, name, stride", [(200, "crop200", 1), (-1, "crop_none", 2)])
def test_a_photo_is_prepared_as_syncdreamer_prepares_it(fixture, crop_size, name, stride):
    prepared = photo.prepare_photo(fixture["rgba"], crop_size)
    assert prepared.shape == (256, 256, 3) and prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared[::stride, ::stride], fixture[name])


def test_the_object_is_scaled_and_centred_on_white():
    prepared = photo.prepare_photo(cut_out(box=(10, 20, 31, 61)), 160)
    assert prepared.min() >= -1 and prepared.max() == 1
    rows, columns = np.nonzero(prepared[..., 1] < 0)
    # 21 x 41 pixels, of which a row and a column are lost: 20 x 40 become 80 x 160.
    assert (columns.min(), columns.max()) == (88, 167) and (rows.min(), rows.max()) == (48, 207)
    np.testing.assert_array_equal(prepared[0, 0], 1)
    np.testing.assert_allclose(prepared[128, 128], [1, -1, -1])
    # The transparent pixels' green does not leak into the border.
    assert (prepared[..., 1] <= prepared[..., 0] + 1e-6).all()


def test_where_the_object_stood_does_not_matter_but_for_the_whole_picture():
    first, second = cut_out(), cut_out(box=(0, 0, 40, 40))
    np.testing.assert_array_equal(*map(photo.prepare_photo, (first, second)))
    assert np.abs(photo.prepare_photo(first, -1) - photo.prepare_photo(second, -1)).max() > 1


@pytest.mark.parametrize("crop_size", [0, -2, 15, 257])
def test_a_crop_size_that_does_not_fit_is_refused(crop_size):
    with pytest.raises(ValueError, match="crop_size"):
        photo.prepare_photo(cut_out(), crop_size)


def test_photos_without_an_object_say_what_is_needed(tmp_path):
    def saved(pixels, name="photo.png"):
        Image.fromarray(pixels).save(tmp_path / name)
        return tmp_path / name

    pixels = cut_out()
    np.testing.assert_array_equal(photo.read_photo(saved(pixels)), pixels)
    for changed, message in (
        (pixels[..., :3], "no alpha channel"),
        (pixels * np.uint8([1, 1, 1, 0]), "shows no object"),
        (pixels | np.uint8([0, 0, 0, 255]), "background is not removed"),
    ):
        with pytest.raises(ValueError, match=f"{message}.*--cutout=u2netp.*jaxvsnerf.cutout"):
            photo.read_photo(saved(changed))
    path = saved(pixels)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match="damaged"):
        photo.read_photo(path)
    with pytest.raises(FileNotFoundError):
        photo.read_photo(tmp_path / "absent.png")
    with pytest.raises(ValueError, match="too thin"):
        photo.prepare_photo(cut_out(box=(10, 20, 11, 60)))


def test_elevations_are_degrees_above_the_horizon():
    assert photo.check_elevation(30) == "" == photo.check_elevation(-10)
    assert "-10, 40" in photo.check_elevation(60)
    for value in (91, -90.5, float("nan")):
        with pytest.raises(ValueError, match="elevation_deg"):
            photo.check_elevation(value)


def test_a_strip_is_read_back_view_by_view(tmp_path):
    views = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8)
    strip = join_views(views)
    assert strip.shape == (8, 128, 3)
    write_png(tmp_path / "strip.png", strip / np.float32(255))
    read = read_strip(tmp_path / "strip.png").pictures
    for view, picture in zip(views, read, strict=True):
        np.testing.assert_array_equal(np.round(picture.rgb * 255), view)


def test_samples_are_ranked_by_their_score():
    samples = [np.full((2, 4, 4, 3), value, np.uint8) for value in (3, 9, 1)]
    assert rank_samples(samples, np.mean) == ([1, 0, 2], [9.0, 3.0, 1.0])
    assert rank_samples(samples, lambda views: 0)[0] == [0, 1, 2]
    with pytest.raises(ValueError, match="NaN|nan"):
        rank_samples(samples, lambda views: np.nan)
