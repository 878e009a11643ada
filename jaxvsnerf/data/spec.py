"""What to load, as one frozen spec that is checked when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxvsnerf.data.masks import THRESHOLD
from jaxvsnerf.data.rigs import named_rig
from jaxvsnerf.data.similarity import explicit_similarity
from jaxvsnerf.errors import InputError

KINDS = ("auto", "strip", "folder", "video", "transforms", "colmap", "toy")
MASKS = ("auto", "alpha", "background", "none")


@dataclass(frozen=True)
class DataSpec:
    """What to load.

    Relative paths that do not exist are also tried under the environment variable
    JAXVSNERF_DATA.

    Attributes:
      kind: 'strip' (views in the rows and columns of one picture), 'folder' (one picture per
        camera of the rig), 'video' (a frame per camera, MP4), 'transforms' (transforms.json),
        'colmap' (a COLMAP model), 'toy' (procedural), or 'auto': what `path` looks like.
      path: strip, video, folder, or transforms file or its folder; unused by 'toy'.
      truth: folder or strip (transforms: file or folder) of truth pictures; '' for none
        (transforms: transforms_test.json where the folder has one).
      mesh: file of the true geometry in the source's frame; '' for none.
      rig: camera rig of strips, folders and videos: a generator's, 'orbit' or 'grid:RxC', see
        `rigs.named_rig`. The numbers below stand above its own.
      views: indices of the input views to use, () for all; truth keeps all its views.
      input_view: index of the view, one of those used, that shows what the generator was
        given; -1 is what the rig says, view 0 of the toy, and unknown for poses from files
        and 'orbit'.
      background: 'auto' or (), 'white' or (r, g, b) in [0, 1]: what alpha is composited on,
        and the colour behind the object in pictures without alpha; 'auto' finds it in their
        borders and is white where there is none.
      mask: 'auto' (alpha where every picture has it, else background; transforms may
        end up without), 'alpha', 'background' or 'none'. Truth pictures use 'auto'
        unless 'none' is asked.
      mask_threshold: largest channel difference that still is background, in (0, 1).
      downscale: whole factor by which pictures shrink; at least 1.
      similarity: () to find it (transforms) or keep the frame (the other kinds), or
        (scale, tx, ty, tz): x_cube = scale * x_source + t.
      azimuth_deg: degrees, counter-clockwise seen from above, one angle per picture, or () for
        the rig's.
      elevation_deg: degrees above the horizon, one angle, one per picture, or () for the rig's.
      distance: camera centre to origin, in sides of the cube, or None for the rig's.
      fov_deg: full vertical angle of view in degrees, 0 for parallel rays, or None for the
        rig's.
      input_elevation_deg: elevation, in degrees, of the photo that the generator was given;
        None where unknown, which some rigs and `photo` refuse.
      photo: file of that photo, cut out or before a background of one colour, as one more
        view of its own size; '' for none. Its camera has the input view's azimuth and
        distance, see `photo_view`.
      photo_weight: how much its rays count beside those of the best generated view; above 0.
      pixel_center: rigs: where the source's code puts the first pixel's centre, 0 to 1. 0.5
        fits SyncDreamer's pictures best, 0.0 is what its own code uses.
    """

    kind: str
    path: str = ""
    truth: str = ""
    mesh: str = ""
    rig: str = "syncdreamer"
    views: tuple[int, ...] = ()
    input_view: int = -1
    background: str | tuple[float, ...] = "auto"
    mask: str = "auto"
    mask_threshold: float = THRESHOLD
    downscale: int = 1
    similarity: tuple[float, ...] = ()
    azimuth_deg: tuple[float, ...] = ()
    elevation_deg: float | tuple[float, ...] = ()
    distance: float | None = None
    fov_deg: float | None = None
    input_elevation_deg: float | None = None
    photo: str = ""
    photo_weight: float = 0.5
    pixel_center: float = 0.5

    def __post_init__(self) -> None:
        _require("kind", self.kind, KINDS)
        named_rig(self.rig)
        _require("mask", self.mask, MASKS)
        _whole("downscale", self.downscale, 1)
        for name in ("azimuth_deg", "elevation_deg", "similarity"):
            _numbers(name, getattr(self, name))
        for name in ("distance", "fov_deg", "input_elevation_deg"):
            _numbers(name, () if getattr(self, name) is None else getattr(self, name))
        _numbers("photo_weight", self.photo_weight)
        if not 0.0 < self.photo_weight < np.inf:
            raise InputError(f"photo_weight must be a positive number, got {self.photo_weight}")
        if self.photo and self.input_elevation_deg is None:
            raise InputError(
                "input_elevation_deg must be given with photo: how far above the object's horizon "
                "it was taken, in degrees; 0 is level with it, 30 looks down on it"
            )
        if self.photo and not abs(self.input_elevation_deg) <= 90.0:
            raise InputError(
                f"input_elevation_deg must lie in [-90, 90], got {self.input_elevation_deg}"
            )
        if not 0.0 <= self.pixel_center <= 1.0:
            raise InputError(f"pixel_center must lie within [0, 1], got {self.pixel_center}")
        for index in self.views:
            _whole("views", index, 0)
        _whole("input_view", self.input_view, -1)
        if self.views and self.input_view not in (-1, *self.views):
            raise InputError(
                f"input_view must be one of the views {self.views}, or -1, got {self.input_view}"
            )
        if not 0.0 < self.mask_threshold < 1.0:
            raise InputError(f"mask_threshold must lie within (0, 1), got {self.mask_threshold}")
        if self.kind != "toy" and not self.path:
            raise InputError(f"path is empty: kind={self.kind!r} needs the path of its pictures")
        if self.kind == "toy" and (self.downscale != 1 or self.similarity):
            raise InputError(
                "the toy is rendered as asked: use size instead of downscale="
                f"{self.downscale}, and leave similarity empty, got {self.similarity}"
            )
        if self.similarity:
            explicit_similarity(self.similarity)
        background_color(self.background)


def background_color(background: str | Sequence[float]) -> np.ndarray | None:
    """[3] float32 colour of 'white' or (r, g, b), None for 'auto'; ValueError outside [0, 1]."""
    _numbers("background", () if isinstance(background, str) else background)
    if isinstance(background, str):
        _require("background", background, ("auto", "white"), "or (r, g, b) in [0, 1]")
        return None if background == "auto" else np.ones(3, np.float32)
    if not len(background):
        return None
    color = np.asarray(background, np.float32)
    if color.shape != (3,) or not np.all((color >= 0) & (color <= 1)):
        raise InputError(
            f"background must be 'white' or three numbers (r, g, b) in [0, 1], got {background}"
        )
    return color


def _require(field: str, value: str, allowed: tuple[str, ...], more: str = "") -> None:
    if value not in allowed:
        choices = " | ".join(repr(one) for one in allowed)
        raise InputError(f"{field} must be {choices} {more}".rstrip() + f", got {value!r}")


def _numbers(field: str, values: float | Sequence[float]) -> None:
    for value in np.ravel(np.asarray(values, object)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise InputError(f"{field} must be of numbers, got {value!r}")


def _whole(field: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{field} must be whole numbers of at least {least}, got {value!r}")
