"""Pictures of a StyleGAN: mixed styles, truncation, and what noise does.

Karras, Laine, Aila 2019, arXiv:1812.04948, figures 3, 4, 5 and 8. All functions take a `tfgen.models.StyleGAN` and seeds of
its images, of a conditional model also their labels. `image_grid` makes a picture of the images of all rows:

    rows = truncation_strip(model, [1, 2, 3])                                             # [3, 6, H, W, C]
    save_png(image_grid(rows.reshape(-1, *rows.shape[2:]), columns=rows.shape[1]), "psi.png")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import tensorflow as tf

    from tfgen.models import StyleGAN

PSIS = (1.0, 0.7, 0.5, 0.0, -0.5, -1.0)
NOISE = ("all", "none", "fine", "coarse")


def mixing_matrix(
    model: StyleGAN, rows: ArrayLike, columns: ArrayLike, layers: Sequence[int], *, row_labels: ArrayLike | None = None,
    column_labels: ArrayLike | None = None, truncation: float = 1.0,
) -> np.ndarray:  # fmt: skip
    """Figure 3: each pair of a row and a column, with the styles of the row, but in `layers` those of the column.

    Example:
        >>> model = tfgen.models.StyleGAN(image_shape=(8, 8, 1), latent_dim=4, w_size=4, max_filters=4)
        >>> tfgen.sampling.mixing_matrix(model, [0, 1, 2], [3, 4], range(2)).shape
        (4, 3, 8, 8, 1)

    Args:
      rows, columns: int [R] and int [C], seeds.
      layers: whole numbers in [0, model.num_layers); the paper's are range(4), range(4, 8) and range(8, 18) at 1024 pixels.
      row_labels, column_labels: int [R] and int [C], of a conditional model.
      truncation: psi of all styles; the paper's figure has none.

    Returns:
      float32 [R + 1, C + 1, height, width, channels]: the first row has the images of the columns, the first column those of
      the rows; between them, at [0, 0], is a white one.

    Raises:
      ValueError: no such layer, seeds that are not whole numbers, or a truncation that is not finite.
    """
    (a, b) = (
        styles_of(model, seeds, labels, truncation) for seeds, labels in ((rows, row_labels), (columns, column_labels))
    )
    mixed = np.asarray(model.mix(a, b, layers))
    white = np.ones_like(mixed[:1, :1])
    first_row = np.concatenate([white, np.asarray(model.synthesize(b))[None]], axis=1)
    return np.concatenate([first_row, np.concatenate([np.asarray(model.synthesize(a))[:, None], mixed], axis=1)])


def truncation_strip(
    model: StyleGAN, seeds: ArrayLike, psis: Sequence[float] = PSIS, *, labels: ArrayLike | None = None,
    cutoff: int | None = 8,
) -> np.ndarray:  # fmt: skip
    """Figure 8: a row for each seed, with its image at every psi.

    Example:
        >>> model = tfgen.models.StyleGAN(image_shape=(8, 8, 1), latent_dim=4, w_size=4, max_filters=4)
        >>> strip = tfgen.sampling.truncation_strip(model, [0, 1], psis=[1.0, 0.0])
        >>> strip.shape
        (2, 2, 8, 8, 1)

    Args:
      seeds: int [N].
      psis: finite numbers of any sign: 1 changes nothing, 0 gives the image of the mean of w, -1 the "opposite".
      labels: int [N], of a conditional model.
      cutoff: see `StyleGAN.map`.

    Returns:
      float32 [N, number of psis, height, width, channels].

    Raises:
      ValueError: no psi, one that is not finite, or seeds that are not whole numbers.
    """
    if not len(psis):
        raise ValueError(f"psis must be at least one number; received {psis!r}.")
    latents = model.latents(np.asarray(seeds))
    strips = [model.synthesize(model.map(latents, labels, truncation=psi, cutoff=cutoff)) for psi in psis]
    return np.stack([np.asarray(strip) for strip in strips], axis=1)


def noise_variants(
    model: StyleGAN, seeds: ArrayLike, *, labels: ArrayLike | None = None, first_fine: int | None = None, noise_seed: int = 0
) -> np.ndarray:
    """Figure 5: a row for each seed, with noise in all layers, in none, in the fine ones and in the coarse ones.

    Example:
        >>> model = tfgen.models.StyleGAN(image_shape=(8, 8, 1), latent_dim=4, w_size=4, max_filters=4)
        >>> tfgen.sampling.noise_variants(model, [0, 1]).shape
        (2, 4, 8, 8, 1)

    Args:
      seeds: int [N].
      labels: int [N], of a conditional model.
      first_fine: the first fine layer, in [0, model.num_layers]; None: 8 as in the paper, of smaller networks the middle.
      noise_seed: seed of the noise, which all images share; 0: that of samples.

    Returns:
      float32 [N, 4, height, width, channels].

    Raises:
      ValueError: `first_fine` is no such number, or seeds are not whole numbers.
    """
    num = model.num_layers
    first = (8 if num > 8 else num // 2) if first_fine is None else first_fine
    if isinstance(first, bool) or not isinstance(first, (int, np.integer)) or not 0 <= first <= num:
        raise ValueError(f"first_fine must be None or a whole number in [0, {num}]; received {first_fine!r}.")
    w, noise = styles_of(model, seeds, labels), model.noise_inputs(np.array([noise_seed]))
    shown = {"all": range(num), "none": (), "fine": range(first, num), "coarse": range(first)}
    strips = [model.synthesize(w, [one * float(i in shown[name]) for i, one in enumerate(noise)]) for name in NOISE]
    return np.stack([np.asarray(strip) for strip in strips], axis=1)


def noise_deviation(
    model: StyleGAN, seeds: ArrayLike, *, labels: ArrayLike | None = None, draws: int = 100, noise_seed: int = 0
) -> np.ndarray:
    """Figure 4: the standard deviation of each pixel, the mean of its channels, over draws of the noise.

    The authors' code shows 4 times these numbers.

    Example:
        >>> model = tfgen.models.StyleGAN(image_shape=(8, 8, 1), latent_dim=4, w_size=4, max_filters=4)
        >>> tfgen.sampling.noise_deviation(model, [0, 1], draws=3).shape
        (2, 8, 8, 1)

    Args:
      seeds: int [N].
      labels: int [N], of a conditional model.
      draws: number of draws, at least 2; the paper has 100.
      noise_seed: seed of the first draw; the others follow it.

    Returns:
      float32 [N, height, width, 1].

    Raises:
      ValueError: fewer than 2 draws, or seeds that are not whole numbers.
    """
    if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 2:
        raise ValueError(f"draws must be a whole number >= 2; received {draws!r}.")
    w, grey = styles_of(model, seeds, labels), []
    for draw in range(noise_seed, noise_seed + draws):
        images = np.asarray(model.synthesize(w, model.noise_inputs(np.array([draw]))), np.float64)
        grey.append(images.mean(axis=-1, keepdims=True))
    return np.std(grey, axis=0).astype(np.float32)


def styles_of(
    model: StyleGAN, seeds: ArrayLike, labels: ArrayLike | None = None, truncation: float = 1.0
) -> tf.Tensor:  # fmt: skip
    """The styles w [N, num_layers, w_size] of seeds int [N], as `StyleGAN.map` gives them."""
    return model.map(model.latents(np.asarray(seeds)), labels, truncation=truncation)
