"""Multi-scale PixelRNN: a small image first, then the large one, every pixel of which depends on the whole small image.

van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016, arXiv:1601.06759, section 3.6.

The idea: a PixelRNN models every s-th pixel of every s-th row; a second one, of full size, models the rest. A network of
transposed convolutions computes a map of the small image. In each layer of the second network a 1x1 convolution of the map,
without a mask, is added to the input-to-state part of the gates. Several such steps can follow each other.

    p(x) = p(x_small) . product of p(x_i | x_1 ... x_{i-1}, x_small) over the pixels that the small image does not hold

What differs from the paper: the paper does not say whether its second network predicts the pixels of the small image again.
Here it does not, so each pixel is counted once and the probabilities of all images sum to one. The paper does not give the
network that computes the map; ours is a 3 x 3 convolution and one transposed convolution. It does not give sizes and
likelihoods either.
"""

import math
from collections.abc import Sequence
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf

from tfgen.models.autoregressive.base import AutoregressiveModel
from tfgen.models.autoregressive.pixel_rnn import Cell, PixelRNNBody, check_rnn
from tfgen.settings import NOT_EMPTY, Count, ImageShape, OddInt, PositiveInt, TwoOrMore

layers = keras.layers


@keras.saving.register_keras_serializable("tfgen")
class MultiScalePixelRNN(AutoregressiveModel):
    """Multi-scale PixelRNN. Pixels are drawn scale by scale, in raster order within a scale.

    Example:
        >>> model = tfgen.models.MultiScalePixelRNN(
        ...     image_shape=(4, 4, 1), levels=2, map_channels=4, cell="row", width=4, depth=1, head_width=8,
        ...     first_kernel_size=3)
        >>> int(tf.reduce_sum(tf.cast(model.given(1), tf.int32)))  # pixels of the 4 x 4 image that the 2 x 2 one gives
        4
        >>> model.log_prob(tf.zeros([3, 4, 4, 1])).shape
        TensorShape([3])

    Args:
        image_shape: (H, W, C); the product of the factors divides H and W.
        factors: factors by which the sides of an image grow, from the smallest image on.
        map_channels: c, the channels of the maps.
        cell, width, depth, head_width, kernel_size, first_kernel_size: of the network of every scale, see `PixelRNN`.
        **kwargs: see `AutoregressiveModel`.
    """

    def __init__(
        self, *, image_shape: ImageShape, factors: Annotated[Sequence[TwoOrMore], NOT_EMPTY] = (2,),
        map_channels: PositiveInt = 32, cell: Cell = "diagonal", width: PositiveInt = 16, depth: Count = 7,
        head_width: PositiveInt = 32, kernel_size: OddInt = 3, first_kernel_size: OddInt = 7, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        height, columns, channels = self.image_shape
        # Scale k holds every strides[k]-th pixel of every strides[k]-th row.
        self.factors, self.strides = tuple(factors), [math.prod(factors[k:]) for k in range(len(factors) + 1)]
        if height % self.strides[0] or columns % self.strides[0]:
            raise ValueError(
                f"The product of the factors, {self.strides[0]}, must divide the sides of images; "
                f"received {height} x {columns}."
            )
        settings = {"cell": cell, "width": width, "depth": depth, "head_width": head_width, "kernel_size": kernel_size,
                    "first_kernel_size": first_kernel_size}  # fmt: skip
        smallest = (height // self.strides[0], columns // self.strides[0])
        check_rnn(smallest, cell=cell, kernel_size=kernel_size, first_kernel_size=first_kernel_size)
        dtype = self.dtype_policy
        self.bodies = [
            PixelRNNBody(self.likelihood.num_parameters, **settings, groups=channels, dtype=dtype, name=f"body_{k}",
                         condition_channels=map_channels if k else self.num_classes)
            for k in range(len(self.strides))
        ]  # fmt: skip
        conv = {"filters": map_channels, "padding": "same", "activation": "relu", "dtype": dtype}
        self.small_layers = [layers.Conv2D(kernel_size=3, name=f"small_{k}", **conv) for k in range(len(factors))]
        self.grow_layers = [
            layers.Conv2DTranspose(kernel_size=2 * f, strides=f, name=f"grow_{k}", **conv) for k, f in enumerate(factors)
        ]
        self.label_layers = []
        if self.num_classes:
            self.label_layers = [layers.Dense(map_channels, dtype=dtype, name=f"label_{k}") for k in range(len(factors))]
        self.build_network()

    def scale_condition(self, k: int, small: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor | None:
        """The condition of scale k: for the smallest scale `condition` itself, for the others the map [B, H_k, W_k, c].

        Args:
            small: the image of the scale before, from `prepare`.
            condition: one-hot labels [B, K] or None; in the larger scales a learnt vector of the label is added to the map.
        """
        if k == 0:
            return condition
        grown = self.grow_layers[k - 1](self.small_layers[k - 1](small))
        return grown if condition is None else grown + self.label_layers[k - 1](condition)[:, None, None]

    def network(self, x, scope, condition=None, training=False):
        """The parameters of a pixel are those of the scale in which it is drawn. For whole images only; see `_scan`."""
        found, small = None, None
        for k, stride in enumerate(self.strides):
            image = x[:, ::stride, ::stride]
            parameters = self.bodies[k](image, self.scale_condition(k, small, condition), scope=scope)
            found, small = (self.merged(k, found, parameters) if k else parameters), image
        return found

    def merged(self, k: int, small: tf.Tensor, large: tf.Tensor) -> tf.Tensor:
        """`large` [B, H_k, W_k, ...] with the values of `small` at the pixels of the scale before."""
        factor = self.factors[k - 1]
        grown = tf.repeat(tf.repeat(small, factor, axis=1), factor, axis=2)
        return tf.where(self.given(k)[..., None], grown, large)

    def given(self, k: int) -> np.ndarray:
        """bool [1, H_k, W_k]: whether a pixel of scale k > 0 belongs to the scale before."""
        rows, columns = (np.arange(n // self.strides[k]) % self.factors[k - 1] == 0 for n in self.image_shape[:2])
        return (rows[:, None] & columns)[None]

    def _scan(self, latents, condition, known, mask, keep_parameters):
        height, columns, channels = self.image_shape
        uniforms = tf.reshape(latents, [tf.shape(latents)[0], height, columns, self.likelihood.num_uniforms])
        if known is None:
            known, mask = tf.zeros([1, *self.image_shape]), tf.zeros([1, height, columns], tf.bool)
        levels, found = None, None
        for k, stride in enumerate(self.strides):
            every = (slice(None), slice(None, None, stride), slice(None, None, stride))
            fixed, kept = known[every], mask[every]
            told = self.scale_condition(k, self.prepare(levels) if k else None, condition)
            if k:
                fixed, kept = self.merged(k, levels, fixed), kept | self.given(k)
            drawn = self.scan_pixels(
                lambda x, scope, k=k, told=told: self.bodies[k](x, told, scope=scope), uniforms[every], fixed, kept,
                keep_parameters,
            )  # fmt: skip
            levels, parameters = drawn if keep_parameters else (drawn, None)
            if keep_parameters:
                found = self.merged(k, found, parameters) if k else parameters
        return (levels, found) if keep_parameters else levels
