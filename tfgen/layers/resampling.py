"""Change of size by whole factors, alone and fused with a convolution.

Karras, Aila, Laine, Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018,
arXiv:1710.10196, section 2: nearest neighbours up, means of 2 x 2 pixels down.

    up:    y = conv(nearest(x)) = conv_transpose(x), stride 2, whose kernel is the sum of four shifted copies of the kernel,
           flipped in both axes, since a transposed convolution flips it
    down:  y = mean_2x2(conv(x)) = conv(x), stride 2, whose kernel is the mean of the four copies

For a 3 x 3 kernel the fused forms have 4 products where the others have 9 (up), and 16 where they have 36 (down). They equal
the others up to rounding.
"""

import tensorflow as tf


def upscale2d(images: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Nearest neighbours: [B, H, W, C] -> [B, factor H, factor W, C].

    Example:
        >>> tfgen.layers.upscale2d([[[[1.0], [2.0]]]]).numpy()[0, :, :, 0].tolist()
        [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]

    Args:
        images: float [B, H, W, C].
        factor: a whole number >= 1.
    """
    images = tf.convert_to_tensor(images)
    if factor == 1:
        return images
    batch, height, width, channels = (size or tf.shape(images)[i] for i, size in enumerate(images.shape))
    images = tf.tile(images[:, :, None, :, None], [1, 1, factor, 1, factor, 1])
    return tf.reshape(images, [batch, height * factor, width * factor, channels])


def downscale2d(images: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Means of factor x factor pixels: [B, H, W, C] -> [B, H / factor, W / factor, C].

    Example:
        >>> tfgen.layers.downscale2d([[[[1.0], [2.0]], [[3.0], [6.0]]]]).numpy().ravel().tolist()
        [3.0]

    Args:
        images: float [B, H, W, C].
        factor: a whole number >= 1, which divides H and W.

    Raises:
        ValueError: it does not divide them.
    """
    images = tf.convert_to_tensor(images)
    if any(side is not None and side % factor for side in images.shape[1:3]):
        raise ValueError(f"The sides of the images must be multiples of {factor}; received {images.shape}.")
    return images if factor == 1 else tf.nn.avg_pool2d(images, factor, factor, "VALID")


def upscale_conv2d(inputs: tf.Tensor, kernel: tf.Tensor, fused: bool = True) -> tf.Tensor:
    """A convolution, padded to the same size, of the inputs upscaled by 2.

    Example:
        >>> tfgen.layers.upscale_conv2d(tf.ones([1, 4, 4, 2]), tf.ones([3, 3, 2, 5])).shape
        TensorShape([1, 8, 8, 5])

    Args:
        inputs: float [B, H, W, C].
        kernel: float [k, k, C, F] with an odd k.
        fused: whether it is computed as one transposed convolution.

    Returns:
        [B, 2H, 2W, F].

    Raises:
        ValueError: k is even.
    """
    inputs, kernel = _checked(inputs, kernel)
    if not fused:
        return tf.nn.conv2d(upscale2d(inputs), kernel, 1, "SAME")
    kernel = tf.transpose(_shifted(kernel[::-1, ::-1]), [0, 1, 3, 2])
    batch, height, width, _ = (size or tf.shape(inputs)[i] for i, size in enumerate(inputs.shape))
    shape = [batch, 2 * height, 2 * width, kernel.shape[2]]
    return tf.nn.conv2d_transpose(inputs, kernel, shape, 2, "SAME")


def downscale_conv2d(inputs: tf.Tensor, kernel: tf.Tensor, fused: bool = True) -> tf.Tensor:
    """A convolution, padded to the same size, whose outputs are downscaled by 2.

    Example:
        >>> tfgen.layers.downscale_conv2d(tf.ones([1, 4, 4, 2]), tf.ones([3, 3, 2, 5])).shape
        TensorShape([1, 2, 2, 5])

    Args:
        inputs: float [B, H, W, C] with even H and W.
        kernel: float [k, k, C, F] with an odd k.
        fused: whether it is computed as one convolution of stride 2.

    Returns:
        [B, H / 2, W / 2, F].

    Raises:
        ValueError: k is even, or H or W is odd.
    """
    inputs, kernel = _checked(inputs, kernel)
    if any(side is not None and side % 2 for side in inputs.shape[1:3]):
        raise ValueError(f"The sides of the inputs must be even; received {inputs.shape}.")
    if not fused:
        return downscale2d(tf.nn.conv2d(inputs, kernel, 1, "SAME"))
    return tf.nn.conv2d(inputs, 0.25 * _shifted(kernel), 2, "SAME")


def _checked(inputs, kernel):
    inputs, kernel = tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel)
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"The kernel must have odd sides; received {kernel.shape}.")
    return inputs, kernel


def _shifted(kernel):  # [k, k, C, F] -> [k + 1, k + 1, C, F]
    kernel = tf.pad(kernel, [[1, 1], [1, 1], [0, 0], [0, 0]])
    return kernel[1:, 1:] + kernel[1:, :-1] + kernel[:-1, 1:] + kernel[:-1, :-1]
