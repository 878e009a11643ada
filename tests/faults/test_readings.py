"""Sources that can be read in more than one way: the right reading is taken, and said."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.data.colmap import choose_model
from jaxvsnerf.data.load import source_to_cube, up_note
from jaxvsnerf.data.spec import DataSpec
from jaxvsnerf.data.upright import tilt_deg
from jaxvsnerf.errors import InputError
from jaxvsnerf.geometry.cameras import inverse_similarity, orbit_cameras, transform_cameras
from jaxvsnerf.run import readings
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.types import Similarity, ViewSet
from tests.data.test_colmap import write_model
from tests.posed_files import HEIGHT, WIDTH, save
from tests.solid_views import solid_views

# Every name must survive a folder, a run and a page.
NAMES = ("a b", "50%", "#1", "it's", "снимок", "naïve", "e&f", "[g]")


def turntable(folder, count=8, side=32):
    """Photos of a body, stored sideways with EXIF orientation 6; returns the spec to read them."""
    azimuth = tuple(360.0 * k / count for k in range(count))
    focal = 0.5 * side / np.tan(np.deg2rad(20.0))
    images = solid_views(orbit_cameras(azimuth, 20.0, 1.5, focal, side, side)).images
    exif = Image.Exif()
    exif[0x0112] = 6
    folder.mkdir()
    for k, image in enumerate(images):
        picture = Image.fromarray(np.uint8(255 * image + 0.5))
        sideways = picture.transpose(Image.Transpose.ROTATE_90)
        sideways.save(folder / f"{k} {NAMES[k]}.jpg", quality=95, exif=exif)
    lens = dict(azimuth_deg=azimuth, elevation_deg=(20.0,), distance=1.5, fov_deg=40.0)
    return DataSpec(kind="folder", path=str(folder), rig="orbit", **lens), images


def test_photos_with_an_exif_orientation_are_read_upright_by_agreement(tmp_path):
    spec, images = turntable(tmp_path / "views")
    found = load_dataset(spec).inputs
    assert np.abs(found.images - images).mean() < 0.02
    assert "turned by their EXIF orientation" in found.notes[0]
    assert "--config.data.exif=stored reads" in found.notes[0]
    assert found.names == tuple(f"{k} {name}" for k, name in enumerate(NAMES))
    stored = load_dataset(replace(spec, exif="stored")).inputs
    assert np.abs(stored.images - images).mean() > 0.05 and stored.notes == ()


def test_upright_pictures_ask_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(readings, "choose_reading", None)
    images = [np.full((8, 8, 3), 255, np.uint8)] * 2
    for k, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{k}.jpg")
    spec = DataSpec(kind="folder", path=str(tmp_path), rig="orbit")
    assert readings.decide(spec) == (spec, ())


def test_poses_belong_to_stored_pixels(tmp_path):
    (tmp_path / "transforms.json").write_text("{}")
    spec = DataSpec(path=str(tmp_path), exif="upright")
    with pytest.raises(InputError, match="poses belong to the stored pixels"):
        load_dataset(spec)


def test_the_larger_of_two_colmap_models_is_read_and_both_are_named(tmp_path):
    cameras = orbit_cameras([30.0 * k for k in range(12)], 20.0, 1.5, 52.0, WIDTH, HEIGHT)
    few = cameras.replace(intrinsics=cameras.intrinsics[:3], w2c=cameras.w2c[:3])
    write_model(tmp_path / "sparse" / "0", few)
    write_model(tmp_path / "sparse" / "1", cameras)
    model, note = choose_model(tmp_path)
    assert model == tmp_path / "sparse" / "1"
    assert "sparse/1 with 12 pictures is read, not sparse/0 with 3" in note
    assert f"--config.data.path={tmp_path / 'sparse' / '0'} reads sparse/0" in note
    # A model that is named is taken, and one model needs no words.
    assert choose_model(tmp_path / "sparse" / "0") == (tmp_path / "sparse" / "0", "")
    # Points are not needed.
    (tmp_path / "sparse" / "1" / "points3D.txt").unlink()
    assert choose_model(tmp_path)[0] == tmp_path / "sparse" / "1"
    (tmp_path / "sparse" / "0" / "images.txt").write_text("damaged")
    assert "not sparse/0 with 0" in choose_model(tmp_path)[1]


def test_a_tilted_colmap_model_stands_upright_and_its_frame_can_be_kept(tmp_path):
    cameras = orbit_cameras([60.0 * k for k in range(6)], [35.0, 10.0] * 3, 1.5, 52.0, 64, 48)
    views = solid_views(cameras)
    for k in range(6):
        save(tmp_path / "images" / f"view_{k}.png", views.images[k], views.masks[k])
    # COLMAP's frame is that of its first camera.
    frame = Similarity(1.0, np.asarray(cameras.w2c[0, :, :3], np.float64), np.zeros(3))
    write_model(tmp_path / "sparse" / "0", cameras, similarity=frame)
    up = frame.rotation @ [0.0, 0.0, 1.0]
    spec = DataSpec(path=str(tmp_path))
    data = load_dataset(spec)
    assert tilt_deg(data.to_cube.rotation @ up) < 1.0
    assert f"up is taken from the cameras, {tilt_deg(up):.0f} degrees" in data.inputs.notes[0]
    # An export with --frame=source undoes the turn.
    there = inverse_similarity(data.to_cube)
    np.testing.assert_allclose(there.rotation @ [0.0, 0.0, 1.0], up, atol=1e-3)
    for given in (dict(up=(0, 0, 1)), dict(similarity=(1.0, 0.0, 0.0, 0.0))):
        kept = source_to_cube(replace(spec, **given), data.inputs, has_poses=True)
        np.testing.assert_array_equal(kept.rotation, np.eye(3))
        assert up_note(replace(spec, **given), data.inputs) == ""
    source = transform_cameras(data.inputs.cameras, there)
    turned = source_to_cube(
        replace(spec, up=tuple(up)), data.inputs.replace(cameras=source), has_poses=True
    )
    np.testing.assert_allclose(turned.rotation @ up, [0, 0, 1], atol=1e-6)


def frames(spacing_deg):
    """What `_spacings` reads: 21 frames whose picture changes with the azimuth."""
    azimuth = np.deg2rad(spacing_deg * np.arange(21))
    images = np.broadcast_to(np.cos(azimuth)[:, None, None, None], (21, 4, 4, 3))
    return ViewSet(images, None, None, np.ones(3), tuple(map(str, range(21))))


def test_comfyuis_frames_of_sv3d_are_asked_for_where_first_and_last_are_alike(monkeypatch):
    spec = DataSpec(kind="video", path="a.webp", rig="sv3d")
    monkeypatch.setattr(readings, "_views", lambda spec: frames(360.0 / 21.0))
    assert readings._spacings(spec) == []
    monkeypatch.setattr(readings, "_views", lambda spec: frames(18.0))
    assert [one.spec.rig for one in readings._spacings(spec)] == ["sv3d", "sv3d-comfyui"]


def test_which_frame_of_sv3d_shows_the_photo_is_told_by_the_photo_or_said(monkeypatch):
    spec = DataSpec(kind="video", path="a.webp", rig="sv3d")
    monkeypatch.setattr(readings, "_views", lambda spec: frames(360.0 / 21.0))
    chosen, notes = readings.decide(spec)
    assert chosen == spec and "--config.data.input_view=0" in notes[0]
    named = replace(spec, input_view=0)
    assert readings.decide(named) == (named, ())
    monkeypatch.setattr(readings, "_photo_overlap", lambda spec, views, index: 0.9 - index / 100)
    photo = replace(spec, photo="photo.png", input_elevation_deg=10.0)
    chosen, notes = readings.decide(photo)
    assert chosen.input_view == 0 and "0.90, otherwise to 0.70" in notes[0]
