"""Keras layers that turn images in [0, 1] into the inputs of trained networks."""

import keras
import tensorflow as tf
from keras import layers

SIDE = 299  # height and width of Inception's input
RESIZE = ("bilinear_tf1", "bicubic_antialias")


@keras.saving.register_keras_serializable("tfgen")
class VGGInput(layers.Layer):
    """[B, H, W, 1 or 3] in [0, 1] -> VGG's input: BGR in 0 ... 255 minus ImageNet's means; grey is repeated to 3
    channels.
    """

    MEANS = (103.939, 116.779, 123.68)  # of B, G, R

    def call(self, inputs):
        return 255.0 * in_colour(inputs)[..., ::-1] - tf.constant(self.MEANS, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3)


@keras.saving.register_keras_serializable("tfgen")
class InceptionInput(layers.Layer):
    """[B, H, W, 1 or 3] in [0, 1] -> [B, 299, 299, 3], see `prepared`, for Keras' Inception-v3.

    Args:
        resize: a name in `RESIZE`.
        quantize: whether pixels are rounded to 8 bits first; then no gradient passes.
    """

    def __init__(self, resize="bilinear_tf1", quantize=False, **kwargs):
        super().__init__(**kwargs)
        if resize not in RESIZE:
            raise ValueError(f"resize must be one of {', '.join(RESIZE)}; received {resize!r}")
        self.resize, self.quantize = resize, bool(quantize)

    def get_config(self):
        return {**super().get_config(), "resize": self.resize, "quantize": self.quantize}

    def call(self, inputs):
        return prepared(in_colour(inputs), self.resize, "unit", quantize=self.quantize)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], SIDE, SIDE, 3)


@keras.saving.register_keras_serializable("tfgen")
class EfficientNetInput(layers.Layer):
    """[B, H, W, 1 or 3] in [0, 1] -> (255 x - 127) / 128, resized to side x side (bilinear) if `side` is not None."""

    def __init__(self, side=None, **kwargs):
        super().__init__(**kwargs)
        self.side = side

    def get_config(self):
        return {**super().get_config(), "side": self.side}

    def call(self, inputs):
        x = in_colour(inputs)
        if self.side is not None:
            x = tf.image.resize(x, [self.side, self.side], antialias=True)
        return (255.0 * x - 127.0) / 128.0

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *(input_shape[1:3] if self.side is None else (self.side, self.side)), 3)


def in_colour(images):
    """Images [B, H, W, 1 or 3] with three channels; grey is repeated."""
    return tf.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def prepared(images, resize: str, scale: str = "128", *, quantize: bool = True):
    """Inception's input, float32 [N, 299, 299, 3], from images [N, H, W, 3] in [0, 1].

    Args:
      resize: "bilinear_tf1": as published; "bicubic_antialias": the anti-aliased rule of Parmar et al. 2021
        (arXiv 2104.11222), in floating point.
      scale: "128": (x - 128) / 128 of x in 0 ... 255, as published; "unit": 2 x - 1 of x in [0, 1], as Keras does it.
      quantize: whether pixels are rounded to 8 bits first, as published.
    """
    images = 255.0 * tf.convert_to_tensor(images, tf.float32)
    if quantize:
        images = tf.round(images)
    if resize == "bilinear_tf1":
        images = tf.raw_ops.ResizeBilinear(images=images, size=[SIDE, SIDE], align_corners=False, half_pixel_centers=False)
    else:
        images = tf.clip_by_value(tf.image.resize(images, [SIDE, SIDE], "bicubic", antialias=True), 0.0, 255.0)
    images = (images - 128.0) / 128.0 if scale == "128" else images / 127.5 - 1.0
    return tf.ensure_shape(images, (None, SIDE, SIDE, 3))
