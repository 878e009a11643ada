"""Cutting the object out of a photo, mostly with a stand-in for the model."""

import sys

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.generation import cutout, photo
from tests import commands


def red_is_object(rgb):
    """A model that takes what is red."""
    return np.clip((rgb[..., 0].astype(np.float32) - rgb[..., 1]) / 255.0, 0.0, 1.0)


STAND_IN = cutout.Remover(red_is_object, lambda colors, alpha: colors)


def scene(height=60, width=90, box=(20, 15, 50, 40)):
    """A red rectangle (left, top, right, bottom) on grey, [height, width, 3] uint8."""
    pixels = np.full((height, width, 3), 120, np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = (255, 0, 0)
    return pixels


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_an_opaque_photo_is_cut_out_and_one_with_alpha_is_left_alone(tmp_path):
    pixels = scene()
    cut = photo.read_photo(saved(tmp_path / "opaque.png", pixels), STAND_IN)
    np.testing.assert_array_equal(cut[..., :3], pixels)
    np.testing.assert_array_equal(cut[..., 3] == 255, pixels[..., 0] == 255)
    own = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    own[:30, :, 3] = 0
    np.testing.assert_array_equal(photo.read_photo(saved(tmp_path / "own.png", own), STAND_IN), own)


def test_the_second_look_is_at_the_object_alone():
    seen = []

    def opacity(rgb):
        seen.append(rgb.shape[:2])
        return red_is_object(rgb)

    cutout.cut_out(scene() / 255.0, cutout.Remover(opacity, STAND_IN.colors), "photo")
    # A quarter of 30, rounded down, on every side of 30 x 25 pixels.
    assert seen == [(60, 90), (25 + 14, 30 + 14)]


def test_a_photo_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side
    path = saved(tmp_path / "turned.png", np.rot90(scene()), exif=exif)
    cut = photo.read_photo(path, STAND_IN)
    assert cut.shape[:2] == (60, 90)
    np.testing.assert_array_equal(cut[..., 3] == 255, scene()[..., 0] == 255)


def test_a_large_photo_is_shrunk():
    cut = cutout.cut_out(scene(1500, 4096, (400, 300, 2400, 900)) / 255.0, STAND_IN, "photo")
    assert cut.shape == (750, 2048, 4)
    assert np.count_nonzero(cut[..., 3] > 127) == pytest.approx(1000 * 300, rel=0.01)


@pytest.mark.parametrize(
    "box, message", [((0, 15, 30, 40), "left border"), ((0, 0, 0, 0), "no object was found")]
)
def test_photos_that_cannot_be_cut_out_say_why(tmp_path, box, message):
    path = saved(tmp_path / "photo.png", scene(box=box))
    with pytest.raises(ValueError, match=message):
        photo.read_photo(path, STAND_IN)


def test_a_model_that_is_sure_of_nothing_found_nothing():
    vague = cutout.Remover(lambda rgb: np.full(rgb.shape[:2], 0.6, np.float32), STAND_IN.colors)
    with pytest.raises(ValueError, match="no object was found"):
        cutout.cut_out(scene() / 255.0, vague, "photo")


def test_sides_that_cut_an_object_are_named():
    alpha = np.zeros((10, 10), np.uint8)
    assert cutout.cut_sides(alpha) == ()
    alpha[4:, 3] = 255
    assert cutout.cut_sides(alpha) == ("bottom",)
    alpha[5, 3:] = 255
    assert cutout.cut_sides(alpha) == ("bottom", "right")


def test_without_the_extra_its_pip_line_is_named(monkeypatch):
    for module in ("onnxruntime", "pymatting", "rembg"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'jaxvsnerf\[photo\]'"):
        cutout.load_remover("u2netp")


def test_a_model_that_is_missing_or_damaged_says_how_to_get_it(monkeypatch, tmp_path):
    pooch = pytest.importorskip("pooch", reason="the extra `photo` is not installed")
    for module in ("onnxruntime", "pymatting", "rembg"):
        pytest.importorskip(module, reason="the extra `photo` is not installed")

    def offline(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", offline)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"u2netp.onnx into {tmp_path}.*U2NET_HOME.*PyPI"):
        cutout.load_remover("u2netp")
    (tmp_path / "u2netp.onnx").write_bytes(b"no model")
    for model in ("u2netp", str(tmp_path / "u2netp.onnx")):
        with pytest.raises(ValueError, match="cannot be read"):
            cutout.load_remover(model)
    with pytest.raises(FileNotFoundError, match="no model at"):
        cutout.load_remover(str(tmp_path / "absent.onnx"))
    with pytest.raises(ValueError, match="one of rembg's models.*u2netp.*got 'nonsense'"):
        cutout.load_remover("nonsense")


def test_the_command_refuses_what_it_cannot_do(tmp_path):
    there = saved(tmp_path / "there.png", scene())
    clear = saved(tmp_path / "clear.png", np.zeros((8, 8, 4), np.uint8))
    cases = (
        ((), "expected a photo"),
        ((str(there), "--out=cut.jpg"), "ends in .png"),
        ((str(there), f"--out={there}"), "exists already"),
        ((str(clear), f"--out={tmp_path / 'cut.png'}"), "transparent background already"),
    )
    refused = commands.run_each(*(("cutout", *arguments) for arguments, _ in cases))
    for (_, message), done in zip(cases, refused, strict=True):
        assert done.returncode == 1 and message in done.stderr, done.stderr
