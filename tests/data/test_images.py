"""data/images.py: pictures from files that may be anything."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.images import (
    Picture,
    composite,
    list_pictures,
    natural_key,
    read_picture,
    shrink,
    shrink_picture,
)


def _png_header(width, height):
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# 60000^2 is beyond Pillow's error limit, 10001^2 between its warning limit and that one,
# 8192^2 being ours.
@pytest.mark.parametrize("side", [60000, 10001, 8193])
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_header(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="bomb.png is too large.*at most 67108864 pixels"):
            read_picture(path)


def test_the_pixel_cap_is_a_parameter(tmp_path):
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="claims 10 x 10 pixels, at most 99"):
        read_picture(tmp_path / "a.png", max_pixels=99)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_truncated_picture_is_refused_by_name(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="cut.*(truncated or damaged|not a readable picture)"):
        read_picture(path)


def test_an_empty_file_is_refused_by_name(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ValueError, match="empty.png is not a readable picture"):
        read_picture(tmp_path / "empty.png")


def test_other_formats_are_refused_even_under_a_png_name(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png", format="BMP")
    with pytest.raises(ValueError, match="x.png is not a readable picture: expected PNG"):
        read_picture(tmp_path / "x.png")


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no picture at .*nothing.png"):
        read_picture(tmp_path / "nothing.png")


def test_16_bit_grey_keeps_its_range(tmp_path):
    Image.fromarray(np.array([[0, 65535], [32768, 257]], np.uint16)).save(tmp_path / "g.png")
    picture = read_picture(tmp_path / "g.png")
    # 257 / 65535 = 1 / 255.
    np.testing.assert_allclose(picture.rgb[..., 0], [[0, 1], [32768 / 65535, 1 / 255]], atol=1e-6)
    assert picture.alpha is None


def test_grey_palette_and_alpha_modes_become_rgb(tmp_path):
    red = Image.new("RGBA", (2, 2), (255, 0, 0, 128))
    red.save(tmp_path / "rgba.png")
    Image.new("L", (2, 2), 51).save(tmp_path / "l.png")
    Image.new("LA", (2, 2), (51, 0)).save(tmp_path / "la.png")
    Image.new("RGB", (2, 2), (0, 255, 0)).quantize(4).save(tmp_path / "p.png")
    Image.new("1", (2, 2), 1).save(tmp_path / "1.png")
    rgba = read_picture(tmp_path / "rgba.png")
    np.testing.assert_allclose(rgba.rgb[0, 0], [1, 0, 0])
    np.testing.assert_allclose(rgba.alpha, 128 / 255, rtol=1e-6)
    # 51 / 255 = 0.2.
    np.testing.assert_allclose(read_picture(tmp_path / "l.png").rgb, 0.2, rtol=1e-6)
    np.testing.assert_allclose(read_picture(tmp_path / "la.png").alpha, 0.0)
    np.testing.assert_allclose(read_picture(tmp_path / "p.png").rgb[0, 0], [0, 1, 0])
    np.testing.assert_allclose(read_picture(tmp_path / "1.png").rgb, 1.0)


def test_a_transparent_palette_colour_becomes_alpha(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putdata([0, 1])
    picture.save(tmp_path / "t.png", transparency=1)
    np.testing.assert_allclose(read_picture(tmp_path / "t.png").alpha, [[1, 0]])


def test_composite_is_straight_alpha():
    # 0.25 * 1 + 0.75 * 0.2 = 0.4.
    np.testing.assert_allclose(
        composite(np.ones((1, 3)), np.array([0.25]), np.full(3, 0.2)), [[0.4] * 3], rtol=1e-6
    )


def test_shrink_averages_blocks_and_refuses_a_factor_that_does_not_divide():
    picture = np.arange(8, dtype=np.float32).reshape(2, 4)
    # Blocks {0, 1, 4, 5} and {2, 3, 6, 7}.
    np.testing.assert_allclose(shrink(picture, 2), [[2.5, 4.5]])
    with pytest.raises(ValueError, match="downscale=3 must divide .* 4 x 2"):
        shrink(picture, 3)


def test_a_small_cutout_composites_as_the_large_one_would():
    rng = np.random.default_rng(0)
    rgb, alpha = (np.float32(rng.random(shape)) for shape in ((8, 12, 3), (8, 12)))
    alpha[:2, :2] = 0.0  # a block without opacity keeps its colours
    small = shrink_picture(Picture(rgb, alpha), 2)
    np.testing.assert_allclose(small.rgb[0, 0], rgb[:2, :2].mean((0, 1)), rtol=1e-6)
    for background in (np.zeros(3), np.array([1.0, 0.5, 0.2])):
        expected = shrink(composite(rgb, alpha, background), 2)
        found = composite(small.rgb, small.alpha, background)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pictures_come_in_natural_order_without_other_files(tmp_path):
    for name in ("r_10.png", "r_2.PNG", "r_1.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in list_pictures(tmp_path)] == ["r_1.jpg", "r_2.PNG", "r_10.png"]


def test_natural_order_compares_names_that_start_with_digits_and_letters():
    assert sorted(["10", "9", "a"], key=natural_key) == ["9", "10", "a"]


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder at .*gone"):
        list_pictures(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="no picture in"):
        list_pictures(tmp_path)
