"""Measures differences between views and their truth, view by view."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from jaxvsnerf.metrics.lpips import Lpips
from jaxvsnerf.metrics.scores import score_views
from jaxvsnerf.system.extras import require
from jaxvsnerf.types import ViewSet

# Octave bands of the residual: Gaussians of these deviations, in pixels at 256.
BANDS_PX = (1, 2, 4, 8, 16)
STATISTICS = (
    "iou",
    "flow",
    "flow90",
    "residual",
    "luminance",
    "sharpness",
    *(f"band{sigma}" for sigma in BANDS_PX),
)


def measure(views: ViewSet, truth: ViewSet, perceptual: Lpips | None) -> dict[str, np.ndarray]:
    """Measures all statistics.

    Args:
      views: V views with masks.
      truth: the true pictures of the same views, with masks.
      perceptual: network and weights of LPIPS, or None.

    Returns:
      Name -> [V]: psnr, ssim, lpips (with weights only), and STATISTICS.
    """
    scores = score_views(views.images, truth.images, truth.names, perceptual)
    found = {
        name: np.array(scores[name]["per_view"])
        for name in ("psnr", "ssim", "lpips")
        if scores[name]
    }
    rows = [
        list(view_statistics(*view))
        for view in zip(views.images, views.masks, truth.images, truth.masks, strict=True)
    ]
    return {**found, **dict(zip(STATISTICS, np.array(rows).T, strict=True))}


def view_statistics(
    image: np.ndarray, mask: np.ndarray, truth: np.ndarray, truth_mask: np.ndarray
) -> Iterator[float]:
    """Measures STATISTICS of one view.

    Args:
      image: [height, width, 3].
      mask: [height, width] opacity.
      truth: [height, width, 3].
      truth_mask: [height, width].

    Yields:
      iou: IoU of the silhouettes.
      flow, flow90: median and 90 % quantile of the optical flow within both silhouettes, in pixels.
      residual: deviation within both silhouettes after removing the flow and a linear map of the
        colours.
      luminance: share of light and dark in the residual.
      sharpness: mean fine contrast divided by that of the truth.
      band1 ...: deviation of the residual in octave bands.
    """
    inside, own = mask > 0.5, truth_mask > 0.5
    both = inside & own
    yield both.sum() / (inside | own).sum()
    gray, true_gray = image.mean(-1), truth.mean(-1)
    flow = require("skimage.registration", "optical flow").optical_flow_tvl1(
        gray, true_gray, attachment=15, num_warp=10
    )
    yield from np.quantile(np.hypot(*flow)[both], [0.5, 0.9])
    places = np.indices(gray.shape) + flow
    moved = [map_coordinates(truth[..., c], places, order=1, mode="nearest") for c in range(3)]
    terms = np.stack([*(channel[both] for channel in moved), np.ones(both.sum())], -1)
    fitted = terms @ np.linalg.lstsq(terms, image[both], rcond=None)[0]
    remaining = np.zeros_like(image)
    remaining[both] = image[both] - fitted
    spread = max(float(remaining[both].std()), 1e-12)
    yield spread
    yield remaining[both].mean(-1).std() / spread
    yield _contrast(gray, both) / max(_contrast(true_gray, both), 1e-12)
    yield from _bands(remaining, both)


def _contrast(gray: np.ndarray, where: np.ndarray) -> float:
    return float(np.abs(gray - gaussian_filter(gray, 1.0))[where].mean())


def _bands(remaining: np.ndarray, where: np.ndarray) -> Iterator[float]:
    """Deviation of the residual in each band."""
    finer = remaining
    for sigma in BANDS_PX:
        coarser = gaussian_filter(remaining, (sigma, sigma, 0))
        yield float((finer - coarser)[where].std())
        finer = coarser
