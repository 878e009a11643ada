"""Writes MP4 files that browsers and players show in the right colours."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from jaxvsnerf.errors import StorageError
from jaxvsnerf.system.extras import require
from jaxvsnerf.system.files import replacing
from jaxvsnerf.system.paths import file_url
from jaxvsnerf.system.png import to_uint8

# Without these tags players guess the colour matrix from the picture's size, and colours shift.
_COLOUR = (
    "scale=out_color_matrix=bt709:out_range=tv,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)


def write_mp4(
    path: str | Path, frames: Iterable[np.ndarray], fps: float = 24.0, quality: int = 16
) -> None:
    """Writes an H.264 video (yuv420p, index in front) atomically.

    Frames are taken one by one, so a generator keeps memory small. Odd sizes, which
    yuv420p does not allow, gain a column or row that repeats the border.

    Args:
      path: the file, ending in .mp4.
      frames: N >= 1 pictures [H, W, 3], float in [0, 1], or an array [N, H, W, 3].
      fps: frames per second, positive.
      quality: x264's constant rate factor: 0 is lossless, 16 nearly lossless, 51 worst.

    Raises:
      ValueError: no frame, frames that differ in shape or are not [H, W, 3], fps not
        positive, or a suffix other than .mp4.
      MissingExtra: imageio-ffmpeg is missing.
      StorageError: ffmpeg failed; the message names the file and ends with ffmpeg's own.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4" or not fps > 0:
        raise ValueError(f"expected a .mp4 file and fps > 0, got {path.name} and fps={fps}")
    program = require("imageio_ffmpeg").get_ffmpeg_exe()
    encoded = _even_frames(frames)
    first = next(encoded, None)
    if first is None:
        raise ValueError("expected at least one frame, got none")
    with replacing(path) as temporary:
        command = [program, *_arguments(first.shape[1], first.shape[0], fps, quality)]
        words = _feed([*command, file_url(temporary)], first, encoded)
        if words is not None:
            told = words.replace(file_url(temporary), str(path))
            raise StorageError(f"{path}: no video written, ffmpeg failed {told}")


def _arguments(width: int, height: int, fps: float, quality: int) -> list[str]:
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps} -i -"
    target = f"-c:v libx264 -pix_fmt yuv420p -crf {quality} -movflags +faststart"
    return [*f"-v error -y {source} -an -vf {_COLOUR} {target}".split()]


def _feed(command: list[str], first: np.ndarray, rest: Iterator[np.ndarray]) -> str | None:
    """Runs ffmpeg on the frames; returns its status and words if it failed.

    Choice: not imageio_ffmpeg.write_frames, which runs Python code in a forked child
    (preexec_fn); in JAX's multithreaded process that can deadlock.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        )
        try:
            process.stdin.write(first.tobytes())
            for frame in rest:
                process.stdin.write(frame.tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass  # ffmpeg ended early; its message is raised below
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace").strip()[-500:]
            return f"with status {process.returncode}: {words}"
    return None


def _even_frames(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields frames as [H, W, 3] uint8, padded to even sides."""
    shape = None
    for frame in frames:
        frame = np.asarray(frame)
        shape = shape or frame.shape
        if frame.shape != shape or frame.ndim != 3 or frame.shape[-1] != 3:
            raise ValueError(
                f"expected frames [H, W, 3] of one shape, the first is {shape}, got {frame.shape}"
            )
        odd = ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0))
        yield np.pad(to_uint8(frame), odd, mode="edge")
