"""Equalised learning rate: kernels of variance 1, which are scaled in every forward pass.

Karras, Aila, Laine, Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018,
arXiv:1710.10196, section 4.1. With `lrmul` as in Karras, Laine, Aila 2019, arXiv:1812.04948.

    kernel = w lrmul gain / sqrt(fan_in),   w ~ N(0, 1 / lrmul^2) at first        bias = b lrmul,   b = 0 at first

Adam's steps do not depend on the scale of a gradient. So the w of all layers, which have one scale, learn at one speed; with
lrmul = .01 they learn a hundred times slower, relative to their size.
"""

import math
from collections.abc import Sequence

import keras

from tfgen.layers._reparameterized import Reparameterized
from tfgen.layers.resampling import downscale_conv2d, upscale_conv2d
from tfgen.settings import PositiveFloat, fits, shown, wanted

_SQRT_2 = math.sqrt(2.0)


class Equalized(Reparameterized):
    """Mixin: the layer's kernel is the learned one times `scale`.

    Attributes:
        scale: the factor lrmul gain / sqrt(fan_in), a float.
    """

    def __init__(self, *args, gain: float = _SQRT_2, lrmul: float = 1.0, **kwargs):
        for name, value in (("gain", gain), ("lrmul", lrmul)):
            if not fits(PositiveFloat, value):
                raise ValueError(f"{name} must be {wanted(PositiveFloat)}; received {shown(value)}.")
        kwargs.setdefault("kernel_initializer", keras.initializers.RandomNormal(0.0, 1.0 / lrmul))  # not truncated
        super().__init__(*args, **kwargs)
        self.gain, self.lrmul = float(gain), float(lrmul)

    @property
    def scale(self):
        return self.lrmul * self.gain / math.sqrt(math.prod(self.raw_weight.shape[:-1]))

    def reparameterize(self, weight):
        return weight * self.scale

    @property
    def bias(self):
        return self._bias if self._bias is None or self.lrmul == 1.0 else self._bias * self.lrmul

    @bias.setter
    def bias(self, value):
        self._bias = value

    def get_config(self):
        return {**super().get_config(), "gain": self.gain, "lrmul": self.lrmul}


@keras.saving.register_keras_serializable("tfgen")
class EqualizedDense(Equalized, keras.layers.Dense):
    """`keras.layers.Dense` with equalised learning rate: [..., F] -> [..., units].

    Example:
        >>> layer = tfgen.layers.EqualizedDense(64, lrmul=0.01)
        >>> layer.build((None, 512))
        >>> round(layer.scale, 8)
        0.000625

    Args:
        units: number of outputs.
        gain: > 0; sqrt 2 suits rectifiers.
        lrmul: > 0, the factor of the learning rate.
        **kwargs: of `keras.layers.Dense`.

    Raises:
        ValueError: `gain` or `lrmul` is not above 0.
    """


@keras.saving.register_keras_serializable("tfgen")
class EqualizedConv2D(Equalized, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with equalised learning rate, which may also double or halve the size of its maps.

    The bias and the activation follow the change of size. The padding is "same" by default.

    Example:
        >>> layer = tfgen.layers.EqualizedConv2D(16, 3, resample="up")
        >>> layer.compute_output_shape((2, 4, 4, 8))
        (2, 8, 8, 16)

    Args:
        filters: number of output channels.
        kernel_size: odd where the size changes.
        resample: None; "up": nearest neighbours, then the convolution; "down": the convolution, then means of 2 x 2.
        fused: whether both are computed as one convolution, see `tfgen.layers.upscale_conv2d`.
        gain: > 0; sqrt 2 suits rectifiers.
        lrmul: > 0, the factor of the learning rate.
        **kwargs: of `keras.layers.Conv2D`; with `resample` no other strides, padding, dilation and groups than by default.

    Raises:
        ValueError: `resample` is unknown or does not go with another argument; `gain` or `lrmul` is not above 0.
    """

    def __init__(
        self, filters: int, kernel_size: int | Sequence[int], *, resample: str | None = None, fused: bool = True,
        padding: str = "same", **kwargs,
    ):  # fmt: skip
        super().__init__(filters, kernel_size, padding=padding, **kwargs)
        if resample not in (None, "up", "down"):
            raise ValueError(f"resample must be None, 'up' or 'down'; received {resample!r}.")
        plain = self.padding == "same" and self.groups == 1 and {*self.strides, *self.dilation_rate} == {1}
        if resample and not (plain and self.data_format == "channels_last" and all(k % 2 for k in self.kernel_size)):
            raise ValueError(
                f"resample={resample!r} needs an odd kernel_size, padding 'same', channels last, and strides, dilation_rate "
                f"and groups of 1; received {self.kernel_size}, {self.padding!r}, {self.strides}, {self.dilation_rate}, "
                f"{self.groups}."
            )
        self.resample, self.fused = resample, bool(fused)

    def convolution_op(self, inputs, kernel):
        if self.resample is None:
            return super().convolution_op(inputs, kernel)
        convolve = upscale_conv2d if self.resample == "up" else downscale_conv2d
        return convolve(inputs, kernel, self.fused)

    def compute_output_shape(self, input_shape):
        batch, height, width, filters = super().compute_output_shape(input_shape)
        if getattr(self, "resample", None) is None:
            return batch, height, width, filters
        height, width = (n if n is None else 2 * n if self.resample == "up" else n // 2 for n in (height, width))
        return batch, height, width, filters

    def get_config(self):
        return {**super().get_config(), "resample": self.resample, "fused": self.fused}
