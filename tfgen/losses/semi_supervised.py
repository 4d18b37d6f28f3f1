"""A classifier of K classes as a discriminator: Salimans et al. 2016, arXiv:1606.03498, section 5.

The softmax of K + 1 logits l (the last one for "fake") depends only on their differences, so l_{K+1} = 0. With
Z = logsumexp(l_1 .. l_K) the probability that an example is real is sigmoid(Z): Z is the logit in the objectives.
"""

import tensorflow as tf

from tfgen.losses._precision import at_least_float32
from tfgen.losses.objectives import logistic_discriminator


def semi_supervised_logit(class_logits: tf.Tensor) -> tf.Tensor:
    """Z [...] = logsumexp of class logits [..., K]: the logit of "real".

    Example:
        >>> round(float(tfgen.losses.semi_supervised_logit(tf.zeros([10]))), 4)  # ln 10
        2.3026
    """
    return tf.reduce_logsumexp(at_least_float32(class_logits), axis=-1)


def supervised_loss(class_logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Cross-entropy E (Z - l_y) of class logits [B, K] and labels int [B] in [0, K), given that the examples are real.

    A label out of range is an error at run time on CPU, and makes the loss NaN on GPU.

    Example:
        >>> round(float(tfgen.losses.supervised_loss(tf.zeros([2, 10]), tf.constant([3, 7]))), 4)  # ln 10
        2.3026

    Raises:
        ValueError: labels that are not integers, or shapes that do not match.
    """
    labels, class_logits = tf.convert_to_tensor(labels), at_least_float32(class_logits)
    if not labels.dtype.is_integer or not labels.shape.is_compatible_with(class_logits.shape[:-1]):
        raise ValueError(
            f"labels must be integers, one for each row of logits {class_logits.shape}; "
            f"received {labels.dtype.name} {labels.shape}."
        )
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, class_logits))


def unsupervised_loss(real_class_logits: tf.Tensor, fake_class_logits: tf.Tensor) -> tf.Tensor:
    """(E sp(-Z(x)) + E sp(Z(G))) / 2 for class logits [B, K] of unlabelled images x and of generated images.

    Example:
        >>> confident = tf.constant([[9.0, -9.0]])  # logit of "real": 9
        >>> doubtful = tf.constant([[-9.0, -9.0]])
        >>> bool(tfgen.losses.unsupervised_loss(confident, doubtful) < 0.001)
        True
        >>> bool(tfgen.losses.unsupervised_loss(doubtful, confident) > 8.0)
        True
    """
    return 0.5 * logistic_discriminator(semi_supervised_logit(real_class_logits), semi_supervised_logit(fake_class_logits))
