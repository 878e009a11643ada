"""Reads frames from untrusted video files."""

from __future__ import annotations

import io
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from jaxvsnerf.data.images import MAX_SET_PIXELS
from jaxvsnerf.errors import InputError, MissingFile
from jaxvsnerf.system.extras import require
from jaxvsnerf.system.paths import file_url
from jaxvsnerf.system.stand_ins import check_is_itself

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv")
EBML = b"\x1a\x45\xdf\xa3"  # how WebM and Matroska files begin


def read_frames(path: str | Path, limit: int) -> list[np.ndarray]:
    """Decodes the first frames of an MP4 or WebM file.

    Choice: runs the ffmpeg program of imageio-ffmpeg directly, as for writing videos, because
    imageio_ffmpeg.read_frames runs Python code in a forked child.

    Args:
      path: the MP4 or WebM file.
      limit: largest number of frames to decode.

    Returns:
      At most `limit` frames [height, width, 3] float32 in [0, 1].

    Raises:
      MissingFile: no such file.
      InputError: no MP4 or WebM file, too large, or damaged.
      MissingExtra: imageio-ffmpeg is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no video at {path}; give an existing MP4 or WebM file")
    check_is_itself(path)
    program = require("imageio_ffmpeg", "reading a video").get_ffmpeg_exe()
    # Fixed demuxer and protocols: the file cannot make ffmpeg open other files.
    source = ["-v", "error", "-protocol_whitelist", "file,pipe", "-f", _demuxer(path)]
    # Checked in the video's header too: the frames go to disk before they are counted.
    source += ["-max_pixels", str(MAX_SET_PIXELS // limit), "-i", file_url(path)]
    # Each stored frame once: at a constant rate ffmpeg repeats the frames of a variable rate.
    target = [
        "-fps_mode",
        "passthrough",
        "-an",
        "-frames:v",
        str(limit),
        "-f",
        "image2pipe",
        "-c:v",
        "ppm",
        "-",
    ]
    with tempfile.TemporaryFile() as pictures:
        done = subprocess.run(
            [program, "-nostdin", *source, *target], stdout=pictures, stderr=subprocess.PIPE
        )
        words = done.stderr.decode(errors="replace").strip()[-300:]
        if done.returncode:
            raise InputError(f"{path} cannot be decoded as an MP4 or WebM video: {words}")
        pictures.seek(0)
        frames = _read_ppms(pictures, path)
    if not frames:
        raise InputError(f"{path} holds no picture: {words or 'no video stream'}")
    return frames


def _demuxer(path: Path) -> str:
    """ffmpeg's reader of a file, by the file's first bytes."""
    with path.open("rb") as file:
        return "matroska" if file.read(len(EBML)) == EBML else "mov"


def _read_ppms(stream: io.BufferedIOBase, path: Path) -> list[np.ndarray]:
    """Reads ffmpeg's PPM pictures: lines 'P6', size and '255', then the bytes."""
    frames = []
    while stream.readline() == b"P6\n":
        width, height = map(int, stream.readline().split())
        stream.readline()
        if width * height * (len(frames) + 1) > MAX_SET_PIXELS:
            raise InputError(
                f"{path} is too large: {len(frames) + 1} frames of {width} x {height}, at most "
                f"{MAX_SET_PIXELS} pixels are read; scale it down"
            )
        pixels = np.frombuffer(stream.read(width * height * 3), np.uint8)
        frames.append(pixels.reshape(height, width, 3).astype(np.float32) / np.float32(255.0))
    return frames
