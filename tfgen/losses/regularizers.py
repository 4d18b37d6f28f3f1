"""Regularisers: scalars of a network's weights or codes, added to that network's loss.

Those in `REGULARIZERS` are functions of trainable variables only. The caller leaves out variables that should not be
regularised, e.g. embeddings.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import keras
import tensorflow as tf

from tfgen.losses._precision import at_least_float32


def _kernels(variables):
    variables = list(variables)
    kernels = [at_least_float32(v) for v in variables if len(v.shape) > 1]
    if not kernels:
        raise ValueError(f"No kernel (a variable of rank 2 or more) among the {len(variables)} variables received.")
    return kernels


def l2_regularizer(variables: Iterable[keras.Variable]) -> tf.Tensor:
    """Half the sum of squares of all weights of rank 2 and more; its gradient is the weight itself.

    Example:
        >>> kernel, bias = keras.Variable([[1.0, 2.0]]), keras.Variable([100.0])
        >>> float(tfgen.losses.l2_regularizer([kernel, bias]))  # of the kernel alone
        2.5
    """
    return tf.add_n([tf.nn.l2_loss(kernel) for kernel in _kernels(variables)])


def orthogonal_regularizer(variables: Iterable[keras.Variable]) -> tf.Tensor:
    """Sum over kernels of ||W W^T * (1 - I)||_F^2: Brock et al. 2019, arXiv:1809.11096, eq. 3, with beta = 1.

    W is [outputs, rest], where the outputs are the last axis of a kernel. (In Keras' transposed convolution the last axis is
    that of the inputs, so there the rows of W are the inputs.) Only products of different filters count; the norms of
    filters are free. The gradient is 4 (W W^T * (1 - I)) W; the code of the paper's first author adds half of it.

    Example:
        >>> orthogonal, parallel = keras.Variable([[2.0, 0.0], [0.0, 3.0]]), keras.Variable([[1.0, 1.0]])
        >>> [float(tfgen.losses.orthogonal_regularizer([kernel])) for kernel in (orthogonal, parallel)]
        [0.0, 2.0]
    """
    sums = []
    for kernel in _kernels(variables):
        weight = tf.reshape(kernel, [-1, kernel.shape[-1]])  # [rest, outputs]: W^T
        product = tf.matmul(weight, weight, transpose_a=True)
        sums.append(tf.reduce_sum(tf.square(_without_diagonal(product))))
    return tf.add_n(sums)


def pulling_away(codes: tf.Tensor) -> tf.Tensor:
    """Mean squared cosine over the N (N - 1) ordered pairs of different rows: the pulling-away term of EBGAN.

    Zhao et al. 2017, arXiv:1609.03126, section 2.4. It is part of the generator's loss only.

    Example:
        >>> round(float(tfgen.losses.pulling_away(tf.eye(3))), 4)  # orthogonal codes
        0.0
        >>> round(float(tfgen.losses.pulling_away(tf.constant([[1.0, 2.0], [3.0, 6.0]]))), 4)  # parallel ones
        1.0

    Args:
        codes: [N, ...], N >= 2: the encoder's codes of generated images. A code of zeros has cosine 0 with all others.

    Returns:
        scalar in [0, 1]: 0 for orthogonal codes, 1 for parallel (or opposite) ones. It does not depend on their scale.

    Raises:
        ValueError: fewer than two rows, or only the batch axis.
    """
    codes = at_least_float32(codes)
    if codes.shape.rank < 2 or (codes.shape[0] is not None and codes.shape[0] < 2):
        raise ValueError(f"codes must be [N, ...] with N of at least 2; received shape {codes.shape}.")
    num = tf.shape(codes)[0]
    # For a batch size that is not static. The operations below wait for the check.
    with tf.control_dependencies([tf.debugging.assert_greater(num, 1, "pulling_away needs at least 2 codes.")]):
        codes = tf.identity(codes)
    directions = tf.math.l2_normalize(tf.reshape(codes, [num, -1]), axis=1)
    squares = tf.square(_without_diagonal(tf.matmul(directions, directions, transpose_b=True)))
    return tf.reduce_sum(squares) / tf.cast(num * (num - 1), squares.dtype)


def _without_diagonal(matrix):
    return tf.linalg.set_diag(matrix, tf.zeros_like(matrix[0]))


def historical(variables: Sequence[keras.Variable], averages: Sequence[tf.Tensor]) -> tf.Tensor:
    """Sum of ||theta - mean_t||^2, without gradient through the mean: Salimans et al. 2016, arXiv:1606.03498, section 3.3.

    Example:
        >>> weights = keras.Variable([1.0, 2.0])
        >>> float(tfgen.losses.historical([weights], [tf.constant([0.0, 0.0])]))
        5.0

    Args:
        variables: the weights theta; of any rank.
        averages: their `running_mean`s over the steps so far, in the same order and of the same shapes.

    Raises:
        ValueError: the two differ in number or in a shape.
    """
    variables, averages = [at_least_float32(v) for v in variables], [tf.convert_to_tensor(a) for a in averages]
    if [v.shape for v in variables] != [a.shape for a in averages]:
        raise ValueError(
            "historical needs one average for each variable, of its shape; received variables of shapes "
            f"{[tuple(v.shape) for v in variables]} and averages of shapes {[tuple(a.shape) for a in averages]}."
        )
    pairs = zip(variables, averages, strict=True)
    return tf.add_n([tf.reduce_sum(tf.square(v - tf.stop_gradient(tf.cast(a, v.dtype)))) for v, a in pairs])


def running_mean(mean: tf.Tensor, value: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """mean_t = mean_{t-1} + (value_t - mean_{t-1}) / t: the mean of `count` = t >= 1 values, `value` being the newest.

    At t = 1 the result is `value` for any finite `mean`.

    Example:
        >>> mean = tf.constant(0.0)
        >>> for count, value in enumerate([4.0, 6.0, 8.0], start=1):
        ...     mean = tfgen.losses.running_mean(mean, tf.constant(value), count)
        >>> float(mean)
        6.0
    """
    if isinstance(count, int) and count < 1:
        raise ValueError(f"count, the number of values including this one, must be at least 1; received {count!r}.")
    mean, value = tf.convert_to_tensor(mean), tf.convert_to_tensor(value)
    return mean + (value - mean) / tf.cast(count, mean.dtype)


RegularizerName = Literal["l2", "orthogonal"]
REGULARIZERS = {"l2": l2_regularizer, "orthogonal": orthogonal_regularizer}
