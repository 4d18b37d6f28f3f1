"""Initial weights of a codec's transforms: a linear block code of images whose neighbouring pixels are alike.

With random filters each latent starts as a mixture of everything, and a short training does not separate it. So the
convolutions start as Karhunen-Loeve transforms, one on top of the other. Each transforms the blocks of its input that have
the size of its stride. Its filters are the directions in which such a block varies most, if images are a separable
first-order autoregressive process. For one block of such images this is nearly the cosine transform (Ahmed, Natarajan, Rao,
"Discrete Cosine Transform", IEEE Transactions on Computers, 1974). The synthesis starts as the adjoint of the analysis.

The approximate inverse of divisive normalisation is not exact, so patches far from grey come back closer to grey at the
start: with gamma .1 a patch that is .25 lighter than grey comes back .21 lighter. Some hundred steps of training correct it.
"""

import keras
import numpy as np

# Correlations of neighbours along rows, columns and channels; all different, so that the directions are unique.
CORRELATIONS = (0.95, 0.94, 0.9)


def begin_as_block_code(analysis, synthesis, channels, side):
    """Sets the kernels of two networks that mirror each other.

    Filters beyond a complete transform keep their values in the analysis and become 0 in the synthesis.

    Args:
        analysis: its `Conv2D` layers, of padding "same" and kernels no smaller than their strides.
        synthesis: its `Conv2DTranspose` layers are those in reverse order.
        channels: channels of the images.
        side: the product of the strides.

    Returns:
        float64 [M]: the standard deviations of the outputs of `analysis`, without normalisation, in units of that of the
        pixels; 0 beyond a complete transform.
    """
    down = [layer for layer in analysis.layers if isinstance(layer, keras.layers.Conv2D)]
    up = [layer for layer in synthesis.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    sizes = zip(CORRELATIONS, (side, side, channels), strict=True)
    factors = [rho ** np.abs(np.arange(n)[:, None] - np.arange(n)) for rho, n in sizes]
    covariance = np.einsum("ad,be,cf->abcdef", *factors)  # [row, column, channel] twice
    for convolution, transposed in zip(down, reversed(up), strict=True):
        covariance, filters = _transform(covariance, convolution.strides[0], convolution.filters)
        kernel = np.array(convolution.kernel)
        size, _, carried, kept = filters.shape
        first = (kernel.shape[0] - size) // 2
        kernel[..., :kept] = 0.0
        kernel[first : first + size, first : first + size, :carried, :kept] = filters
        convolution.kernel.assign(kernel)
        kernel[..., kept:] = 0.0
        transposed.kernel.assign(kernel)
    stddev = np.sqrt(np.diagonal(covariance[0, 0, :, 0, 0]))
    return np.pad(stddev, (0, down[-1].filters - len(stddev)))


def _transform(covariance, size, num):
    """(covariance of the outputs, twice [h / size, w / size, kept]; filters [size, size, C, kept]), kept at most num."""
    height, width, channels = covariance.shape[:3]
    block = covariance[:size, :size, :, :size, :size].reshape(2 * [size * size * channels])
    variances, directions = np.linalg.eigh(block)
    directions = directions[:, np.argsort(-variances)[:num]]
    directions *= np.sign(directions[np.argmax(np.abs(directions), axis=0), np.arange(directions.shape[1])])
    filters = directions.reshape(size, size, channels, -1)
    blocks = 2 * [height // size, size, width // size, size, channels]
    covariance = np.einsum("aibjcdkelf,ijcm,klfn->abmden", covariance.reshape(blocks), filters, filters, optimize=True)
    return covariance, filters
