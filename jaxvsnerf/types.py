"""Data passed between the rooms: frozen dataclasses without logic.

Letters in shapes: R rays, S samples, V views, H heads, F features, C channels, G grid cells
along an axis; a leading `...` stands for any number of batch axes. Every class is a pytree whose
fields are leaves, unless marked `static`.

World: right-handed, z up, the object inside the cube of side 1 around the origin.
Cameras: world-to-camera, OpenCV axes (x right, y down, z forward); pixel centres at
+0.5. Unit of length: the side of that cube.
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
    """V cameras with one picture size, each perspective or orthographic.

    p = K[2, 2] is 1 for perspective and 0 for orthographic projection (parallel rays). A point
    (X, Y, Z) of the camera's frame projects to K[:2, :2] (X, Y) / w + K[:2, 2], where
    w = p Z + (1 - p).

    Attributes:
      intrinsics: [V, 3, 3] K; focal lengths in pixels, of orthographic cameras in pixels per
        unit of length.
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
    """A similarity transform: x_target = scale * rotation @ x_source + translation.

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
    """Posed pictures of one object, as numpy arrays on the host.

    Attributes:
      images: [V, height, width, 3] float32 in [0, 1], composited on `background`.
      masks: [V, height, width] float32 opacity in [0, 1], or None if unknown.
      cameras: V cameras of the pictures, in the object's cube.
      background: [3] float32 in [0, 1].
      names: V unique names, static (file stem or view number).
      input_axis: [3] unit optical axis of the picture that the views were generated from,
        or None if unknown.
      weights: [V] weight of each view in the loss, at least 0, or None for equal weights; a view
        of weight 0 does not carve the visual hull either.
      mask_sources: where each view's mask comes from ('alpha', 'background', 'file', 'scene'),
        static; () if there are no masks, or if that is unknown.
      notes: lines for the user on how the pictures were read, static.
    """

    images: Array
    masks: Array | None
    cameras: Cameras
    background: Array
    names: tuple[str, ...] = flax.struct.field(pytree_node=False)
    input_axis: Array | None = None
    weights: Array | None = None
    mask_sources: tuple[str, ...] = flax.struct.field(pytree_node=False, default=())
    notes: tuple[str, ...] = flax.struct.field(pytree_node=False, default=())


class Surface(NamedTuple):
    """A triangle mesh, in numpy.

    Attributes:
      vertices: [N, 3].
      faces: [M, 3] vertex indices, counter-clockwise seen from outside.
    """

    vertices: np.ndarray
    faces: np.ndarray


@flax.struct.dataclass
class Photo:
    """The photo that views were generated from, used as one more training view.

    Attributes:
      view: the photo with mask and camera, V = 1; the picture size may differ from the views'.
      weight: weight of the photo's rays relative to the best generated view's, positive, static.
      overlap: intersection over union, 0 to 1, of the photo's mask and the projected hull of the
        generated views, static.
      best_deg: camera elevation in degrees of the largest overlap among those tried, static.
      best_overlap: the overlap at `best_deg`, static.
    """

    view: ViewSet
    weight: float = flax.struct.field(pytree_node=False)
    overlap: float = flax.struct.field(pytree_node=False)
    best_deg: float = flax.struct.field(pytree_node=False)
    best_overlap: float = flax.struct.field(pytree_node=False)


@flax.struct.dataclass
class Dataset:
    """The pictures of one object, as a data source returns them.

    Attributes:
      inputs: the pictures to reconstruct from, unprocessed.
      truth: pictures to score renderings against, from any cameras, or None.
      clean: [V, height, width, 3] ground truth of the input pictures, or None; scores the inputs
        themselves.
      to_cube: similarity from the source's frame to the object's cube.
      prepared: the inputs after preprocessing, used for training; None trains on `inputs`.
      photo: the photo that the inputs were generated from, if used as a training view, or None.
    """

    inputs: ViewSet
    truth: ViewSet | None
    clean: Array | None
    to_cube: Similarity
    prepared: ViewSet | None = None
    photo: Photo | None = None


@flax.struct.dataclass
class Rays:
    """Rays of any batch shape: points origins + t directions.

    Attributes:
      origins: [..., 3].
      directions: [..., 3], scaled so that depth along the optical axis grows by 1 per unit of t.
      viewdirs: [..., 3] directions of unit length.
      radii: [..., 1] radius of the pixel's cone at t = 1 (mip-NeRF's footprint), or of the
        cylinder for parallel rays.
      near: [..., 1] t at which the ray enters the object's cube.
      far: [..., 1] t at which the ray leaves the cube; for a ray that misses the cube, far - near
        is tiny.
      view_index: [...] int32 index of the ray's camera.
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
    """Samples at which a field is evaluated: S intervals per ray.

    Attributes:
      means: [..., S, 3] interval centres in the cube.
      covs: [..., S, 3, 3] covariances of the intervals' Gaussians (mip-NeRF), or None.
      t_edges: [..., S + 1] interval edges along the ray.
      lengths: [..., S] interval lengths in cube units.
      viewdirs: [..., 3] unit directions, or None to evaluate the volume without view dependence
        (density grid, mesh).
    """

    means: Array
    covs: Array | None
    t_edges: Array
    lengths: Array
    viewdirs: Array | None


@flax.struct.dataclass
class FieldOut:
    """A field's output at samples.

    Attributes:
      optical_depth: [..., S] optical depth of each interval (NeRF: density x length), at least 0.
      rgb: [..., S, 3] colour in [0, 1].
      extras: name -> [..., S, C], further outputs, composited like colour; losses may read them.
    """

    optical_depth: Array
    rgb: Array
    extras: dict[str, Array]


@flax.struct.dataclass
class Context:
    """Inputs of a field besides parameters and samples.

    Attributes:
      view_dirs: [V, 3] unit optical axes of the input views (camera towards object).
      view_centers: [V, 3] camera centres of the input views.
      branch: [] int32 view whose branch the mode `nearest` uses.
      detail: [] share of the encoding's frequencies in use, 0 (the coarsest only) to 1, see
        `open_frequencies`; None means all.
      cos_anneal: [] share of NeuS's cosine annealing that is done, 0 to 1, see
        `fields.neus.facing`; None means all.
    """

    view_dirs: Array
    view_centers: Array
    branch: Array
    detail: Array | None = None
    cos_anneal: Array | None = None


@flax.struct.dataclass
class Rendering:
    """The result of compositing rays.

    Attributes:
      rgb: [..., 3] colour on the background.
      acc: [...] accumulated opacity in [0, 1].
      distance: [...] mean t under the weights; far for rays that hit nothing.
      weights: [..., S] compositing weights of the intervals.
      t_edges: [..., S + 1] interval edges; an interval may include a gap that does not count.
      middles: [..., S] t of the samples.
      extras: name -> [..., C], composited further outputs.
      out: the field's output at the samples, or None.
    """

    rgb: Array
    acc: Array
    distance: Array
    weights: Array
    t_edges: Array
    middles: Array
    extras: dict[str, Array]
    out: FieldOut | None = None


@flax.struct.dataclass
class TrainState:
    """The state that training changes; without PRNG keys, which derive from seed, stage and step.

    Attributes:
      step: [] int32 steps done in this stage.
      params: parameters in the groups shared, views, attention, heads and encoding; attention
        exists in mode fused, encoding for encodings with parameters.
      opt_state: optimiser state of the stage's trainable groups.
      sampler: state of the samplers (the density grid, or None), equal on all devices.
    """

    step: Array
    params: Params
    opt_state: Any
    sampler: Any
