"""Images on the way from one photo to another (Zhu et al. 2016, arXiv 1609.03552)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tfgen.sampling.interpolation import decoded, latent_path

if TYPE_CHECKING:
    import keras  # the client needs this package without Keras


def morph(
    model: keras.Model, images: ArrayLike, others: ArrayLike, steps: int = 9, *, keep_detail: bool = True
) -> np.ndarray:  # fmt: skip
    """Images on the way from photos to others: both are projected, and the codes on the line between theirs decoded.

    Example:
        model = tfgen.models.IGAN(image_shape=gan.image_shape, generator=gan)  # of a trained GAN
        images = tfgen.sampling.morph(model, photos, others)
        tfgen.sampling.save_png("morph.png", images.reshape(-1, *gan.image_shape), columns=9)

    Args:
      model: a `Projector`: it has `project(images) -> {"latent", "image"}` and `decode_images(latents)`.
      images, others: [B, H, W, C] in [0, 1].
      steps: number of images, at least 2.
      keep_detail: whether each image also has what the projections lack of both photos, in the same mixture as the codes, so
        that the first and the last image are the photos.

    Returns:
      float32 [B, steps, H, W, C] in [0, 1].

    Raises:
      ValueError: fewer than 2 steps, or another number of `others`.
    """
    images, others = np.asarray(images, np.float32), np.asarray(others, np.float32)
    if images.shape != others.shape:
        raise ValueError(f"images and others must have equal shapes; received {images.shape} and {others.shape}")
    start, end = (
        {name: np.asarray(found[name]) for name in ("latent", "image")} for found in map(model.project, (images, others))
    )
    made = decoded(model, latent_path(start["latent"], end["latent"], steps))
    if keep_detail:
        t = np.linspace(0.0, 1.0, steps, dtype=np.float32)[:, None, None, None]
        made = made + (1.0 - t) * (images - start["image"])[:, None] + t * (others - end["image"])[:, None]
    return np.clip(made, 0.0, 1.0)
