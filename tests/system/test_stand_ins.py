"""Git LFS pointers and web pages in place of a file: every reader says what came, and the mend."""

import pytest

from jaxvsnerf.config.load import read_config
from jaxvsnerf.data.colmap_files import read_model
from jaxvsnerf.data.images import read_picture
from jaxvsnerf.data.meshes import read_surface
from jaxvsnerf.data.transforms import read_transforms
from jaxvsnerf.data.video import read_frames
from jaxvsnerf.errors import InputError
from jaxvsnerf.generation.state_files import read_state
from jaxvsnerf.generation.weights import read_info
from jaxvsnerf.metrics.lpips import load_lpips
from jaxvsnerf.system.files import read_json
from jaxvsnerf.system.stand_ins import check_is_itself

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
PAGES = (
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title>",
    b"\xef\xbb\xbf\n  <!doctype HTML>",
    b"<html lang='en'>",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
)
READERS = {
    "strip.png": read_picture,
    "a.mp4": lambda path: read_frames(path, 16),
    "mesh.obj": read_surface,
    "mesh.glb": read_surface,
    "transforms.json": read_transforms,
    "alex.npz": load_lpips,
    "model.safetensors": read_state,
    "model.ckpt": read_state,
    "weights.json": lambda path: read_info(path.parent),
    "config.py": read_config,
    "scene.json": lambda path: read_json(path, "copy it again"),
}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_says_what_came_in_place_of_its_file(name, tmp_path):
    path = tmp_path / name
    for content, words in ((POINTER, "git lfs pull"), (PAGES[0], "a web page: download the file")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is .*{words}"):
            READERS[name](path)


def test_the_files_of_a_colmap_model_are_looked_at(tmp_path):
    (tmp_path / "cameras.bin").write_bytes(b"\0" * 8)
    (tmp_path / "images.bin").write_bytes(POINTER)
    with pytest.raises(InputError, match="images.bin is a Git LFS pointer"):
        read_model(tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_known_by_their_first_bytes(page, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(page)
    with pytest.raises(InputError, match="a web page"):
        check_is_itself(path)
    for other in (b"", b"\x89PNG\r\n\x1a\n", b"# html", b"version https://example.com"):
        path.write_bytes(other)
        check_is_itself(path)
