"""Reads the files of a COLMAP model: cameras and images, text and binary.

Choice: a reader of our own in place of pycolmap. The files are untrusted, and pycolmap always reads
the points too: a points3D.bin that is one byte short grows in memory without bound, and a
points3D.bin that claims 2^62 points never ends. Here no file of points is opened, and every count
is compared with the bytes that are left before anything is read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.stand_ins import check_is_itself

# Number in binary files, name in text files, parameters in their order.
CAMERA_MODELS = {
    0: ("SIMPLE_PINHOLE", "f cx cy"),
    1: ("PINHOLE", "fx fy cx cy"),
    2: ("SIMPLE_RADIAL", "f cx cy k"),
    3: ("RADIAL", "f cx cy k1 k2"),
    4: ("OPENCV", "fx fy cx cy k1 k2 p1 p2"),
    5: ("OPENCV_FISHEYE", "fx fy cx cy k1 k2 k3 k4"),
    6: ("FULL_OPENCV", "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6"),
    7: ("FOV", "fx fy cx cy omega"),
    8: ("SIMPLE_RADIAL_FISHEYE", "f cx cy k"),
    9: ("RADIAL_FISHEYE", "f cx cy k1 k2"),
    10: ("THIN_PRISM_FISHEYE", "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1"),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", "fx fy cx cy k0 k1 k2 k3 k4 k5 p0 p1 s0 s1 s2 s3"),
    12: ("SIMPLE_DIVISION", "f cx cy k"),
    13: ("DIVISION", "fx fy cx cy k"),
    14: ("SIMPLE_FISHEYE", "f cx cy"),
    15: ("FISHEYE", "fx fy cx cy"),
    16: ("EUCM", "fx fy cx cy alpha beta"),
    17: ("EQUIRECTANGULAR", "w h"),
}
PARAMETERS = {name: tuple(numbers.split()) for name, numbers in CAMERA_MODELS.values()}
LONGEST_NAME = 4096  # bytes, the longest path that systems take
# Bytes of binary entries: a camera without parameters; an image with an empty name and no points;
# a point of an image.
CAMERA, IMAGE, POINT = struct.Struct("<IiQQ"), struct.Struct("<I7dI"), 24
SMALLEST_IMAGE = IMAGE.size + 1 + 8


class ModelCamera(NamedTuple):
    """A camera of a model.

    Attributes:
      model: COLMAP's name of the camera model.
      width: of its pictures, in pixels.
      height: of its pictures, in pixels.
      numbers: the parameters by COLMAP's names.
    """

    model: str
    width: int
    height: int
    numbers: dict[str, float]


class ModelImage(NamedTuple):
    """A picture with a pose.

    Attributes:
      name: the picture's path below the folder of pictures.
      camera: key of its camera.
      w2c: [3, 4] float64 world-to-camera, x right, y down, z forward.
    """

    name: str
    camera: int
    w2c: np.ndarray


def read_model(folder: Path) -> tuple[dict[int, ModelCamera], list[ModelImage]]:
    """Reads a model's cameras and its pictures with poses, from binary files before text files.

    Raises:
      MissingFile: the folder lacks cameras or images.
      InputError: a file is damaged; the message names the file.
    """
    for suffix, cameras, images in (
        (".bin", _binary_cameras, _binary_images),
        (".txt", _text_cameras, _text_images),
    ):
        paths = folder / f"cameras{suffix}", folder / f"images{suffix}"
        if all(path.is_file() for path in paths):
            for path in paths:
                check_is_itself(path)
            known = cameras(paths[0])
            found = list(images(paths[1]))
            _check_cameras(known, found, paths[1])
            return known, found
    raise MissingFile(
        f"{folder} is not a whole COLMAP model: expected cameras.bin and images.bin, or "
        "cameras.txt and images.txt"
    )


def _check_cameras(cameras: dict[int, ModelCamera], images: list[ModelImage], path: Path) -> None:
    for image in images:
        if image.camera not in cameras:
            raise _damaged(path, f"{image.name} has camera {image.camera}, which is in no list")


def _damaged(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} is not a readable COLMAP model: {what}; copy the file again or export the model "
        "again"
    )


def _camera(
    path: Path, model: str, width: int, height: int, numbers: tuple[float, ...]
) -> ModelCamera:
    names = PARAMETERS.get(model)
    if names is None:
        raise _damaged(path, f"the camera model {model} is unknown")
    if len(names) != len(numbers):
        raise _damaged(path, f"a camera {model} has {len(numbers)} numbers, not {len(names)}")
    return ModelCamera(model, width, height, dict(zip(names, numbers, strict=True)))


def _image(path: Path, name: str, camera: int, pose: tuple[float, ...]) -> ModelImage:
    """A picture of a pose (qw, qx, qy, qz, tx, ty, tz); the quaternion may have any length."""
    numbers = np.asarray(pose, np.float64)
    length = np.linalg.norm(numbers[:4])
    if not np.isfinite(numbers).all() or not np.isfinite(length) or length == 0:
        raise InputError(
            f"{name} of {path} has a pose that is not a finite rotation and translation: "
            f"{', '.join(f'{number:g}' for number in pose)}"
        )
    (w, *xyz), axis = numbers[:4] / length, np.eye(3)
    # Rodrigues: v -> v + 2 w (q x v) + 2 q x (q x v), of every axis at once.
    turned = np.cross(xyz, axis)
    rotation = (axis + 2 * w * turned + 2 * np.cross(xyz, turned)).T
    return ModelImage(name, camera, np.column_stack([rotation, numbers[4:]]))


class _Bytes:
    """Takes numbers and names from a binary file; its end is an error."""

    def __init__(self, path: Path):
        self.path, self.place = path, 0
        with path.open("rb") as file:
            # A map of no bytes is refused by the system.
            empty = path.stat().st_size == 0
            self.data = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def skip(self, size: int) -> int:
        """Goes on by `size` bytes, which must be there; returns the place before."""
        before, left = self.place, len(self.data) - self.place
        if size > left:
            raise _damaged(self.path, f"byte {before} promises {size} bytes more, {left} are left")
        self.place += size
        return before

    def take(self, layout: struct.Struct) -> tuple:
        return layout.unpack_from(self.data, self.skip(layout.size))

    def count(self, smallest: int) -> int:
        """A number of entries that fit into the rest of the file.

        Args:
          smallest: bytes of the smallest entry.
        """
        (count,) = self.take(struct.Struct("<Q"))
        left = len(self.data) - self.place
        if count * smallest > left:
            raise _damaged(
                self.path, f"{count} entries of {smallest} bytes or more are promised in {left}"
            )
        return count

    def name(self) -> str:
        """A text that ends with a byte of 0."""
        end = self.data.find(b"\0", self.place, self.place + LONGEST_NAME + 1)
        if end < 0:
            raise _damaged(self.path, f"a name at byte {self.place} does not end")
        start = self.skip(end + 1 - self.place)
        try:
            return bytes(self.data[start:end]).decode("utf-8")
        except UnicodeDecodeError as error:
            raise _damaged(self.path, f"a name is not UTF-8 ({error})") from error


def _binary_cameras(path: Path) -> dict[int, ModelCamera]:
    file, cameras = _Bytes(path), {}
    for _ in range(file.count(CAMERA.size)):
        key, number, width, height = file.take(CAMERA)
        model, _ = CAMERA_MODELS.get(number, (f"of number {number}", ""))
        layout = struct.Struct(f"<{len(PARAMETERS.get(model, ()))}d")
        cameras[key] = _camera(path, model, width, height, file.take(layout))
    return cameras


def _binary_images(path: Path) -> Iterator[ModelImage]:
    file = _Bytes(path)
    for _ in range(file.count(SMALLEST_IMAGE)):
        _, *pose, camera = file.take(IMAGE)
        name = file.name()
        file.skip(file.count(POINT) * POINT)
        yield _image(path, name, camera, tuple(pose))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and lines of a text file."""
    with path.open(encoding="utf-8-sig") as file:
        try:
            yield from ((number, line.strip()) for number, line in enumerate(file, 1))
        except UnicodeDecodeError as error:
            raise _damaged(path, f"it is not UTF-8 ({error})") from error


