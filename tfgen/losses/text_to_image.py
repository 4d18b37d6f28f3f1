"""Losses of images from text: StackGAN, arXiv:1612.03242, and StackGAN v2, arXiv:1710.10916."""

import tensorflow as tf

from tfgen.losses._precision import at_least_float32


def augmentation_divergence(mean: tf.Tensor, log_stddev: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, stddev^2) || N(0, 1)) in nats, the mean over the batch and the components.

    The text sums over the components; the code has this mean, times 2.

    Example:
        >>> float(tfgen.losses.augmentation_divergence(tf.zeros([2, 3]), tf.zeros([2, 3])))
        0.0
        >>> float(tfgen.losses.augmentation_divergence(tf.ones([2, 3]), tf.zeros([2, 3])))  # half the square of the mean
        0.5

    Args:
        mean, log_stddev: float [B, C], the natural logarithm.

    Returns:
        Scalar float32.
    """
    mean, log_stddev = at_least_float32(mean), at_least_float32(log_stddev)
    return tf.reduce_mean(0.5 * (tf.square(mean) + tf.exp(2.0 * log_stddev) - 1.0) - log_stddev)


def matching_discriminator(
    matching: tf.Tensor, mismatched: tf.Tensor, fake: tf.Tensor, differs: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The three cross-entropies of a discriminator that is shown pairs of image and text.

        E sp(-D(x, e)),  E sp(D(x', e)),  E sp(D(G, e))

    Example:
        >>> losses = tfgen.losses.matching_discriminator(tf.zeros([2]), tf.zeros([2]), tf.zeros([2]))
        >>> [round(float(loss), 4) for loss in losses]  # ln 2
        [0.6931, 0.6931, 0.6931]

    Args:
        matching: logits [B] of real images x with their text e.
        mismatched: logits [B] of real images x' with a text that is not theirs.
        fake: logits [B] of generated images with the text that they were made for.
        differs: None, or float [B]: 0 in rows where x' is of the same text after all, else 1.

    Returns:
        Scalars; a row of x' that does not differ counts as 0.
    """
    against = tf.nn.softplus(mismatched) if differs is None else differs * tf.nn.softplus(mismatched)
    return tuple(tf.reduce_mean(one) for one in (tf.nn.softplus(-matching), against, tf.nn.softplus(fake)))


def colour_consistency(images: tf.Tensor, reference: tf.Tensor, covariance_weight: float = 5.0) -> tf.Tensor:
    """How the colours of images differ from those of their smaller versions: StackGAN v2, section 3.3.

        mean (mu - mu')^2 + covariance_weight mean (Cov - Cov')^2

    mu is the mean colour of an image and Cov the covariance of its channels over the pixels. As in the code the squares are
    averaged over batch and channels, where the text sums over the channels. No gradient goes into the reference.

    Example:
        >>> grey, darker = tf.fill([1, 8, 8, 3], 0.5), tf.zeros([1, 4, 4, 3])
        >>> float(tfgen.losses.colour_consistency(grey, darker))  # 0.5^2, no covariances
        0.25

    Args:
        images: float [B, H, W, C].
        reference: float [B, h, w, C].
        covariance_weight: factor of the covariances.

    Returns:
        Scalar float32.
    """
    (mean, covariance), (of_mean, of_covariance) = _colours(images), _colours(tf.stop_gradient(reference))
    distance = tf.reduce_mean(tf.square(covariance - of_covariance))
    return tf.reduce_mean(tf.square(mean - of_mean)) + covariance_weight * distance


def _colours(images):
    """The mean colour [B, C] of each image, and the covariance [B, C, C] of its channels, the mean over the pixels."""
    images = at_least_float32(images)
    pixels = tf.reshape(images, [-1, images.shape[1] * images.shape[2], images.shape[3]])
    mean = tf.reduce_mean(pixels, axis=1)
    centred = pixels - mean[:, None]
    return mean, tf.matmul(centred, centred, transpose_a=True) / float(pixels.shape[1])
