"""Settings of the pictures to load, as a frozen spec that is checked on creation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxvsnerf.data.rigs import named_rig
from jaxvsnerf.data.similarity import explicit_similarity
from jaxvsnerf.errors import InputError
from jaxvsnerf.system.settings import check_spec, setting

KINDS = ("auto", "strip", "folder", "video", "transforms", "colmap", "toy")
MASKS = ("auto", "alpha", "background", "none")
EXIF = ("auto", "upright", "stored")
Z_UP = (0.0, 0.0, 1.0)
LARGEST_ANGLE = 36000.0


@dataclass(frozen=True)
class DataSpec:
    """Which pictures to load, with which cameras and masks.

    Relative paths that do not exist are also tried under the environment variable
    JAXVSNERF_DATA.
    """

    kind: str = setting(
        "auto",
        "Kind of source: `strip` (views in the rows and columns of one picture), `folder` (one "
        "picture per camera of the rig), `video` (one frame per camera), `transforms` "
        "(transforms.json), `colmap` (a COLMAP model) or `toy` (a procedural object); `auto` "
        "tells the kind from `path`.",
        choices=KINDS,
    )
    path: str = setting(
        "",
        "Strip, video, folder, or transforms file or its folder; the toy needs no path. A "
        "relative path that does not exist is also tried under JAXVSNERF_DATA.",
    )
    truth: str = setting(
        "",
        "Folder or strip (transforms: file or folder) of the true pictures; '' for none "
        "(transforms: transforms_test.json if the folder has that file).",
    )
    mesh: str = setting("", "File of the true geometry, in the source's frame; '' for none.")
    rig: str = setting(
        "syncdreamer",
        "Camera rig of strips, folders and videos: the name of a generator, `orbit` or "
        "`grid:RxC`. The angles, the distance and the field of view below replace the rig's.",
    )
    views: tuple[int, ...] = setting(
        (),
        "Indices of the input views to use, () for all. The true pictures keep all their views.",
        at_least=0,
        at_most=1_000_000,
    )
    input_view: int = setting(
        -1,
        "Index of the view that shows the picture the generator was given, among the views used; "
        "-1 takes the rig's, view 0 of the toy, and no view for poses from files and `orbit`.",
        at_least=-1,
        at_most=1_000_000,
    )
    background: tuple[float, ...] = setting(
        (),
        "Colour (r, g, b) behind the object, on which transparent pictures are composited; the "
        "command line takes a name too, such as `white` or `#ffffff`. () finds the colour in the "
        "pictures' borders and takes white where the borders show none.",
        at_least=0,
        at_most=1,
        lengths=(0, 3),
    )
    mask: str = setting(
        "auto",
        "Source of the masks: `alpha`, `background`, `none`, or `auto`, which decides for each "
        "view: its mask file or an alpha channel that cuts the object out, else its background "
        "(pictures with poses from files may stay without masks). True pictures use `auto` unless "
        "this is `none`.",
        choices=MASKS,
    )
    mask_threshold: float | None = setting(
        None,
        "Largest difference of a channel from the background colour that still counts as "
        "background; None decides for each picture by the noise of its background, at most 0.04, "
        "and joins close pieces of the object by the pale pixels between them.",
        above=0,
        below=1,
    )
    downscale: int = setting(
        1, "Whole factor by which the pictures shrink.", at_least=1, at_most=1024
    )
    similarity: tuple[float, ...] = setting(
        (),
        "(scale, tx, ty, tz) that moves the source into the cube, x_cube = scale * x_source + t; "
        "() finds the numbers for poses from files and keeps the frame of other sources.",
        at_least=-1e9,
        at_most=1e9,
        lengths=(0, 4),
    )
    up: tuple[float, ...] = setting(
        (),
        "Direction (x, y, z) in the source's frame that becomes up; (0,0,1) keeps the source's "
        "frame. () takes up from the cameras of a COLMAP model, whose frame is arbitrary, and "
        "keeps the frame of other sources and with `similarity`.",
        at_least=-1e9,
        at_most=1e9,
        lengths=(0, 3),
        before=(list(Z_UP),),
    )
    exif: str = setting(
        "auto",
        "Pictures of a rig with an EXIF orientation: `upright` turns them as viewers do, `stored` "
        "takes their pixels as stored, `auto` chooses by the agreement of the views. Pictures "
        "with poses from files stay as stored, because the poses belong to the stored pixels.",
        choices=EXIF,
        before=("stored",),
    )
    azimuth_deg: tuple[float, ...] = setting(
        (),
        "Azimuth of each view, counter-clockwise seen from above; () takes the rig's.",
        at_least=-LARGEST_ANGLE,
        at_most=LARGEST_ANGLE,
        unit="degrees",
    )
    elevation_deg: tuple[float, ...] = setting(
        (),
        "Elevation above the horizon, or above the input view's elevation for some rigs: one angle "
        "per view, or (30,) for all views; () takes the rig's.",
        at_least=-180,
        at_most=180,
        unit="degrees",
    )
    distance: float | None = setting(
        None,
        "Distance from the camera centres to the origin; None takes the rig's.",
        above=0,
        at_most=1e6,
        unit="cube sides",
    )
    fov_deg: float | None = setting(
        None,
        "Full vertical field of view, 0 for parallel rays; None takes the rig's.",
        at_least=0,
        below=180,
        unit="degrees",
    )
    input_elevation_deg: float | None = setting(
        None,
        "Elevation of the photo that the generator was given; None if unknown. `photo` and some "
        "rigs need the number.",
        at_least=-90,
        at_most=90,
        unit="degrees",
    )
    photo: str = setting(
        "",
        "File of that photo, cut out or before a background of one colour, as one more view of "
        "its own size; '' for none. The photo's camera has the input view's azimuth and distance.",
    )
    photo_weight: float = setting(
        0.5,
        "Weight of the photo's rays relative to those of the most trusted generated view.",
        above=0,
        at_most=1e6,
    )
    pixel_center: float = setting(
        0.5,
        "Position of a pixel's centre within the pixel in the code that rendered the rig's "
        "pictures. 0.5 fits SyncDreamer's pictures best; SyncDreamer's own code uses 0.",
        at_least=0,
        at_most=1,
    )

    def __post_init__(self) -> None:
        check_spec(self, "data")
        named_rig(self.rig)
        if self.photo and self.input_elevation_deg is None:
            raise InputError(
                "data.input_elevation_deg must be given with data.photo: how far above the "
                "object's horizon the photo was taken, in degrees; 0 is level with the object, 30 "
                "looks down on it"
            )
        if self.views and self.input_view not in (-1, *self.views):
            raise InputError(
                f"data.input_view: expected -1 or one of data.views {tuple(self.views)}, "
                f"got {self.input_view}"
            )
        if self.kind != "toy" and not self.path:
            raise InputError(
                f"data.path: expected the path of the pictures with data.kind={self.kind!r}, "
                "got nothing"
            )
        if self.kind == "toy" and (self.downscale != 1 or self.similarity):
            raise InputError(
                "data: the toy is rendered at data.size in the cube's frame; leave data.downscale "
                f"at 1 and data.similarity empty, got {self.downscale} and {self.similarity}"
            )
        if self.similarity:
            explicit_similarity(self.similarity)
        if self.up and not any(self.up):
            raise InputError(f"data.up: expected a direction such as (0,0,1), or (), got {self.up}")


def background_color(background: tuple[float, ...]) -> np.ndarray | None:
    """[3] float32 colour of a spec's background; None for ()."""
    return np.asarray(background, np.float32) if background else None
