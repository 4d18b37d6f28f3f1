"""Which pixels the prediction of one pixel depends on, by gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from tfgen.models.autoregressive.base import AutoregressiveModel


def dependency_field(
    model: AutoregressiveModel, images: ArrayLike, row: int, column: int, *, seed: int = 0, **conditions
) -> np.ndarray:  # fmt: skip
    """How much the distribution of one pixel changes with each pixel of the image: the norm of a gradient, float32 [H, W].

    An autoregressive model may depend only on the pixels before its own, and some do not see all of these: a PixelCNN has a
    blind spot (van den Oord et al. 2016, arXiv:1606.05328, section 2.2). What is not seen has a norm of exactly 0. In one
    image a rectifier may hide what another image shows, so give several.

    Example:
        >>> model = tfgen.models.PixelCNN(image_shape=(4, 4, 1), levels=2, width=4, depth=1, first_kernel_size=3)
        >>> images = np.random.default_rng(0).integers(0, 2, [8, 4, 4, 1]).astype("float32")
        >>> field = tfgen.metrics.dependency_field(model, images, 2, 1)
        >>> field.shape, bool(field[2, 1:].any() or field[3].any())
        ((4, 4), False)

    Args:
      model: an autoregressive model with one network for the whole image, so not a multi-scale one.
      images: float32 [B, H, W, C] in [0, 1], of the model's levels.
      row, column: the pixel. Of several channels, those that come later depend on the earlier ones of the same pixel.
      seed: of the random weights with which the parameters of the distribution are added up, others for each image.
      **conditions: e.g. `labels` int [B], for a conditional model.

    Returns:
      The root mean square over images, of the gradients of the weighted sum by the channels of each pixel.

    Raises:
      ValueError: the model has no single network of the whole image, or the pixel is not one of the image.
    """
    import tensorflow as tf

    from tfgen.sampling.cached import Whole

    if not hasattr(model, "levels_of") or hasattr(model, "factors"):
        raise ValueError(
            f"model must be autoregressive, with one network for the whole image; received a {type(model).__name__}"
        )
    height, width, _ = model.image_shape
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"the pixel must be one of {height} x {width}, counted from 0; received ({row}, {column})")
    levels = model.levels_of(images)
    condition = model.condition(**model.check_conditions(levels.shape[0], conditions))
    x = model.prepare(levels)
    with tf.GradientTape() as tape:
        tape.watch(x)
        parameters = tf.cast(model.network(x, Whole(), condition)[:, row, column], tf.float32)
        total = tf.reduce_sum(parameters * np.random.default_rng(seed).normal(size=parameters.shape).astype(np.float32))
    gradient = np.asarray(tape.gradient(total, x), np.float32)
    return np.sqrt(np.mean(np.sum(gradient**2, axis=-1), axis=0))
