"""Penalties on the discriminator: functions of (discriminate, real, fake, alpha) -> scalar.

`discriminate` maps images [B, H, W, C] to logits [B], each row independent of the others; `real` and `fake` are float
tensors [B, H, W, C]; `alpha` [B] is uniform in [0, 1). No gradient passes through `fake` to the generator.
"""

from collections.abc import Callable
from typing import Literal

import tensorflow as tf


def _input_gradients(discriminate, images):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        # Rows are independent (no batch norm), so the gradient of the sum has the gradient of each logit in its row.
        total = tf.reduce_sum(discriminate(images))
    return tf.cast(tape.gradient(total, images), tf.float32)


def _squared_norms(gradients):
    return tf.reduce_sum(tf.square(gradients), axis=list(range(1, gradients.shape.rank)))


def gradient_penalty(
    discriminate: Callable, real: tf.Tensor, fake: tf.Tensor, alpha: tf.Tensor, target: float = 1.0
) -> tf.Tensor:
    """E (||d s(y) / d y||_2 - target)^2 at y = alpha x + (1 - alpha) G(z): WGAN-GP, arXiv:1704.00028, eq. 3.

    There is one norm for each example, over all axes. For a gradient of 0 the derivative of the norm is set to 0, not NaN.

    Example:
        >>> critic = lambda images: 3.0 * images[:, 0]  # its gradient has the norm 3 everywhere
        >>> real, fake = tf.ones([2, 1]), tf.zeros([2, 1])
        >>> float(tfgen.losses.gradient_penalty(critic, real, fake, alpha=tf.constant([0.1, 0.7])))
        4.0

    Raises:
        ValueError: `real` and `fake` differ in shape, or `alpha` is not [B]; without the check they would broadcast.
    """
    real.shape.assert_is_compatible_with(fake.shape)
    alpha.shape.assert_is_compatible_with(real.shape[:1])
    alpha = tf.reshape(alpha, [-1] + [1] * (real.shape.rank - 1))
    squared = _squared_norms(_input_gradients(discriminate, alpha * real + (1.0 - alpha) * tf.stop_gradient(fake)))
    positive = squared > 0.0
    norms = tf.where(positive, tf.sqrt(tf.where(positive, squared, 1.0)), 0.0)
    return tf.reduce_mean(tf.square(norms - target))


def r1_penalty(discriminate: Callable, real: tf.Tensor, fake: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """E ||d s(x) / d x||^2 / 2 at real images: Mescheder et al. 2018, arXiv:1801.04406, eq. 9 with gamma = 1.

    Example:
        >>> critic = lambda images: 3.0 * images[:, 0]
        >>> real, fake, alpha = tf.ones([2, 1]), tf.zeros([2, 1]), tf.zeros([2])
        >>> float(tfgen.losses.r1_penalty(critic, real, fake, alpha))  # 3^2 / 2
        4.5
    """
    del fake, alpha
    return 0.5 * tf.reduce_mean(_squared_norms(_input_gradients(discriminate, real)))


def r2_penalty(discriminate: Callable, real: tf.Tensor, fake: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """E ||d s(y) / d y||^2 / 2 at generated images y = G(z): the same paper, eq. 10 with gamma = 1.

    Example:
        >>> critic = lambda images: images[:, 0] ** 2
        >>> real, fake, alpha = tf.ones([2, 1]), tf.fill([2, 1], 2.0), tf.zeros([2])
        >>> float(tfgen.losses.r2_penalty(critic, real, fake, alpha))  # (2 * 2)^2 / 2
        8.0
    """
    del real, alpha
    return 0.5 * tf.reduce_mean(_squared_norms(_input_gradients(discriminate, tf.stop_gradient(fake))))


def drift_penalty(discriminate: Callable, real: tf.Tensor, fake: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """E s(x)^2 at real images. It keeps a critic near zero, whose loss would not change with an added constant.

    Karras et al. 2018, arXiv:1710.10196, appendix A.1 (weight 0.001 there). It costs one more forward pass.

    Example:
        >>> critic = lambda images: 3.0 * images[:, 0]
        >>> real, fake, alpha = tf.ones([2, 1]), tf.zeros([2, 1]), tf.zeros([2])
        >>> float(tfgen.losses.drift_penalty(critic, real, fake, alpha))
        9.0
    """
    del fake, alpha
    return tf.reduce_mean(tf.square(discriminate(real)))


def lecam_penalty(
    real_logits: tf.Tensor, fake_logits: tf.Tensor, real_average: tf.Tensor, fake_average: tf.Tensor, *,
    one_sided: bool = True,
) -> tf.Tensor:  # fmt: skip
    """LeCam regularisation, a scalar: the distance of each logit from the average of those of the other kind.

    Tseng, Jiang, Liu, Yang, Yang, "Regularizing Generative Adversarial Networks under Limited Data", CVPR 2021,
    arXiv:2104.03310, eq. 3: E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2. In the authors' code, as here by default, a distance
    counts only if a real logit is above a_F and a fake one below a_R.

    Example:
        >>> real, fake = tf.constant([2.0]), tf.constant([-1.0])
        >>> float(tfgen.losses.lecam_penalty(real, fake, real_average=tf.constant(1.0), fake_average=tf.constant(0.0)))
        8.0

    Args:
        real_logits, fake_logits: float32 [B].
        real_average, fake_average: a_R and a_F, moving averages of the logits, float32 scalars without gradients.
        one_sided: False: as in the paper.
    """
    part = tf.nn.relu if one_sided else tf.identity
    real, fake = part(real_logits - fake_average), part(real_average - fake_logits)
    return tf.reduce_mean(tf.square(real)) + tf.reduce_mean(tf.square(fake))


PenaltyName = Literal["gradient_penalty", "r1", "r2", "drift"]
PENALTIES = {"gradient_penalty": gradient_penalty, "r1": r1_penalty, "r2": r2_penalty, "drift": drift_penalty}
