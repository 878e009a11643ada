"""The files of a COLMAP model: read within their size, as COLMAP reads them."""

import struct

import numpy as np
import pytest

from jaxvsnerf.data.colmap_files import CAMERA_MODELS, PARAMETERS, read_model
from jaxvsnerf.errors import InputError, MissingFile

POSE = (0.5, -0.5, 0.1, 0.7, 1.0, 2.0, 3.0)
CAMERAS = struct.pack("<QIiQQ4d", 1, 3, 1, 64, 48, 50.0, 51.0, 32.0, 24.0)


def images(count=1, camera=3, name=b"a b.png\0", points=0, claimed=None):
    """An images.bin of one picture."""
    head = struct.pack("<QI7dI", count, 1, *POSE, camera)
    return (
        head
        + name
        + struct.pack("<Q", points if claimed is None else claimed)
        + b"\1" * points * 24
    )


def write(folder, cameras=CAMERAS, pictures=None, suffix=".bin"):
    for name, data in (
        ("cameras", cameras),
        ("images", images() if pictures is None else pictures),
    ):
        data = data if isinstance(data, bytes) else data.encode()
        (folder / f"{name}{suffix}").write_bytes(data)
    return folder


def test_text_and_binary_files_say_the_same(tmp_path):
    text = "# a comment\n\n3 PINHOLE 64 48 50 51 32 24\n"
    pose = " ".join(map(str, POSE))
    lines = f"# two lines each\n1 {pose} 3 a b.png\n\n2 {pose} 3 c.png\n1 2 -1 3 4 5\n"
    found = read_model(write(tmp_path, text, lines, ".txt"))
    assert [image.name for image in found[1]] == ["a b.png", "c.png"]
    cameras, (image,) = read_model(write(tmp_path, pictures=images(points=2)))
    assert cameras == found[0] and cameras[3].numbers == dict(fx=50, fy=51, cx=32, cy=24)
    np.testing.assert_array_equal(image.w2c, found[1][0].w2c)
    rotation = image.w2c[:, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_array_equal(image.w2c[:, 3], POSE[4:])


HUGE = struct.pack("<Q", 2**62)
DAMAGED = {
    "no bytes": (b"", None, "cameras.bin .*byte 0 promises 8 bytes more, 0 are left"),
    "cameras": (HUGE + CAMERAS[8:], None, "4611686018427387904 entries of 24 bytes"),
    "images": (CAMERAS, HUGE + images()[8:], "images.bin .*4611686018427387904 entries of 73"),
    "points": (CAMERAS, images(claimed=2**62), "4611686018427387904 entries of 24 bytes"),
    "one byte": (
        CAMERAS,
        images(points=2)[:-1],
        "2 entries of 24 bytes or more are promised in 47",
    ),
    "parameters": (CAMERAS[:-1], None, "promises 32 bytes more, 31 are left"),
    "model": (CAMERAS[:12] + b"\x63" + CAMERAS[13:], None, "camera model of number 99 is unknown"),
    "name": (CAMERAS, images(name=b"x" * 5000 + b"\0"), "a name at byte 72 does not end"),
    "bytes": (CAMERAS, images(name=b"\xff.png\0"), "not UTF-8"),
    "camera": (CAMERAS, images(camera=4), "a b.png has camera 4, which is in no list"),
    "pose": (
        CAMERAS,
        images().replace(struct.pack("<d", 3.0), struct.pack("<d", np.nan)),
        "finite",
    ),
    "turn": (CAMERAS, images()[:12] + bytes(32) + images()[44:], "finite rotation"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_binary_files_are_refused_by_name(name, tmp_path):
    cameras, pictures, message = DAMAGED[name]
    with pytest.raises(InputError, match=message):
        read_model(write(tmp_path, cameras, pictures))


@pytest.mark.parametrize(
    ("cameras", "pictures", "message"),
    [
        ("3 PINHOLE 64 x 50 51 32 24\n", "", "line 1 is not CAMERA_ID MODEL"),
        ("3 PINHOLE 64 48 50\n", "", "a camera PINHOLE has 1 numbers, not 4"),
        ("3 PINHOLE 64 48 50 51 32 24\n", "1 0.5 0 3 a.png\n", "line 1 "),
        ("3 PINHOLE 64 48 50 51 32 24\n", "1 x 0 0 0 1 2 3 3 a.png\n", "line 1 is not IMAGE_ID"),
        ("\xff".encode("latin-1"), "", "not UTF-8"),
    ],
)
def test_damaged_text_files_are_refused_by_line(cameras, pictures, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_model(write(tmp_path, cameras, pictures, ".txt"))


def test_half_a_model_says_which_files_are_expected(tmp_path):
    (tmp_path / "cameras.bin").write_bytes(CAMERAS)
    with pytest.raises(MissingFile, match="expected cameras.bin and images.bin, or"):
        read_model(tmp_path)


@pytest.mark.slow
def test_it_reads_what_colmaps_own_reader_reads(tmp_path):
    pycolmap = pytest.importorskip("pycolmap", reason="COLMAP's own reader is not installed")
    for number, (name, _) in CAMERA_MODELS.items():
        if number not in {int(one) for one in pycolmap.CameraModelId.__members__.values()}:
            continue
        camera = pycolmap.Camera.create_from_model_id(1, pycolmap.CameraModelId(number), 5, 64, 48)
        known = tuple(one.strip() for one in camera.params_info.split(","))
        assert len(camera.params) == len(PARAMETERS[name]) == len(set(PARAMETERS[name]))
        assert camera.model_name == name and (number == 13 or known == PARAMETERS[name])
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs = options.num_cameras_per_rig = 2  # with rigs.bin and frames.bin
    model = pycolmap.synthesize_dataset(options)
    for write_files in (model.write_binary, model.write_text):
        folder = tmp_path / write_files.__name__
        folder.mkdir()
        write_files(str(folder))
        cameras, found = read_model(folder)
        expected = {image.name: image for image in model.images.values() if image.has_pose}
        assert {image.name for image in found} == set(expected)
        for image in found:
            other = expected[image.name]
            np.testing.assert_allclose(image.w2c, other.cam_from_world().matrix(), atol=1e-12)
            camera = cameras[image.camera]
            assert list(camera.numbers.values()) == pytest.approx(list(other.camera.params))
            assert (camera.width, camera.height) == (other.camera.width, other.camera.height)
