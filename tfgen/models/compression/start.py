"""How the transforms of a codec begin: as a linear block code of images whose neighbouring pixels are alike.

With random filters each latent begins with a bit of everything, and a short training ends before it has sorted that out. So
the convolutions begin as Karhunen-Loeve transforms, one on top of the other: each takes the block of its input that its
stride sets apart, and its filters are the directions in which that block varies most, under a separable first-order
autoregressive process, for which this is nearly the cosine transform of JPEG (Jain, "A Fast Karhunen-Loeve Transform for a
Class of Random Processes", 1976). The synthesis begins as the adjoint of the analysis, its inverse but for what is left out.
"""

import keras
import numpy as np

NEIGHBOURS, COLOURS = 0.95, 0.9  # correlation of pixels side by side, and of two channels of a pixel


def begin_as_block_code(analysis, synthesis, channels, side=16):
    """Sets the kernels of two networks that mirror each other.

    Args:
        analysis: its `Conv2D` layers, of padding "same", have strides whose product is `side`.
        synthesis: its `Conv2DTranspose` layers are those in reverse order.
        channels: of the images.

    Returns:
        float64 [M]: the standard deviation of what `analysis` then gives, in units of that of the pixels.
    """
    down = [layer for layer in analysis.layers if isinstance(layer, keras.layers.Conv2D)]
    up = [layer for layer in synthesis.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    places = np.arange(side)
    along = NEIGHBOURS ** np.abs(places[:, None] - places)
    across = COLOURS + (1.0 - COLOURS) * np.eye(channels)
    covariance = np.einsum("ad,be,cf->abcdef", along, along, across)  # [row, column, channel] twice
    for convolution, transposed in zip(down, reversed(up), strict=True):
        covariance, filters = _transform(covariance, convolution.strides[0], convolution.filters)
        kernel = np.array(convolution.kernel)
        size, kept = filters.shape[0], filters.shape[-1]
        first = (kernel.shape[0] - size) // 2
        kernel[..., :kept] = 0.0
        kernel[first : first + size, first : first + size, :, :kept] = filters
        convolution.kernel.assign(kernel)
        kernel[..., kept:] = 0.0  # filters beyond a complete transform stay random, and add nothing yet
        transposed.kernel.assign(kernel)
    return np.sqrt(np.diagonal(covariance[0, 0, :, 0, 0]))


def _transform(covariance, size, num):
    """(covariance [h / size, w / size, num] twice of what comes out, filters [size, size, C, at most num]) of one layer."""
    height, width, channels = covariance.shape[:3]
    block = covariance[:size, :size, :, :size, :size].reshape(2 * [size * size * channels])
    variances, directions = np.linalg.eigh(block)
    order = np.argsort(-variances, kind="stable")[:num]
    filters = directions[:, order].reshape(size, size, channels, -1)
    blocks = 2 * [height // size, size, width // size, size, channels]
    covariance = np.einsum("aibjcdkelf,ijcm,klfn->abmden", covariance.reshape(blocks), filters, filters, optimize=True)
    missing = (0, num - filters.shape[-1])
    return np.pad(covariance, [(0, 0), (0, 0), missing] * 2), filters
