"""Penalties on the discriminator: functions of (discriminate, real, fake, alpha) -> scalar.

`discriminate` maps images [B, H, W, C] to logits [B], each row on its own; `real` and `fake` are float tensors
[B, H, W, C]; `alpha` is uniform in [0, 1), [B]. No gradient reaches what made `fake`.
"""

import tensorflow as tf


def _input_gradients(discriminate, images):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        # The gradient of the sum is, row by row, the gradient of each logit: no row sees another (no batch norm).
        total = tf.reduce_sum(discriminate(images))
    return tf.cast(tape.gradient(total, images), tf.float32)


def _squared_norms(gradients):
    return tf.reduce_sum(tf.square(gradients), axis=list(range(1, gradients.shape.rank)))


def gradient_penalty(discriminate, real, fake, alpha, target=1.0):
    """E (||d s(y) / d y||_2 - target)^2 at y = alpha x + (1 - alpha) G(z): WGAN-GP, arXiv:1704.00028, eq. 3.

    One norm per example over all axes. At a zero gradient the derivative of the norm is taken as 0, not NaN.

    Raises:
        ValueError: `real` and `fake` differ in shape, or `alpha` is not one number per example. Either would broadcast.
    """
    real.shape.assert_is_compatible_with(fake.shape)
    alpha.shape.assert_is_compatible_with(real.shape[:1])
    alpha = tf.reshape(alpha, [-1] + [1] * (real.shape.rank - 1))
    squared = _squared_norms(_input_gradients(discriminate, alpha * real + (1.0 - alpha) * tf.stop_gradient(fake)))
    positive = squared > 0.0
    norms = tf.where(positive, tf.sqrt(tf.where(positive, squared, 1.0)), 0.0)
    return tf.reduce_mean(tf.square(norms - target))


def r1_penalty(discriminate, real, fake, alpha):
    """E ||d s(x) / d x||^2 / 2 at real images: Mescheder et al. 2018, arXiv:1801.04406, eq. 9 with gamma = 1."""
    del fake, alpha
    return 0.5 * tf.reduce_mean(_squared_norms(_input_gradients(discriminate, real)))


def r2_penalty(discriminate, real, fake, alpha):
    """E ||d s(y) / d y||^2 / 2 at generated images y = G(z): the same paper, eq. 10 with gamma = 1."""
    del real, alpha
    return 0.5 * tf.reduce_mean(_squared_norms(_input_gradients(discriminate, tf.stop_gradient(fake))))


def drift_penalty(discriminate, real, fake, alpha):
    """E s(x)^2 at real images: keeps a critic, whose loss ignores a constant, near zero.

    Karras et al. 2018, arXiv:1710.10196, appendix A.1 (there with weight 0.001). It costs one more forward pass.
    """
    del fake, alpha
    return tf.reduce_mean(tf.square(discriminate(real)))


PENALTIES = {"gradient_penalty": gradient_penalty, "r1": r1_penalty, "r2": r2_penalty, "drift": drift_penalty}
