"""data/layout.py: views are found in sheets of other shapes and with gaps."""

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.layout import Layout, find_layout
from jaxvsnerf.data.rigs import SYNCDREAMER, complete_rig
from jaxvsnerf.data.sheets import read_folder, read_strip
from jaxvsnerf.errors import InputError

SIDE = 12


def views(count):
    """Different pictures before white."""
    made = np.full((count, SIDE, SIDE, 3), 255, np.uint8)
    made[:, 3:-3, 3:-3] = np.random.default_rng(0).integers(0, 200, (count, 6, 6, 3))
    return made


def sheet(images, rows, columns, gap=0, edge=0, color=0):
    """A sheet of views with gaps and an edge of one colour."""
    step = SIDE + gap
    size = (2 * edge + rows * step - gap, 2 * edge + columns * step - gap, 3)
    picture = np.full(size, color, np.uint8)
    for index, one in enumerate(images):
        top, left = (edge + step * place for place in divmod(index, columns))
        picture[top : top + SIDE, left : left + SIDE] = one
    return picture


@pytest.mark.parametrize("color", [0, 255])
@pytest.mark.parametrize("rows, columns, gap, edge", [(1, 16, 2, 2), (1, 16, 3, 0), (3, 2, 2, 2)])
def test_gaps_between_views_are_cut_away(rows, columns, gap, edge, color):
    picture = sheet(views(rows * columns), rows, columns, gap, edge, color) / 255.0
    assert find_layout(picture, rows, columns) == Layout(rows, columns, SIDE, gap, edge)


def test_a_square_sheet_has_gaps_only_where_they_are_seen():
    four = views(4)
    assert find_layout(sheet(four, 2, 2) / 255.0, 2, 2) == Layout(2, 2, SIDE)
    black = find_layout(sheet(four, 2, 2, 2, 2) / 255.0, 2, 2)
    assert black == Layout(2, 2, SIDE, 2, 2)


def test_a_picture_of_no_squares_has_no_layout():
    assert find_layout(np.ones((SIDE, 16 * SIDE + 1, 3)), 1, 16) is None
    # Gaps have one colour.
    noise = np.random.default_rng(0).random((SIDE, 16 * SIDE + 15 * 2, 3))
    assert find_layout(noise, 1, 16) is None


def test_mvdreams_four_views_may_come_two_by_two(tmp_path):
    four = views(4)
    Image.fromarray(sheet(four, 2, 2)).save(tmp_path / "grid.png")
    read = read_strip(tmp_path / "grid.png", complete_rig("mvdream", fov_deg=40, distance=1.4))
    for picture, one in zip(read.pictures, four, strict=True):
        np.testing.assert_allclose(picture.rgb * 255, one, atol=1e-3)
    assert "2 x 2 views" in read.notes[0] and "1 x 4" in read.notes[0]


def test_make_grids_strip_is_read_as_the_strip_and_that_is_said(tmp_path):
    sixteen = views(16)
    Image.fromarray(sheet(sixteen, 1, 16)).save(tmp_path / "plain.png")
    Image.fromarray(sheet(sixteen, 1, 16, 2, 2)).save(tmp_path / "padded.png")
    plain, padded = (read_strip(tmp_path / f"{name}.png") for name in ("plain", "padded"))
    for one, other in zip(plain.pictures, padded.pictures, strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)
    assert plain.notes == () and "gaps of 2 pixels" in padded.notes[0]


def test_a_folder_of_strips_asks_for_one_of_them_and_one_strip_is_read(tmp_path):
    strip = Image.fromarray(sheet(views(16), 1, 16))
    strip.save(tmp_path / "0.png")
    assert len(read_folder(tmp_path, SYNCDREAMER).pictures) == 16
    strip.save(tmp_path / "1.png")
    with pytest.raises(InputError, match="2 strips of 16 views each.*data.path=.*0.png"):
        read_folder(tmp_path, SYNCDREAMER)


def test_an_animation_read_as_a_strip_is_refused_with_the_kind(tmp_path):
    frames = [Image.fromarray(one) for one in views(4)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.raises(InputError, match="animation of several frames: take data.kind=video"):
        read_strip(tmp_path / "a.webp")
