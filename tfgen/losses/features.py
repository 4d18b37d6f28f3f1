"""Losses of discriminator features."""

import tensorflow as tf

from tfgen.losses._precision import at_least_float32

_NORMS = {"squared": tf.square, "absolute": tf.abs}


def feature_matching(real_features: tf.Tensor, fake_features: tf.Tensor, norm: str = "squared") -> tf.Tensor:
    """Difference of batch means, averaged over the features: Salimans et al. 2016, arXiv:1606.03498, section 3.1.

        mean_k |E f_k(x) - E f_k(G(z))|^p,  p = 2 ("squared", their MNIST code) or 1 ("absolute", CIFAR-10 and SVHN)

    It is a loss of the generator: use only its gradient with respect to the generator's variables.

    Example:
        >>> real, fake = tf.constant([[1.0, 0.0], [3.0, 0.0]]), tf.constant([[0.0, 0.0]])
        >>> float(tfgen.losses.feature_matching(real, fake)), float(tfgen.losses.feature_matching(real, fake, "absolute"))
        (2.0, 1.0)

    Args:
        real_features: float [B, ...], the outputs of a discriminator layer for real images.
        fake_features: float [B', ...], its outputs for generated images; the batch sizes may differ.
        norm: "squared" or "absolute".

    Raises:
        ValueError: unknown norm, or features of different shapes.
    """
    if norm not in _NORMS:
        raise ValueError(f"norm must be one of {', '.join(sorted(_NORMS))}; received {norm!r}.")
    real, fake = at_least_float32(real_features), at_least_float32(fake_features)
    if real.shape.rank == 0 or not real.shape[1:].is_compatible_with(fake.shape[1:]):
        raise ValueError(f"real_features and fake_features must differ only in B; received {real.shape} and {fake.shape}.")
    return tf.reduce_mean(_NORMS[norm](tf.reduce_mean(real, axis=0) - tf.reduce_mean(fake, axis=0)))


def multi_scale_feature_matching(real_maps: list[list[tf.Tensor]], fake_maps: list[list[tf.Tensor]]) -> tf.Tensor:
    """Distance of all feature maps of discriminators at several scales: pix2pixHD, arXiv:1711.11585, eq. 4, as in the code.

        sum over scales and layers of  4 / (layers S) mean |f(x) - f(G)|      for S scales

    Rows correspond: fake row i is compared with real row i. No gradient goes into the real maps. If every mean is 1, the
    result is 4 for any number of scales and layers.

    Example:
        >>> real = [[tf.ones([1, 4, 4, 2]), tf.ones([1, 2, 2, 8])], [tf.ones([1, 2, 2, 2]), tf.ones([1, 1, 1, 8])]]
        >>> fake = [[tf.zeros_like(maps) for maps in scale] for scale in real]
        >>> float(tfgen.losses.multi_scale_feature_matching(real, fake))
        4.0

    Args:
        real_maps: for each scale the maps of its layers, float [B, h, w, F], for real images.
        fake_maps: the same for generated images.

    Returns:
        Scalar float32.

    Raises:
        ValueError: not the same scales, layers and shapes, or none.
    """
    shapes = [[[one.shape for one in maps] for maps in scales] for scales in (real_maps, fake_maps)]
    if not shapes[0] or not all(shapes[0]) or shapes[0] != shapes[1]:
        raise ValueError(f"real_maps and fake_maps must have the same scales, layers and shapes; received {shapes}.")
    total = 0.0
    for reals, fakes in zip(real_maps, fake_maps, strict=True):
        for real, fake in zip(reals, fakes, strict=True):
            distance = tf.abs(tf.stop_gradient(at_least_float32(real)) - at_least_float32(fake))
            total += 4.0 / (len(reals) * len(real_maps)) * tf.reduce_mean(distance)
    return total


def perceptual_distance(real_features: list[tf.Tensor], fake_features: list[tf.Tensor]) -> tf.Tensor:
    """Distance of the features of a frozen network, as in the code of pix2pixHD (arXiv:1711.11585).

        sum over layers of  w_l mean |f_l(x) - f_l(G)|,   w_l = 1 for the last layer, 1/4, 1/8, ... for those before it

    Rows correspond. No gradient goes into the real features.

    Example:
        >>> real, fake = [tf.ones([1, 4, 4, 2]), tf.ones([1, 2, 2, 8])], [tf.zeros([1, 4, 4, 2]), tf.zeros([1, 2, 2, 8])]
        >>> float(tfgen.losses.perceptual_distance(real, fake))  # 1/4 for the first layer, 1 for the last
        1.25

    Args:
        real_features: for each layer float [B, ...], of real images.
        fake_features: the same of generated images.

    Returns:
        Scalar float32.

    Raises:
        ValueError: not the same layers and shapes, or none.
    """
    shapes = [[one.shape for one in layers] for layers in (real_features, fake_features)]
    if not shapes[0] or shapes[0] != shapes[1]:
        raise ValueError(f"real_features and fake_features must have the same layers and shapes; received {shapes}.")
    total, last = 0.0, len(real_features) - 1
    for i, (real, fake) in enumerate(zip(real_features, fake_features, strict=True)):
        distance = tf.reduce_mean(tf.abs(tf.stop_gradient(at_least_float32(real)) - at_least_float32(fake)))
        total += distance if i == last else 0.5 ** (last - i + 1) * distance
    return total
