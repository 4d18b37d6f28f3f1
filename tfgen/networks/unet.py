"""U-Net: an encoder and a decoder with a connection from each map of the encoder to the map of its size in the decoder.

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015, arXiv:1505.04597;
here in the form of pix2pix (Isola et al., CVPR 2017, arXiv:1611.07004, section 3.2.1 and appendix 6.1.1).
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfgen.layers import Dropout
from tfgen.layers.initializers import normal
from tfgen.networks.common import OUTPUTS, Network, Output
from tfgen.networks.slots import make_norm, normalize
from tfgen.settings import NaturalInt, NonNegativeFloat, PositiveInt, Rate, Widths


class UNet(Network):
    """Images [B, H, W, any] -> images [B, H, W, channels]; H and W are multiples of 2^n for n levels.

    Every level is a convolution of 4x4 with stride 2 in the encoder and a transposed one in the decoder:

        encoder:  e_1 = conv(x),  e_i = norm(conv(lrelu(e_{i-1}))),  e_n without norm
        decoder:  d_n = drop(norm(deconv(relu(e_n)))),  d_i = drop(norm(deconv(relu([d_{i+1}, e_i])))),
                  y = output(deconv(relu([d_2, e_1])))

    Example:
        >>> network = tfgen.networks.UNet(channels=3, filters=(4, 8, 8))
        >>> network([tf.zeros([2, 16, 16, 1])]).shape
        TensorShape([2, 16, 16, 3])

    Args:
        channels: of the result.
        filters: filters of the encoder's levels e_1, ..., e_n; d_i has as many as e_{i-1}.
        dropout: rate after the first `dropout_levels` levels of the decoder.
        dropout_levels: number of these levels.
        norm: "batch", "instance" (with gain and shift), None or a function, see `tfgen.networks.slots.make_norm`.
        skips: whether the e_i are joined to the decoder; without them it is an encoder-decoder.
        slope: of the encoder's leaky ReLU.
        use_bias: whether the convolutions have biases.
        output: "tanh" or "linear".
        **kwargs: see `Network`.

    Call arguments:
        inputs: [images].
        training: as in Keras.
        keys: uint64 [B] of dropout (see `tfgen.layers.noise`), in training or not; None: no dropout.
        own_statistics: whether batch norm uses the statistics of each image alone, outside of training.
    """

    def __init__(
        self, *, channels: PositiveInt, filters: Widths, dropout: Rate = 0.5, dropout_levels: NaturalInt = 3,
        norm: str | Callable | None = "batch", skips: bool = True, slope: NonNegativeFloat = 0.2, use_bias: bool = True,
        output: Output = "tanh", kernel_initializer: str | dict | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(kernel_initializer=kernel_initializer or normal(0.02), **kwargs)
        self.activation, self.slope, self.skips = OUTPUTS[output], slope, skips
        levels = len(filters)
        conv = {"kernel_size": 4, "strides": 2, "use_bias": use_bias}
        self.downs = [self.make_conv(n, **conv, name=f"down_{i}") for i, n in enumerate(filters)]
        self.ups = [
            self.make_conv_transpose(n, **conv, name=f"up_{i}") for i, n in enumerate([*reversed(filters[:-1]), channels])
        ]
        normed = range(1, levels - 1)  # e_1, which sees the image, and e_n, which may be one pixel, have no norm
        policy = self.dtype_policy
        self.down_norms = [make_norm(norm if i in normed else None, policy, f"down_norm_{i}") for i in range(levels)]
        self.up_norms = [make_norm(norm, policy, f"up_norm_{i}") for i in range(levels - 1)]
        self.dropouts = [
            Dropout(dropout if i < dropout_levels else 0.0, stream=i, dtype=policy, name=f"dropout_{i}")
            for i in range(levels - 1)
        ]

    def call(
        self, inputs: Sequence[tf.Tensor], training: bool = False, keys: tf.Tensor | None = None,
        own_statistics: bool = False,
    ):  # fmt: skip
        (x,), maps = inputs, []
        for i, (conv, norm) in enumerate(zip(self.downs, self.down_norms, strict=True)):
            x = conv(tf.nn.leaky_relu(x, self.slope) if i else x)
            x = normalize(norm, x, training, own_statistics=own_statistics)
            maps.append(x)
        maps.pop()
        for deconv, norm, dropout in zip(self.ups, self.up_norms, self.dropouts, strict=False):
            x = dropout(normalize(norm, deconv(tf.nn.relu(x)), training, own_statistics=own_statistics), keys)
            skip = maps.pop()
            x = tf.concat([x, skip], axis=-1) if self.skips else x
        return self.activation(self.ups[-1](tf.nn.relu(x)))
