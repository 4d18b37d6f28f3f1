"""Losses of style transfer: statistics and Gram matrices of feature maps, and total variation."""

import tensorflow as tf

from tfgen.losses._precision import at_least_float32

_EPSILON = 1e-6  # under the root of a standard deviation, whose gradient is infinite at 0


def statistics_loss(maps: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Squared differences of the means and standard deviations of maps: Huang, Belongie 2017, arXiv:1703.06868, eq. 13.

        E over images of  sum over channels of (mean - mean')^2 + (stddev - stddev')^2

    As in the authors' code the channels are summed. Both deviations are biased; the code has an unbiased one for the
    target, so that there equal maps have a loss above 0.

    Example:
        >>> maps, targets = tf.fill([1, 4, 4, 2], 3.0), tf.fill([1, 8, 8, 2], 1.0)
        >>> float(tfgen.losses.statistics_loss(maps, targets))  # two channels, means 3 and 1, no deviations
        8.0

    Args:
        maps: float [B, h, w, F].
        targets: float [B, h', w', F]; no gradient goes into them.

    Returns:
        Scalar float32.

    Raises:
        ValueError: not maps of the same images and channels.
    """
    maps, targets = _same_channels(maps, targets)
    total = 0.0
    for one, other in zip(_statistics(maps), _statistics(tf.stop_gradient(targets)), strict=True):
        total += tf.reduce_mean(tf.reduce_sum(tf.square(one - other), axis=-1))
    return total


def gram_matrix(maps: tf.Tensor) -> tf.Tensor:
    """Means over the pixels of products of maps, float [B, h, w, F] -> [B, F, F]: Gatys, Ecker, Bethge 2016.

    Example:
        >>> maps = tf.constant([[1.0, 3.0], [2.0, 3.0], [3.0, -1.0], [6.0, -1.0]])
        >>> tfgen.losses.gram_matrix(tf.reshape(maps, [1, 2, 2, 2])).numpy().tolist()
        [[[12.5, 0.0], [0.0, 5.0]]]
    """
    maps = at_least_float32(maps)
    rows = tf.reshape(maps, [tf.shape(maps)[0], -1, maps.shape[-1]])
    return tf.matmul(rows, rows, transpose_a=True) / tf.cast(tf.shape(rows)[1], rows.dtype)


def gram_loss(maps: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of Gram matrices, a scalar; for the arguments and errors see `statistics_loss`.

    Example:
        >>> float(tfgen.losses.gram_loss(tf.ones([1, 4, 4, 2]), tf.ones([1, 8, 8, 2])))
        0.0
        >>> float(tfgen.losses.gram_loss(tf.ones([1, 4, 4, 2]), tf.zeros([1, 8, 8, 2])))
        1.0
    """
    maps, targets = _same_channels(maps, targets)
    return tf.reduce_mean(tf.square(gram_matrix(maps) - tf.stop_gradient(gram_matrix(targets))))


def total_variation(images: tf.Tensor) -> tf.Tensor:
    """Half the mean squared difference of pixels above each other, and of those side by side, added; a scalar.

    As in magenta/magenta (image_stylization).

    Example:
        >>> stripes = tf.tile(tf.reshape([0.0, 1.0], [1, 1, 2, 1]), [1, 4, 2, 1])  # upright
        >>> float(tfgen.losses.total_variation(stripes))
        0.5

    Args:
        images: float [B, H, W, C], H and W at least 2.
    """
    images = at_least_float32(images)
    pairs = (images[:, 1:], images[:, :-1]), (images[:, :, 1:], images[:, :, :-1])
    return 0.5 * tf.add_n([tf.reduce_mean(tf.square(one - other)) for one, other in pairs])


def _statistics(maps):
    """Means and standard deviations [B, F]."""
    mean = tf.reduce_mean(maps, axis=[1, 2], keepdims=True)
    variance = tf.reduce_mean(tf.square(maps - mean), axis=[1, 2])
    return mean[:, 0, 0], tf.sqrt(variance + _EPSILON)


def _same_channels(maps, targets):
    maps, targets = at_least_float32(maps), at_least_float32(targets)
    outer = [[shape[0], shape[-1]] if shape.rank == 4 else None for shape in (maps.shape, targets.shape)]
    if None in outer or not tf.TensorShape(outer[0]).is_compatible_with(outer[1]):
        raise ValueError(
            f"maps and targets must be [B, h, w, F] with the same B and F; received {maps.shape} and {targets.shape}."
        )
    return maps, targets
