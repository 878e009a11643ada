"""Files that are right in an unusual way are read: spelling, encodings, lenses, lone views."""

import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jaxvsnerf.config.defaults import default_config
from jaxvsnerf.config.load import with_colors
from jaxvsnerf.config.resolve import stage_specs
from jaxvsnerf.data.animation import is_animation
from jaxvsnerf.data.distortion import check_undistorted, corner_shift_px
from jaxvsnerf.data.images import read_picture
from jaxvsnerf.data.load import recognize_kind
from jaxvsnerf.data.rigs import SYNCDREAMER
from jaxvsnerf.data.sheets import read_video
from jaxvsnerf.data.transforms import read_transforms
from jaxvsnerf.data.video import read_frames
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.run.dataset import load_dataset
from jaxvsnerf.system.paths import in_any_case
from tests.posed_files import tiny

K = np.array([[20.0, 0, 8], [0, 20, 6], [0, 0, 1]])


def test_file_names_may_be_in_other_capitals(tmp_path):
    tiny(tmp_path)
    for file in list(tmp_path.glob("*.png")):
        file.rename(file.with_suffix(".PNG"))
    for given in ("{}.png", "{}"):  # as written, and NeRF-synthetic's without the ending
        meta = json.loads((tmp_path / "transforms.json").read_text())
        for k, frame in enumerate(meta["frames"]):
            frame["file_path"] = given.format(k)
        (tmp_path / "transforms.json").write_text(json.dumps(meta))
        frames = read_transforms(tmp_path / "transforms.json")
        assert [frame.picture.name for frame in frames] == ["0.PNG", "1.PNG", "2.PNG"]


def test_of_two_files_in_other_capitals_none_is_guessed(tmp_path):
    for name in ("a.PNG", "A.png"):
        (tmp_path / name).touch()
    assert in_any_case(tmp_path / "a.PNG") == tmp_path / "a.PNG"
    assert in_any_case(tmp_path / "a.png") is None and in_any_case(tmp_path / "b.png") is None
    assert in_any_case(tmp_path / "nowhere" / "b.png") is None


