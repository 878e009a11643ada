"""Asks whether masks can be silhouettes of one object, and says where the masks come from."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from jaxvsnerf.data.borders import THRESHOLD
from jaxvsnerf.data.mask_sources import ALPHA, BACKGROUND, FILE, some
from jaxvsnerf.diagnose.remarks import Remark
from jaxvsnerf.geometry.cameras import HALF_EXTENT
from jaxvsnerf.types import Cameras, ViewSet

# Largest height in pixels at which masks are compared, and cells of the cube along an axis.
SIZE, CELLS = 64, 24
# Share of the picture, or of its border, from which a mask covers nearly all of it. Objects that
# the border cuts stay below: they cover a part of the border.
NEARLY_ALL = 0.9
# Share of the views whose masks may exclude a point that the others share: generated silhouettes
# contradict each other.
FORGIVEN = 0.1
# A mask does not fit if the hull of the others leaves out more than the first share of it, while
# at the median it leaves out less than the second. Right sets reach 0.09 for a single mask.
MISFIT, FIT = 0.5, 0.25
# Share of a mask of the whole picture that the others leave out, from which the picture is no
# close-up.
NO_CLOSE_UP = 0.15
# Share of the median area below which a mask shows nearly nothing.
NEARLY_NOTHING = 0.03
# Share of a filled silhouette that is holes, from which a mask shows outlines alone.
HOLLOW = 0.6
# Share of its bounding box from which a mask is a rectangle, and share of the views with such masks
# from which the masks may be windows.
FILLED, WINDOWS = 0.985, 0.9
# A second background within such masks: the share of the rim that has its colour, and the shares
# of the mask that differ from that colour, at least and at most.
RIM_SHARE, LEAST_INNER, INNER = 0.9, 0.02, 0.6
# A corner of the picture, as a share of its shorter side. Two corners within the mask are an uneven
# background if they are nearly smooth and differ little from the background, all channels alike.
CORNER, SMOOTH, PALE, NEUTRAL = 0.06, 0.05, 0.4, 0.04
PARTS = {ALPHA: "alpha", BACKGROUND: "background", FILE: "mask files"}


def mask_facts(views: ViewSet) -> str:
    """Where the masks of a set of views come from, and how much of the pictures they cover.

    Returns:
      A line such as 'masks: alpha of 1 view, background of 5; they cover 18 to 31 %'.
    """
    if views.masks is None:
        return (
            "warning: no masks: everything that a picture shows counts as object, its surroundings "
            "too; cut the object out (RGBA pictures or mask files), or give pictures before a "
            "background of one colour"
        )
    count = len(views.masks)
    parts = [
        (words, views.mask_sources.count(source))
        for source, words in PARTS.items()
        if source in views.mask_sources
    ]
    texts = [f"{words} of {number}" for words, number in parts] or [f"of {count}"]
    number = parts[0][1] if parts else count
    texts[0] += " view" if number == 1 else " views"
    shares = 100.0 * (np.asarray(views.masks) > 0.5).mean((1, 2))
    low, high = (f"{one:.0f}" if one >= 1 else f"{one:.2g}" for one in (shares.min(), shares.max()))
    cover = f"{low} %" if low == high else f"{low} to {high} %"
    return f"masks: {', '.join(texts)}; they cover {cover} of the picture{'s' * (count > 1)}"


def silhouette_remarks(views: ViewSet) -> list[Remark]:
    """Findings about the masks of a set of views; none for views without masks.

    Args:
      views: V views, at least one, cameras in the object's cube.
    """
    if views.masks is None:
        return []
    masks, cameras = _small(np.asarray(views.masks), views.cameras)
    doubted = _nearly_all(masks)
    remarks = [] if doubted.all() else _windows(masks, views)
    if uneven := _uneven_background(views):
        return [*remarks, uneven]
    others = ~doubted
    left_out, misfits = np.zeros(len(masks)), np.zeros(len(masks), bool)
    if others.sum() >= 2:
        forgiven = int(FORGIVEN * others.sum())
        # Of four views, one may be wrong; of fewer, all must agree.
        left_out = _left_out(masks, cameras, others, max(forgiven, int(others.sum() > 3)))
        fits = np.median(left_out[others]) < FIT
        misfits = others & fits & (left_out > MISFIT)
        if doubted.any():
            # Close-ups fill the picture: the object that the others show does so, too.
            doubted &= fits & (_left_out(masks, cameras, others, forgiven) > NO_CLOSE_UP)
    if doubted.any():
        remarks.append(_covering(masks, doubted, views))
    if misfits.any():
        names = _names(views, misfits)
        text = (
            f"{names}: the mask does not fit the others, whose common hull leaves out "
            f"{left_out[misfits].max():.0%} of it; look at the masks with python -m "
            "jaxvsnerf.inspect, cut the view out anew or leave it out with data.views"
        )
        remarks.append(Remark("A mask that does not fit the others", text, stop=False))
    return [*remarks, *_thin(masks, views)]


def _windows(masks: np.ndarray, views: ViewSet) -> list[Remark]:
    """The remark on masks that are rectangles around a second background; [] if there is none."""
    boxes = [ndimage.find_objects(mask.astype(int)) for mask in masks]
    filled = [
        bool(box) and mask[box[0]].mean() >= FILLED for mask, box in zip(masks, boxes, strict=True)
    ]
    if np.mean(filled) < WINDOWS:
        return []
    pairs = zip(views.images, views.masks, strict=True)
    if np.mean([_has_background(*pair) for pair in pairs]) < 0.5:
        return []
    text = (
        f"the masks of {sum(filled)} of {len(masks)} views are rectangles with a background of one "
        "colour inside, as of a frame, a window or a bounding box around the object: cut the "
        "object itself out, or crop the frame away; an object that looks so trains with data.mask "
        "set to alpha or background"
    )
    return [Remark("Masks of windows", text, stop=True)]


def _has_background(image: np.ndarray, mask: np.ndarray) -> bool:
    """Whether a mask [height, width] holds a background of one colour around a smaller object."""
    solid = np.asarray(mask) > 0.5
    inside = ndimage.binary_erosion(solid, iterations=2)
    rim = inside & ~ndimage.binary_erosion(inside, iterations=2)
    if not rim.any():
        return False
    colour = np.median(image[rim], 0)
    same = np.abs(image - colour).max(-1) <= THRESHOLD
    inner = (~same & inside).sum() / solid.sum()
    return bool(same[rim].mean() >= RIM_SHARE and LEAST_INNER < inner < INNER)


def _uneven_background(views: ViewSet) -> Remark | None:
    """The remark on masks from the background that hold corners of the pictures."""
    found = [
        source == BACKGROUND and _holds_corners(*pair, views.background)
        for source, *pair in zip(views.mask_sources, views.images, views.masks, strict=False)
    ]
    if not found or np.mean(found) < 0.5:
        return None
    text = (
        f"{_names(views, np.array(found))}: corners of the picture count as object, since the "
        "background is not of one colour (a vignette, a gradient, a wall and a floor): cut the "
        "object out (RGBA pictures or mask files), or give a larger data.mask_threshold"
    )
    return Remark("Background of several colours", text, stop=True)


def _holds_corners(image: np.ndarray, mask: np.ndarray, background: np.ndarray) -> bool:
    """Whether a mask [height, width] holds two smooth, pale corners of the picture."""
    side = max(round(CORNER * min(mask.shape)), 2)
    ends = slice(None, side), slice(-side, None)
    count = 0
    for window in ((rows, columns) for rows in ends for columns in ends):
        pixels = image[window].reshape(-1, 3)
        ratio = pixels.mean(0) / np.maximum(background, 1e-3)
        count += bool(
            mask[window].mean() > 0.5
            and pixels.std(0).max() < SMOOTH
            and np.abs(pixels.mean(0) - background).max() < PALE
            and np.ptp(ratio) < NEUTRAL
        )
    return count >= 2


def _nearly_all(masks: np.ndarray) -> np.ndarray:
    """[V] bool, masks that cover nearly all of the picture or of its border."""
    edges = [masks[:, 0], masks[:, -1], masks[:, 1:-1, 0], masks[:, 1:-1, -1]]
    border = np.concatenate(edges, axis=1).mean(1)
    return (masks.mean((1, 2)) >= NEARLY_ALL) | (border >= NEARLY_ALL)


def _covering(masks: np.ndarray, doubted: np.ndarray, views: ViewSet) -> Remark:
    """The remark on masks that cover nearly all of their pictures or of their borders."""
    shares = masks[doubted].mean((1, 2))
    names = _names(views, doubted)
    if shares.max() < NEARLY_ALL:
        text = (
            f"{names}: the mask covers the picture's border and leaves out a part inside, as if "
            "object and surroundings were exchanged: save the masks with the object white, or the "
            "pictures with transparent surroundings"
        )
        return Remark("Masks with object and surroundings exchanged", text, stop=True)
    sources = {views.mask_sources[index] for index in np.flatnonzero(doubted) if views.mask_sources}
    other = " (RGBA pictures or mask files)"
    if sources != {BACKGROUND}:
        other = ", or let the background decide (data.mask=background)"
    text = (
        f"{names}: the mask covers {shares.max():.0%} of the picture and cannot be a silhouette, "
        f"so training would make a block: cut the object out{other}; data.mask=none trains without "
        "masks"
    )
    return Remark("Masks that cover the whole picture", text, stop=True)


def _thin(masks: np.ndarray, views: ViewSet) -> list[Remark]:
    """Remarks on masks that show nearly nothing, or outlines alone."""
    areas = masks.sum((1, 2))
    filled = np.array([ndimage.binary_fill_holes(mask).sum() for mask in masks])
    tiny = areas < NEARLY_NOTHING * np.median(areas)
    hollow = areas < (1.0 - HOLLOW) * filled
    remarks = []
    if tiny.any():
        text = (
            f"{_names(views, tiny)}: the mask covers nearly nothing, less than "
            f"{NEARLY_NOTHING:.0%} of the others at the median; cut the view out anew or leave it "
            "out with data.views"
        )
        remarks.append(Remark("A mask that shows nearly nothing", text, stop=False))
    if hollow.mean() > 0.5:
        text = (
            f"{_names(views, hollow)}: the mask is an outline around holes, as of a pale object "
            "before a pale background: give pictures with alpha, or a smaller data.mask_threshold"
        )
        remarks.append(Remark("Masks of outlines alone", text, stop=False))
    return remarks


def _names(views: ViewSet, which: np.ndarray) -> str:
    return some([name for name, one in zip(views.names, which, strict=True) if one])


def _small(masks: np.ndarray, cameras: Cameras) -> tuple[np.ndarray, Cameras]:
    """[V, height, width] bool masks of at most SIZE rows, borders kept, and their cameras."""
    height, width = masks.shape[1:]
    rows = min(SIZE, height)
    columns = max(round(width * rows / height), 1)
    y, x = (
        np.rint(np.linspace(0, full - 1, few)).astype(int)
        for full, few in ((height, rows), (width, columns))
    )
    scale = np.array([columns / width, rows / height, 1.0])
    intrinsics = np.asarray(cameras.intrinsics, np.float64) * scale[:, None]
    small = cameras.replace(intrinsics=intrinsics, width=columns, height=rows)
    return masks[:, y[:, None], x] > 0.5, small


def _left_out(masks: np.ndarray, cameras: Cameras, carving: np.ndarray, allowed: int) -> np.ndarray:
    """[V] share of each mask that the hull of the other masks leaves out.

    Args:
      masks: [V, height, width] bool.
      cameras: their cameras.
      carving: [V] bool, views whose masks carve the hull.
      allowed: masks that may exclude a point of the hull.
    """
    count, (height, width) = len(masks), masks.shape[1:]
    axis = (((np.arange(CELLS) + 0.5) / CELLS * 2.0 - 1.0) * HALF_EXTENT).astype(np.float32)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    w2c = np.asarray(cameras.w2c, np.float32)
    k = np.asarray(cameras.intrinsics, np.float32)
    places = np.empty((count, len(points), 2), np.int32)
    reach = np.empty(count, int)
    for view in range(count):
        seen = points @ w2c[view, :, :3].T + w2c[view, :, 3]
        depth = np.maximum(k[view, 2, 2] * seen[:, 2] + 1.0 - k[view, 2, 2], 1e-3)
        flat = seen[:, :2] @ k[view, :2, :2].T / depth[:, None] + k[view, :2, 2]
        places[view] = np.floor(flat.clip(-1.0, max(height, width) + 1.0))
        cell = 2.0 * HALF_EXTENT / CELLS * k[view, 0, 0] / np.median(depth)
        reach[view] = np.clip(np.ceil(cell), 1, SIZE // 4)
    x, y = places[..., 0].clip(0, width - 1), places[..., 1].clip(0, height - 1)
    # A picture continues beyond its border: an object that the border cuts does so, too.
    misses = ~masks[np.arange(count)[:, None], y, x] & carving[:, None]
    total = misses.sum(0)
    shares = np.empty(count)
    for view in range(count):
        kept = total - misses[view] <= allowed
        inside = kept & (places[view] >= 0).all(1) & (places[view] < (width, height)).all(1)
        shown = np.zeros((height, width), bool)
        shown[y[view, inside], x[view, inside]] = True
        window = 2 * reach[view] + 1
        shown = ndimage.maximum_filter(shown.view(np.uint8), window, mode="constant") > 0
        shares[view] = (masks[view] & ~shown).sum() / max(masks[view].sum(), 1)
    return shares