def _is_entry(line: str) -> bool:
    return bool(line) and not line.startswith("#")


def _text_cameras(path: Path) -> dict[int, ModelCamera]:
    cameras = {}
    for number, line in _lines(path):
        if not _is_entry(line):
            continue
        try:
            key, model, width, height, *numbers = line.split()
            sizes, values = (int(width), int(height)), tuple(map(float, numbers))
            cameras[int(key)] = _camera(path, model, *sizes, values)
        except InputError:
            raise
        except ValueError as error:
            raise _damaged(
                path, f"line {number} is not CAMERA_ID MODEL WIDTH HEIGHT PARAMS ({error})"
            ) from error
    return cameras


def _text_images(path: Path) -> Iterator[ModelImage]:
    lines = _lines(path)
    for number, line in lines:
        if not _is_entry(line):
            continue
        try:
            _, *pose, camera, name = line.split(maxsplit=9)
            key, numbers = int(camera), tuple(map(float, pose))
        except ValueError as error:
            raise _damaged(
                path,
                f"line {number} is not IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME ({error})",
            ) from error
        if len(numbers) != 7:
            raise _damaged(
                path, f"line {number} has {len(numbers) + 3} words, not IMAGE_ID to NAME, 10"
            )
        yield _image(path, name, key, numbers)
        next(lines, None)  # The line of the picture's points, which may be empty.