def test_a_link_in_other_capitals_may_not_leave_the_folder(tmp_path):
    tiny(tmp_path / "in")
    (tmp_path / "in" / "1.png").rename(tmp_path / "out.png")
    (tmp_path / "in" / "1.PNG").symlink_to(tmp_path / "out.png")
    with pytest.raises(MissingFile, match="no picture at .*1.png"):
        read_transforms(tmp_path / "in" / "transforms.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_transforms_file_may_have_any_unicode_encoding(encoding, tmp_path):
    tiny(tmp_path)
    path = tmp_path / "transforms.json"
    path.write_bytes(path.read_text().encode(encoding))
    assert len(read_transforms(path)) == 3


def test_a_shift_is_that_of_opencvs_formula():
    # The corner lies at (0.4, 0.3) from the axis, r^2 = 0.25, 20 pixels to 1.
    assert corner_shift_px({"k1": 0.1}, K, 16, 12) == pytest.approx(20 * 0.5 * 0.1 * 0.25)
    assert corner_shift_px({"k": 0.1}, K, 16, 12) == corner_shift_px({"k1": 0.1}, K, 16, 12)
    shift = 20 * 0.01 * np.hypot(2 * 0.4 * 0.3, 0.25 + 2 * 0.3**2)
    assert corner_shift_px({"p1": 0.01}, K, 16, 12) == pytest.approx(shift)
    assert corner_shift_px({}, K, 16, 12) == 0


def test_a_lens_is_refused_from_a_tenth_of_a_pixel_on(tmp_path):
    check_undistorted({"k1": 0.039, "fl_x": 3.0}, K, 16, 12, "a")  # 0.0975 pixels
    with pytest.raises(InputError, match=r"a has lens distortion k1=0.042, .* by 0.105 pixels"):
        check_undistorted({"k1": 0.042}, K, 16, 12, "a")
    with pytest.raises(InputError, match="has lens distortion k4=-4"):  # divides by 0
        check_undistorted({"k4": -4.0}, K, 16, 12, "a")
    assert len(load_dataset(tiny(tmp_path, k1=1e-5, p2=-1e-6)).inputs.names) == 3


def test_one_posed_view_lies_where_its_camera_looks(tmp_path):
    spec = tiny(tmp_path, lambda meta: meta.update(frames=meta["frames"][:1]))
    assert len(load_dataset(spec).inputs.names) == 1
    data = load_dataset(replace(spec, mask="none"))
    # The camera, 4 from the origin, looks at the origin, which becomes the cube's middle; at that
    # depth half of the 12 pixels is 6 / 20 * 4, half a side.
    np.testing.assert_allclose(data.inputs.cameras.w2c[0, :2, 3], 0, atol=1e-5)
    assert data.to_cube.scale == pytest.approx(0.5 / (6 / 20 * 4), rel=1e-4)
    assert any("one camera does not tell how far" in note for note in data.inputs.notes)
    away = np.eye(4)
    away[2, 3] = -4.0
    spec = tiny(
        tmp_path,
        lambda meta: meta.update(frames=[{**meta["frames"][0], "transform_matrix": away.tolist()}]),
    )
    with pytest.raises(InputError, match="look away"):
        load_dataset(spec)


def test_one_view_hides_nothing_from_its_combiner():
    config = default_config()
    config.stage3.update(mode="fused", token_mask="own")
    assert [stage.token_mask for stage in stage_specs(config, 2)][-1] == "own"
    assert {stage.token_mask for stage in stage_specs(config, 1)} == {"none"}


@pytest.mark.parametrize(
    "given, numbers",
    [("white", (1, 1, 1)), ("#0080ff", (0, 128 / 255, 1)), (" Black", (0, 0, 0)), ("wite", None)],
)
def test_a_background_may_have_a_name(given, numbers):
    config = default_config()
    config.data.background = (given,)
    assert with_colors(config).data.background == (numbers or (given,))
    config.data.background = (0.5, 0.5, 0.5)
    assert with_colors(config).data.background == (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Sixteen different frames, [16, 32, 32, 3] uint8, and as PNG files."""
    folder = tmp_path_factory.mktemp("frames")
    pixels = np.full((16, 32, 32, 3), 255, np.uint8)
    for k in range(16):
        pixels[k, 8:24, 8:24] = 12 * k
        Image.fromarray(pixels[k]).save(folder / f"{k:02d}.png")
    return pixels, folder


def make_video(frames, path, *options):
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    source = ["-v", "error", "-framerate", "10", "-i", str(frames / "%02d.png")]
    subprocess.run([program, *source, *options, str(path)], check=True)


def assert_frames(posed, pixels, tolerance):
    middles = np.array([picture.rgb[16, 16] for picture in posed.pictures])
    np.testing.assert_allclose(middles, pixels[:, 16, 16] / 255, atol=tolerance)


def test_a_gif_is_an_animation(frames, tmp_path):
    path = tmp_path / "a.gif"
    first, *rest = map(Image.fromarray, frames[0])
    first.save(path, save_all=True, append_images=rest, duration=100)
    assert is_animation(path) and recognize_kind(path) == "video"
    assert_frames(read_video(path, SYNCDREAMER), frames[0], 0.02)
    with pytest.raises(InputError, match="not a readable picture"):
        read_picture(path)


@pytest.mark.parametrize(
    "name, options",
    [
        ("a.webm", ("-c:v", "libvpx-vp9")),
        # Pauses of one to three frames; at a constant rate 31 frames would come.
        (
            "a.mp4",
            ("-pix_fmt", "yuv420p", "-vf", "settb=1/100,setpts=N*20-10*mod(N\\,2)")
            + ("-fps_mode", "passthrough", "-enc_time_base", "1:100"),
        ),
    ],
)
def test_webm_and_a_variable_rate_give_each_frame_once(name, options, frames, tmp_path):
    path = tmp_path / name
    make_video(frames[1], path, *options)
    assert recognize_kind(path) == "video"
    assert_frames(read_video(path, SYNCDREAMER), frames[0], 0.04)
    assert len(read_frames(path, 3)) == 3
