"""A lower bound of mutual information: Chen et al. 2016 (InfoGAN), arXiv:1606.03657, section 5.

    L_I = E log Q(c | G(z, c)) + H(c) <= I(c; G(z, c)),  in nats

Generator and Q minimise their loss minus lambda L_I. For a code of several parts, log Q and H(c) are sums over the parts.
The entropies are constants: they do not change gradients, but without them L_I is not a bound.
"""

import math

import tensorflow as tf

from tfgen.losses._precision import at_least_float32


def categorical_log_likelihood(logits: tf.Tensor, one_hot: tf.Tensor) -> tf.Tensor:
    """log Q(c) [B] of a one-hot code [B, K] under the softmax of `logits` [B, K].

    Example:
        >>> found = tfgen.losses.categorical_log_likelihood(tf.zeros([1, 10]), tf.one_hot([3], 10))  # uniform: -ln 10
        >>> round(float(found[0]), 4)
        -2.3026
    """
    logits = at_least_float32(logits)
    one_hot = tf.cast(one_hot, logits.dtype)
    _check_shapes(logits, one_hot, "logits and one_hot")
    return tf.reduce_sum(one_hot * tf.nn.log_softmax(logits), axis=-1)


def gaussian_log_likelihood(mean: tf.Tensor, value: tf.Tensor, stddev: float | tf.Tensor = 1.0) -> tf.Tensor:
    """log density [B] of a code `value` [B, D] under N(mean, stddev^2), summed over D.

    Example:
        >>> found = tfgen.losses.gaussian_log_likelihood(tf.zeros([1, 2]), tf.zeros([1, 2]))  # -ln(2 pi) in two dimensions
        >>> round(float(found[0]), 4)
        -1.8379

    Args:
        mean: [B, D].
        value: [B, D].
        stddev: a positive number (the paper's code fixes 1), or a positive tensor that broadcasts with `mean`.
    """
    if isinstance(stddev, (int, float)) and not 0.0 < stddev < math.inf:
        raise ValueError(f"stddev must be positive and finite; received {stddev!r}.")
    mean = at_least_float32(mean)
    value = tf.cast(value, mean.dtype)
    _check_shapes(mean, value, "mean and value")
    stddev = tf.cast(stddev, mean.dtype)
    log_density = -0.5 * tf.square((value - mean) / stddev) - tf.math.log(stddev) - 0.5 * math.log(2.0 * math.pi)
    return tf.reduce_sum(log_density, axis=-1)


def categorical_entropy(num_classes: int) -> float:
    """H(c) = ln K, a float, of a code that is uniform over `num_classes` = K classes.

    Example:
        >>> round(tfgen.losses.categorical_entropy(10), 4)
        2.3026
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1; received {num_classes!r}.")
    return math.log(num_classes)


def uniform_entropy(size: int, low: float = -1.0, high: float = 1.0) -> float:
    """H(c) = size ln(high - low), a float, of `size` independent codes uniform in (low, high).

    Example:
        >>> round(tfgen.losses.uniform_entropy(2), 4)  # 2 ln 2
        1.3863
    """
    if size < 1 or not low < high:
        raise ValueError(f"size must be at least 1 and low below high; received {size!r}, {low!r} and {high!r}.")
    return size * math.log(high - low)


def _check_shapes(a, b, names):
    if a.shape.rank < 2 or not a.shape.is_compatible_with(b.shape):
        raise ValueError(f"{names} must both be [batch, code]; received {a.shape} and {b.shape}.")
