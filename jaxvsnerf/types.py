"""Data that travels between the rooms: frozen dataclasses and no logic.

Letters in shapes: R rays, S samples, V views, H heads, F features, G grid cells
along an axis; a leading `...` is any number of batch axes. Every class is a pytree
except where a field says `static`.

World: right-handed, z up, the object inside the cube of side 1 around the origin.
Cameras: world-to-camera, OpenCV axes (x right, y down, z forward); pixel centres at
+0.5. Lengths are in sides of that cube.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.struct
import jax
import numpy as np

Array = jax.Array
Params = dict[str, Any]


@flax.struct.dataclass
class Cameras:
    """V cameras that share one picture size, each perspective or orthographic.

    With p = K[2, 2], which is 1 for perspective and 0 for orthographic (parallel rays), a
    point (X, Y, Z) of the camera's frame is seen at K[:2, :2] (X, Y) / w + K[:2, 2], where
    w = p Z + (1 - p).

    Attributes:
      intrinsics: [V, 3, 3] K; its focal lengths are in pixels, of an orthographic camera in
        pixels per unit of length.
      w2c: [V, 3, 4] world-to-camera [R | t], OpenCV axes.
      width: picture width in pixels, static.
      height: picture height in pixels, static.
    """

    intrinsics: Array
    w2c: Array
    width: int = flax.struct.field(pytree_node=False)
    height: int = flax.struct.field(pytree_node=False)


@flax.struct.dataclass
class Similarity:
    """x_cube = scale * rotation @ x_source + translation.

    Attributes:
      scale: [] positive factor.
      rotation: [3, 3] proper rotation.
      translation: [3].
    """

    scale: Array
    rotation: Array
    translation: Array


@flax.struct.dataclass
class ViewSet:
    """Posed pictures of one object, on the host (numpy) until a function needs them.

    Attributes:
      images: [V, height, width, 3] float32 in [0, 1], already composited on `background`.
      masks: [V, height, width] float32 opacity in [0, 1], or None where unknown.
      cameras: their V cameras, in the object's cube.
      background: [3] float32 in [0, 1].
      names: V names, static (file stem or view number), unique.
      input_axis: [3] unit optical axis of the picture that the views were generated from,
        or None where unknown.
      weights: [V] of each view in the loss, at least 0, or None for all alike; a view of
        weight 0 does not carve the hull either.
    """

    images: Array
    masks: Array | None
    cameras: Cameras
    background: Array
    names: tuple[str, ...] = flax.struct.field(pytree_node=False)
    input_axis: Array | None = None
    weights: Array | None = None


class Surface(NamedTuple):
    """A triangle mesh, in numpy.

    Attributes:
      vertices: [N, 3].
      faces: [M, 3] indices of vertices, counter-clockwise seen from outside.
    """

    vertices: np.ndarray
    faces: np.ndarray


@flax.struct.dataclass
class Photo:
    """The photo that views were generated from, as one more view of its own size.

    Attributes:
      view: one picture with mask and camera.
      weight: how much its rays count beside those of the best generated view, positive.
      overlap: of its outline with the generated views', intersection over union, 0 to 1.
      best_deg: the elevation, of those looked at, at which they overlap most.
      best_overlap: by how much.
    """

    view: ViewSet
    weight: float = flax.struct.field(pytree_node=False)
    overlap: float = flax.struct.field(pytree_node=False)
    best_deg: float = flax.struct.field(pytree_node=False)
    best_overlap: float = flax.struct.field(pytree_node=False)


@flax.struct.dataclass
class Dataset:
    """What a source yields.

    Attributes:
      inputs: the pictures to reconstruct from, as they came.
      truth: pictures to score against, from any cameras, or None.
      clean: [V, height, width, 3] what the input pictures should have shown, or None;
        scores the inputs themselves.
      to_cube: similarity from the source's frame to the object's cube.
      prepared: the inputs as they are trained on; None is as they came.
      photo: what the inputs were generated from, where it is one more view, or None.
    """

    inputs: ViewSet
    truth: ViewSet | None
    clean: Array | None
    to_cube: Similarity
    prepared: ViewSet | None = None
    photo: Photo | None = None


@flax.struct.dataclass
class Rays:
    """Rays of any batch shape.

    Attributes:
      origins: [..., 3].
      directions: [..., 3], depth along the optical axis grows by 1 per unit of t.
      viewdirs: [..., 3] unit length.
      radii: [..., 1] radius of the pixel's cone at t = 1 (mip-NeRF's footprint); of parallel
        rays, of its cylinder.
      near: [..., 1] t where the ray enters the object's cube.
      far: [..., 1] t where it leaves; a ray that misses has far - near tiny.
      view_index: [...] int32 index of the camera a ray belongs to.
    """

    origins: Array
    directions: Array
    viewdirs: Array
    radii: Array
    near: Array
    far: Array
    view_index: Array


@flax.struct.dataclass
class Samples:
    """What a field is asked about.

    Attributes:
      means: [..., S, 3] interval centres in the cube.
      covs: [..., S, 3, 3] their Gaussians (mip-NeRF), or None.
      t_edges: [..., S + 1] interval ends along the ray.
      lengths: [..., S] interval lengths in cube units.
      viewdirs: [..., 3] unit directions, or None for questions about the volume
        alone (density grid, mesh): nothing view-dependent then applies.
    """

    means: Array
    covs: Array | None
    t_edges: Array
    lengths: Array
    viewdirs: Array | None


@flax.struct.dataclass
class FieldOut:
    """What a field answers.

    Attributes:
      optical_depth: [..., S] per interval (NeRF: density x length), not negative.
      rgb: [..., S, 3] in [0, 1].
      extras: name -> [..., S, C], composited like colour; losses may read them.
    """

    optical_depth: Array
    rgb: Array
    extras: dict[str, Array]


@flax.struct.dataclass
class Context:
    """What an end of the field may need beside the samples.

    Attributes:
      view_dirs: [V, 3] unit optical axes of the input views (camera towards object).
      view_centers: [V, 3] camera centres of the input views.
      branch: [] int32, the view whose branch the mode `nearest` reads.
      detail: [] share of the encoding's frequencies, 0 (the coarsest alone) to 1, see
        `open_frequencies`; None is all of them.
    """

    view_dirs: Array
    view_centers: Array
    branch: Array
    detail: Array | None = None


@flax.struct.dataclass
class Rendering:
    """What compositing returns.

    Attributes:
      rgb: [..., 3] on the given background.
      acc: [...] opacity in [0, 1].
      distance: [...] expected t over the weights, far where nothing was hit.
      weights: [..., S].
      t_edges: [..., S + 1].
      extras: name -> [..., C].
    """

    rgb: Array
    acc: Array
    distance: Array
    weights: Array
    t_edges: Array
    extras: dict[str, Array]


@flax.struct.dataclass
class TrainState:
    """Everything one stage changes; no PRNG key: keys derive from seed, stage and step.

    Attributes:
      step: [] int32, steps done in this stage.
      params: groups shared / views / attention / heads (+ encoding where it learns).
      opt_state: optimiser state of the stage's trainable groups.
      sampler: what the samplers learn (density grid), identical on every device.
    """

    step: Array
    params: Params
    opt_state: Any
    sampler: Any
