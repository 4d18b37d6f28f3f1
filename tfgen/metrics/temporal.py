"""Changes between the frames of clips that no motion explains."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def temporal_l1(frames: ArrayLike, flow: ArrayLike, confidence: ArrayLike | None = None) -> np.ndarray:
    """Mean absolute difference between each frame and the frame before, moved by the flow.

    It measures flicker, as in Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, arXiv:1808.00449, section
    4.2, there with squares. A clip that stays as it is, with the flow 0, has 0: compare it with the value of real clips.

    Example:
        >>> frames = np.zeros([1, 3, 4, 4, 3])
        >>> frames[:, 1] = 0.5
        >>> temporal_l1(frames, np.zeros([1, 3, 4, 4, 2])).tolist()
        [0.5]

    Args:
      frames: float [N, T, H, W, C] in [0, 1], of at least two frames.
      flow: [N, T, H, W, 2], (dx, dy) in pixels from a pixel to the place of its point in the frame before. The flow of the
        first frame is not used.
      confidence: [N, T, H, W], the weight of each pixel, such as 0 where the point was hidden; None: all are 1.

    Returns:
      float64 [N]: the weighted mean over pixels, channels and frames; 0 if all weights are 0.

    Raises:
      ValueError: wrong shapes.
    """
    from tfgen.layers import warp_by_flow

    frames, flow = np.asarray(frames, np.float64), np.asarray(flow, np.float64)
    if frames.ndim != 5 or frames.shape[1] < 2:
        raise ValueError(f"frames must be [N, T, H, W, C] with at least two frames; received {frames.shape}")
    if flow.shape != (*frames.shape[:4], 2):
        raise ValueError(f"flow must have the shape {(*frames.shape[:4], 2)}; received {flow.shape}")
    weight = np.ones(frames.shape[:4]) if confidence is None else np.asarray(confidence, np.float64)
    if weight.shape != frames.shape[:4]:
        raise ValueError(f"confidence must have the shape {frames.shape[:4]}; received {weight.shape}")
    total, count = np.zeros(len(frames)), np.zeros(len(frames))
    for t in range(1, frames.shape[1]):
        difference = np.abs(frames[:, t] - warp_by_flow(frames[:, t - 1], flow[:, t]).numpy()).mean(axis=-1)
        total += (weight[:, t] * difference).sum(axis=(1, 2))
        count += weight[:, t].sum(axis=(1, 2))
    return total / np.where(count > 0, count, 1.0)
